/*
 * Users and the nightly clean-up; see brake_month.h. Figures: five messages a day and mailbox, 20 % of them in the peak
 * hour, 70 % deleted after hearing; how they spread over users and days is made up.
 */
#include "brake_month.h"

#include "base/err.h"
#include "base/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t day_curve[24] = {0, 0, 0, 0, 0, 1, 1, 3, 9, 14, 20, 11,
                                      5, 7, 9, 8, 6, 3, 1, 1, 1, 0,  0,  0};

enum { DESK_ENDS = 17 * MONTH_HOUR + 1800, LONG_WEEKEND_DAY = 18, GREETING_GAP = 60 };

#define WEEKEND_SHARE 0.2
#define MEAN_RATE 5.0

/* splitmix64 */
static uint64_t draw(struct month *month)
{
    uint64_t z = month->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double month_random(struct month *month)
{
    return (double)(draw(month) >> 11) * 0x1p-53;
}

uint32_t month_random_below(struct month *month, uint32_t limit)
{
    return (uint32_t)(month_random(month) * limit);
}

static uint32_t draw_wait(struct month *month, double mean_seconds)
{
    return 1 + (uint32_t)(-log(1 - month_random(month)) * mean_seconds);
}

static uint32_t draw_poisson(struct month *month, double mean)
{
    double product = month_random(month), limit = exp(-mean);
    uint32_t count = 0;
    for (; product > limit; count++)
        product *= month_random(month);
    return count;
}

/* ---- the heap of events ---- */

static bool is_before(const struct month_event *a, const struct month_event *b)
{
    return a->at != b->at ? a->at < b->at : a->mailbox < b->mailbox;
}

static void swap(struct month_event *a, struct month_event *b)
{
    struct month_event old = *a;
    *a = *b;
    *b = old;
}

void month_push(struct month *month, struct month_event event)
{
    if (month->event_count == month->event_room) {
        month->event_room = month->event_room * 2 + 1024;
        month->events = mem_grow(month->events, month->event_room, sizeof(*month->events));
    }
    uint32_t i = month->event_count++;
    month->events[i] = event;
    for (; i > 0 && is_before(&month->events[i], &month->events[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&month->events[i], &month->events[(i - 1) / 2]);
}

static struct month_event pop(struct month *month)
{
    struct month_event *heap = month->events, first = heap[0];
    uint32_t i = 0, count = --month->event_count;
    heap[0] = heap[count];
    while (2 * i + 1 < count) {
        uint32_t child = 2 * i + 1;
        child += child + 1 < count && is_before(&heap[child + 1], &heap[child]);
        if (!is_before(&heap[child], &heap[i]))
            break;
        swap(&heap[child], &heap[i]);
        i = child;
    }
    return first;
}

/* ---- production's mailboxes ---- */

static bool is_off(const struct month *month, uint32_t day)
{
    /* Friday to Monday, once. */
    uint32_t since = day - (month->begins_at / MONTH_DAY + LONG_WEEKEND_DAY) / 7 * 7;
    return day % 7 >= 5 || (month->rules.long_weekend && (since == 4 || since == 7));
}

static bool is_away(const struct month_mailbox *mailbox, uint32_t day)
{
    return day >= mailbox->away_from && day < mailbox->away_until;
}

struct month_message *month_add(struct month *month, struct month_mailbox *mailbox)
{
    if (mailbox->count == MONTH_SLOTS)
        return NULL; /* a full mailbox takes no more */
    struct month_message *message = &mailbox->messages[mailbox->count++];
    *message = (struct month_message){.id = ++mailbox->last_id, .at = month->now};
    return message;
}

void month_changed(struct month *month, uint32_t number)
{
    uint32_t at = month->now + 1 + month_random_below(month, month->rules.round_seconds);
    uint32_t *look_at = &month->mailboxes[number].look_at;
    if (*look_at && *look_at <= month->now + month->rules.round_seconds)
        return;
    *look_at = at; /* one that was to come later is none any more */
    month_push(month, (struct month_event){at, number, 0, MONTH_LOOK});
}

static void visit_at(struct month *month, uint32_t number, uint32_t at)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    if (mailbox->visit_at)
        return;
    mailbox->visit_at = at;
    month_push(month, (struct month_event){at, number, 0, MONTH_VISIT});
}

/* The lamp is lit: whoever is at his desk hears it soon. */
static void arrives(struct month *month, uint32_t number)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    uint32_t day = month->now / MONTH_DAY, visit = month->now + 60 + draw_wait(month, 2400);
    if (!month_add(month, mailbox))
        return;
    month->tally.arrived++;
    month_changed(month, number);
    if (is_off(month, day) || is_away(mailbox, day) || mailbox->once_a_day)
        return;
    if (month->now % MONTH_DAY > mailbox->begins && visit % MONTH_DAY < DESK_ENDS && visit / MONTH_DAY == day)
        visit_at(month, number, visit);
}

/* One after the other, 10 to 60 seconds each. */
static void visit(struct month *month, uint32_t number)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    uint32_t at = month->now;
    mailbox->visit_at = 0;
    for (uint32_t i = 0; i < mailbox->count; i++) {
        const struct month_message *message = &mailbox->messages[i];
        if (message->heard || message->greeting || message->gone_at)
            continue;
        at += 10 + month_random_below(month, 50);
        month_push(month, (struct month_event){at, number, message->id, MONTH_HEARD});
    }
}

