/*
 * The store's twin: what a look finds gone, what the brake is told, what it makes of that. See brake_month.h.
 *
 * As in the store: asked whenever something is gone and undecided, proven or not; figures of the other mailboxes are those
 * of their last looks; one or two mailboxes that were held for themselves don't count against the route.
 */
#include "brake_month.h"

#include <stdio.h>
#include <string.h>

static uint32_t window_seconds(const struct month *month)
{
    return (uint32_t)(month->rules.limits.window_minutes * 60);
}

static bool is_counted(const struct month *month, const struct month_message *message)
{
    uint32_t age = month->now - message->at;
    return !month->rules.retention_known || age < MONTH_RETENTION_DAYS * MONTH_DAY ||
           age > (MONTH_RETENTION_DAYS + 2) * MONTH_DAY;
}

static void see(struct month *month, struct month_mailbox *mailbox)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < mailbox->count; i++) {
        struct month_message message = mailbox->messages[i];
        if (message.gone_at && !message.known)
            continue; /* came and went between two looks: never copied */
        message.known = true;
        if (message.gone_at && !message.seen_gone_at)
            message.seen_gone_at = month->now;
        mailbox->messages[kept++] = message;
    }
    mailbox->count = kept;
}

/* ---- counting ---- */

static struct store_brake_mailbox count_messages(const struct month *month,
                                                 const struct month_mailbox *mailbox)
{
    struct store_brake_mailbox counts = {0};
    for (uint32_t i = 0; i < mailbox->count; i++) {
        const struct month_message *message = &mailbox->messages[i];
        bool gone = message->seen_gone_at > 0;
        bool going = gone && is_counted(month, message);
        bool proven = gone && month->now >= message->seen_gone_at + month->rules.limits.delay_seconds;
        if (!message->known)
            continue;
        counts.left += !gone && !message->greeting;
        counts.greetings_left += !gone && message->greeting;
        counts.going += going && !message->greeting;
        counts.nameless += gone && message->nameless;
        counts.greetings_gone += proven && message->greeting;
    }
    return counts;
}

static void drop_old_records(const struct month *month, struct month_mailbox *mailbox)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < mailbox->record_count; i++)
        if (mailbox->records[i].at + window_seconds(month) > month->now)
            mailbox->records[kept++] = mailbox->records[i];
    mailbox->record_count = kept;
}

static struct month_figures figures_of(const struct month *month, struct month_mailbox *mailbox,
                                       struct store_brake_mailbox *counts)
{
    *counts = count_messages(month, mailbox);
    struct month_figures figures = {.left = counts->left, .undecided = counts->going};
    drop_old_records(month, mailbox);
    for (uint32_t i = 0; i < mailbox->record_count; i++) {
        const struct month_record *record = &mailbox->records[i];
        counts->going += record->counted;
        figures.removed += record->kind == MONTH_REMOVED ? record->counted : 0;
        figures.held_mailbox += record->kind == MONTH_HELD_MAILBOX ? record->counted : 0;
        figures.held_route += record->kind == MONTH_HELD_ROUTE ? record->counted : 0;
    }
    figures.emptied = store_brake_is_emptied(counts);
    return figures;
}

static void change_totals(struct month *month, const struct month_figures *figures, uint32_t sign)
{
    month->all.left += sign * figures->left;
    month->all.undecided += sign * figures->undecided;
    month->all.removed += sign * figures->removed;
    month->all.held_mailbox += sign * figures->held_mailbox;
    month->all.held_route += sign * figures->held_route;
    month->emptied += sign * figures->emptied;
    month->held_mailboxes += sign * (figures->held_mailbox > 0);
}

static struct store_brake_mailbox count(struct month *month, struct month_mailbox *mailbox)
{
    struct store_brake_mailbox counts;
    change_totals(month, &mailbox->figures, UINT32_MAX); /* minus */
    mailbox->figures = figures_of(month, mailbox, &counts);
    change_totals(month, &mailbox->figures, 1);
    return counts;
}

void month_count(struct month *month, uint32_t number)
{
    count(month, &month->mailboxes[number]);
}

static struct store_brake_route count_route(const struct month *month, const struct month_mailbox *mailbox)
{
    const struct month_figures *all = &month->all;
    struct store_brake_route route = {.mailboxes = month->rules.mailboxes,
                                      .emptied = month->emptied,
                                      .left = all->left,
                                      .going = all->undecided + all->removed + all->held_route};
    bool many = month->held_mailboxes >= STORE_BRAKE_MANY;
    route.going += many ? all->held_mailbox : mailbox->figures.held_mailbox;
    return route;
}

/* ---- what comes of it ---- */