static void heard(struct month *month, uint32_t number, uint32_t id)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    for (uint32_t i = 0; i < mailbox->count; i++) {
        struct month_message *message = &mailbox->messages[i];
        if (message->id != id || message->gone_at || message->heard)
            continue;
        message->heard = true;
        if (month_random(month) >= mailbox->deletes)
            return;
        message->gone_at = month->now;
        month->tally.deleted++;
        month_changed(month, number);
    }
}

/* The old one goes; the new one comes at once, or (id 1) after a minute (id 2). */
static void greeting(struct month *month, uint32_t number, uint32_t id)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    if (month->nobody_records)
        return;
    for (uint32_t i = 0; id < 2 && i < mailbox->count; i++)
        if (mailbox->messages[i].greeting && !mailbox->messages[i].gone_at)
            mailbox->messages[i].gone_at = month->now;
    if (id == 1) {
        month_push(month, (struct month_event){month->now + GREETING_GAP, number, 2, MONTH_GREETING});
    } else {
        struct month_message *message = month_add(month, mailbox);
        if (message)
            message->greeting = true;
    }
    month_changed(month, number);
}

static void clean_up(struct month *month, uint32_t number)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    for (uint32_t i = 0; i < mailbox->count; i++) {
        struct month_message *message = &mailbox->messages[i];
        if (message->greeting || message->gone_at ||
            month->now - message->at <= MONTH_RETENTION_DAYS * MONTH_DAY)
            continue;
        message->gone_at = month->now;
        month->tally.cleaned++;
        month_changed(month, number);
    }
}

/* ---- a day of one mailbox ---- */

static uint32_t draw_moment(struct month *month)
{
    uint32_t of_hundred = month_random_below(month, 100), hour = 0;
    for (; of_hundred >= day_curve[hour]; hour++)
        of_hundred -= day_curve[hour];
    return hour * MONTH_HOUR + month_random_below(month, MONTH_HOUR);
}

static void day_begins(struct month *month, uint32_t number)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    uint32_t midnight = month->now, day = midnight / MONTH_DAY;
    double busy = is_off(month, day) ? WEEKEND_SHARE : 1;
    /* So that the week's mean is `rate`. */
    uint32_t arrivals = draw_poisson(month, mailbox->rate * busy * 7 / (5 + 2 * WEEKEND_SHARE));
    month_push(month, (struct month_event){midnight + MONTH_DAY, number, 0, MONTH_DAY_BEGINS});
    month_push(month, (struct month_event){midnight + 2 * MONTH_HOUR + month_random_below(month, MONTH_HOUR),
                                           number, 0, MONTH_CLEAN_UP});
    while (arrivals-- > 0)
        month_push(month, (struct month_event){midnight + draw_moment(month), number, 0, MONTH_ARRIVES});
    if (is_off(month, day) || is_away(mailbox, day))
        return;
    visit_at(month, number, midnight + mailbox->begins + month_random_below(month, 1200));
    if (month_random(month) < 1 / 22.0)
        month_push(month,
                   (struct month_event){midnight + 9 * MONTH_HOUR + month_random_below(month, 8 * MONTH_HOUR),
                                        number, month_random_below(month, 2), MONTH_GREETING});
}