static void note_extremes(struct month_tally *tally, const struct month *month,
                          const struct store_brake_route *route)
{
    double share = (double)route->going / (double)(route->going + route->left);
    if (route->going > tally->most_going)
        tally->most_going = (uint32_t)route->going;
    if (route->emptied > tally->most_emptied)
        tally->most_emptied = route->emptied;
    if (route->going > month->rules.limits.mailbox_messages && share > tally->most_share)
        tally->most_share = share;
}

static void note_hold(struct month *month, struct month_mailbox *mailbox, enum store_brake_verdict verdict,
                      const char *reason)
{
    struct month_tally *tally = &month->tally;
    if (!tally->first_held_at) {
        tally->first_held_at = month->now;
        snprintf(tally->reason, sizeof(tally->reason), "%s", reason);
    }
    tally->mailboxes_held += !mailbox->was_held;
    mailbox->was_held = true;
    tally->held_mailbox += verdict == STORE_BRAKE_HOLD_MAILBOX;
    tally->held_route += verdict == STORE_BRAKE_HOLD_ROUTE;
    tally->held_for_greetings += strstr(reason, "greeting") != NULL;
}

static enum store_brake_verdict ask(struct month *month, struct month_mailbox *mailbox,
                                    const struct store_brake_mailbox *counts)
{
    char reason[STORE_BRAKE_REASON_BYTES];
    struct store_brake_route route = count_route(month, mailbox);
    if (month->now < month->begins_at)
        return STORE_BRAKE_GO;
    month->tally.asked++;
    note_extremes(&month->tally, month, &route);
    enum store_brake_verdict verdict = store_brake_decide(&month->rules.limits, counts, &route, reason);
    if (verdict != STORE_BRAKE_GO)
        note_hold(month, mailbox, verdict, reason);
    return verdict;
}

/* The messages leave the mailbox: all that are gone if held, else the proven ones. */
static struct month_record take(struct month *month, struct month_mailbox *mailbox,
                                enum store_brake_verdict verdict)
{
    struct month_record record = {.at = month->now,
                                  .kind = verdict == STORE_BRAKE_GO           ? MONTH_REMOVED
                                          : verdict == STORE_BRAKE_HOLD_ROUTE ? MONTH_HELD_ROUTE
                                                                              : MONTH_HELD_MAILBOX};
    uint32_t kept = 0;
    for (uint32_t i = 0; i < mailbox->count; i++) {
        const struct month_message message = mailbox->messages[i];
        bool proven =
            message.seen_gone_at && month->now >= message.seen_gone_at + month->rules.limits.delay_seconds;
        if (!message.seen_gone_at || (verdict == STORE_BRAKE_GO && !proven)) {
            mailbox->messages[kept++] = message;
            continue;
        }
        record.counted += is_counted(month, &message);
        month->tally.passed += message.wiped && verdict == STORE_BRAKE_GO;
    }
    mailbox->count = kept;
    return record;
}

static void note_record(struct month *month, uint32_t number, struct month_record record)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    if (record.counted == 0)
        return;
    if (mailbox->record_count == MONTH_RECORDS) {
        mailbox->records[MONTH_RECORDS - 1].counted += record.counted;
        mailbox->records[MONTH_RECORDS - 1].at = record.at;
    } else {
        mailbox->records[mailbox->record_count++] = record;
    }
    month_push(month, (struct month_event){month->now + window_seconds(month), number, 0, MONTH_WINDOW_ENDS});
}

/* Until what is gone is proven or held, the mailbox is looked at again. */
static void look_again(struct month *month, uint32_t number)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    uint32_t first = 0;
    for (uint32_t i = 0; i < mailbox->count; i++) {
        uint32_t at = mailbox->messages[i].seen_gone_at;
        if (at && (!first || at < first))
            first = at;
    }
    if (!first)
        return;
    uint32_t proven_at = first + (uint32_t)month->rules.limits.delay_seconds;
    uint32_t from = proven_at > month->now ? proven_at : month->now;
    mailbox->look_at = from + 1 + month_random_below(month, month->rules.round_seconds);
    month_push(month, (struct month_event){mailbox->look_at, number, 0, MONTH_LOOK});
}

static bool is_anything_gone(const struct month_mailbox *mailbox)
{
    for (uint32_t i = 0; i < mailbox->count; i++)
        if (mailbox->messages[i].seen_gone_at)
            return true;
    return false;
}

void month_look(struct month *month, uint32_t number)
{
    struct month_mailbox *mailbox = &month->mailboxes[number];
    if (mailbox->look_at != month->now)
        return; /* an earlier one took its place */
    mailbox->look_at = 0;
    month->tally.looks++;
    see(month, mailbox);
    struct store_brake_mailbox counts = count(month, mailbox);
    if (!is_anything_gone(mailbox))
        return;
    note_record(month, number, take(month, mailbox, ask(month, mailbox, &counts)));
    count(month, mailbox);
    look_again(month, number);
}