/* 0.2 to 20 messages a day, 5 on average; every fifth user deletes all that he hears, 70 % on average. Most come between
 * half past seven and half past nine. */
static void init_mailbox(struct month *month, uint32_t number)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    /* So that the mean is 0.7. */
    double others = (0.7 - month->rules.deleters) / (1 - month->rules.deleters);
    double rate = -log(1 - month_random(month)) * MEAN_RATE * 1.03;
    mailbox->rate = rate < 0.2 ? 0.2 : rate > 20 ? 20 : rate;
    mailbox->deletes =
        month_random(month) < month->rules.deleters ? 1 : others + 0.2 * (2 * month_random(month) - 1);
    mailbox->begins =
        7 * MONTH_HOUR + 1800 + month_random_below(month, MONTH_HOUR) + month_random_below(month, MONTH_HOUR);
    mailbox->once_a_day = month_random(month) < 0.3 && mailbox->rate < MEAN_RATE;
    if (month_random(month) < month->rules.holidays) {
        mailbox->away_from = month->begins_at / MONTH_DAY + month_random_below(month, month->rules.days);
        mailbox->away_until = mailbox->away_from + 14;
    }
    if (month_random(month) < 0.8)
        month_push(month, (struct month_event){month->now, number, 0, MONTH_GREETING});
    month_push(month, (struct month_event){month->now, number, 0, MONTH_DAY_BEGINS});
}

struct month *month_new(const struct month_rules *rules)
{
    struct month *month = mem_new(sizeof(*month));
    month->rules = *rules;
    month->random = rules->seed;
    month->now = (7 + rules->starts) * MONTH_DAY;
    month->begins_at = month->now + rules->warm_up_days * MONTH_DAY;
    month->mailboxes = mem_new(rules->mailboxes * sizeof(*month->mailboxes));
    for (uint32_t i = 0; i < rules->mailboxes; i++)
        init_mailbox(month, i);
    return month;
}

struct month *month_clone(const struct month *month)
{
    struct month *clone = mem_new(sizeof(*clone));
    *clone = *month;
    clone->mailboxes = mem_grow(NULL, month->rules.mailboxes, sizeof(*clone->mailboxes));
    memcpy(clone->mailboxes, month->mailboxes, month->rules.mailboxes * sizeof(*clone->mailboxes));
    clone->events = mem_grow(NULL, month->event_room, sizeof(*clone->events));
    memcpy(clone->events, month->events, month->event_count * sizeof(*clone->events));
    return clone;
}

void month_free(struct month *month)
{
    if (!month)
        return;
    free(month->mailboxes);
    free(month->events);
    free(month);
}

uint32_t month_ends(const struct month *month)
{
    return month->begins_at + month->rules.days * MONTH_DAY;
}

static void wipe_again(struct month *month, const struct month_event *event)
{
    month_wipe_slowly(month, event->mailbox, event->id & 0xffff, event->id >> 16);
}

static void happen(struct month *month, const struct month_event *event)
{
    switch (event->kind) {
    case MONTH_DAY_BEGINS:
        return day_begins(month, event->mailbox);
    case MONTH_ARRIVES:
        return arrives(month, event->mailbox);
    case MONTH_VISIT:
        return visit(month, event->mailbox);
    case MONTH_HEARD:
        return heard(month, event->mailbox, event->id);
    case MONTH_GREETING:
        return greeting(month, event->mailbox, event->id);
    case MONTH_CLEAN_UP:
        return clean_up(month, event->mailbox);
    case MONTH_LOOK:
        return month_look(month, event->mailbox);
    case MONTH_WINDOW_ENDS:
        return month_count(month, event->mailbox);
    case MONTH_WIPE:
        return wipe_again(month, event);
    }
}

void month_run(struct month *month, uint32_t until)
{
    while (month->event_count > 0 && month->events[0].at < until) {
        struct month_event event = pop(month);
        month->now = event.at;
        happen(month, &event);
    }
    month->now = until;
}
