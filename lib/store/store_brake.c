/*
 * The brake's decision; see store_brake.h. Used by copiers, through store_removal.c.
 *
 * A mailbox's own limits come first: where one big mailbox is emptied, it is held, and not the route that it is most of.
 */
#include "store/store_brake.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_BYTES = 48, MANY_ONE_IN = 20 };

/* Shares are decimal fractions that a double only comes near: 29 of 100 are not more than 0.29 of them. */
static bool is_more_than_share(uint64_t part, double share, uint64_t whole)
{
    return (double)part > share * (double)whole * (1 + 1e-12);
}

struct words {
    char *text; /* STORE_BRAKE_REASON_BYTES; cut to fit */
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void say(struct words *words, const char *format, ...)
{
    size_t room = STORE_BRAKE_REASON_BYTES - words->used;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(words->text + words->used, room, format, args);
    va_end(args);
    if (len > 0)
        words->used += (size_t)len < room ? (size_t)len : room - 1;
}

/* "1,203" */
static const char *grouped(uint64_t number, char text[NUMBER_BYTES])
{
    char digits[NUMBER_BYTES];
    size_t out = 0;
    size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text[out++] = ',';
        text[out++] = digits[i];
    }
    text[out] = '\0';
    return text;
}

/* "20", "12.5" */
static const char *decimal(double number, char text[NUMBER_BYTES])
{
    size_t len = (size_t)snprintf(text, NUMBER_BYTES, "%.2f", number);
    while (text[len - 1] == '0')
        text[--len] = '\0';
    if (text[len - 1] == '.')
        text[len - 1] = '\0';
    return text;
}

/* "31 of 40 messages", "all 2 greetings", "the only greeting" */
static void say_part(struct words *words, uint64_t gone, uint64_t whole, const char *noun)
{
    char a[NUMBER_BYTES], b[NUMBER_BYTES];
    if (whole == 1)
        say(words, "the only %s", noun);
    else if (gone == whole)
        say(words, "all %s %ss", grouped(gone, a), noun);
    else
        say(words, "%s of %s %ss", grouped(gone, a), grouped(whole, b), noun);
}

/* "31 of 40 messages are gone", "1 of 2 messages is gone" */
static void say_gone(struct words *words, uint64_t gone, uint64_t whole, const char *noun)
{
    say_part(words, gone, whole, noun);
    say(words, gone == 1 ? " is gone" : " are gone");
}

/* ": more than 20 and more than 50 %" */
static void say_limits(struct words *words, uint64_t floor, double share)
{
    char a[NUMBER_BYTES], b[NUMBER_BYTES];
    say(words, ": more than %s and more than %s %%", grouped(floor, a), decimal(share * 100, b));
}

static void say_window(struct words *words, double minutes)
{
    char text[NUMBER_BYTES];
    decimal(minutes, text);
    say(words, " within %s minute%s", text, strcmp(text, "1") ? "s" : "");
}

struct route_limit {
    uint64_t floor;
    double share;
};

/* Where little is kept, what users hear and delete on a Monday morning is more than any share of it. */
static struct route_limit route_limit(const struct config_deletions *limits,
                                      const struct store_brake_route *route)
{
    uint64_t all = (uint64_t)route->mailboxes * STORE_BRAKE_ROUTE_PER_MAILBOX;
    return (struct route_limit){all > limits->route_messages ? all : limits->route_messages,
                                limits->route_share};
}

/* But nearly everything, of nearly everybody, goes with no user: also where little is kept, or few have a mailbox. */
static struct route_limit wiped_limit(const struct config_deletions *limits,
                                      const struct store_brake_route *route)
{
    return (struct route_limit){route->mailboxes < STORE_BRAKE_MANY ? UINT64_MAX : limits->mailbox_messages,
                                STORE_BRAKE_WIPED_SHARE};
}

static bool hold_route_messages(const struct config_deletions *limits, const struct store_brake_route *route,
                                struct route_limit limit, struct words *reason)
{
    uint64_t whole = route->left + route->going;
    if (route->going <= limit.floor || !is_more_than_share(route->going, limit.share, whole))
        return false;
    say(reason, "route: ");
    say_gone(reason, route->going, whole, "message");
    say(reason, " from production");
    say_window(reason, limits->window_minutes);
    say_limits(reason, limit.floor, limit.share);
    return true;
}

static bool hold_route_mailboxes(const struct config_deletions *limits, const struct store_brake_route *route,
                                 struct words *reason)
{
    char a[NUMBER_BYTES], b[NUMBER_BYTES];
    if (route->going <= limits->route_messages || route->emptied < STORE_BRAKE_MANY ||
        !is_more_than_share(route->emptied, limits->route_mailboxes_share, route->mailboxes))
        return false;
    say(reason, "route: %s of %s mailboxes were emptied", grouped(route->emptied, a),
        grouped(route->mailboxes, b));
    say_window(reason, limits->window_minutes);
    say(reason, ": more than %s %%", decimal(limits->route_mailboxes_share * 100, a));
    return true;
}

static bool hold_nameless(const struct store_brake_mailbox *mailbox, struct words *reason)
{
    char text[NUMBER_BYTES];
    if (mailbox->nameless == 0)
        return false;
    say(reason, "%s message%s gone since the folder was made anew (UIDVALIDITY changed)",
        grouped(mailbox->nameless, text), mailbox->nameless == 1 ? " is" : "s are");
    return true;
}

static bool hold_greetings(const struct store_brake_mailbox *mailbox, struct words *reason)
{
    if (mailbox->greetings_gone == 0 || mailbox->greetings_left > 0)
        return false;
    say_gone(reason, mailbox->greetings_gone, mailbox->greetings_gone, "greeting");
    if (mailbox->going > 0) {
        say(reason, ", and ");
        say_part(reason, mailbox->going, (uint64_t)mailbox->left + mailbox->going, "message");
    }
    return true;
}

static bool hold_folders(const struct store_brake_mailbox *mailbox, struct words *reason)
{
    char text[NUMBER_BYTES];
    if (mailbox->folders_gone < STORE_BRAKE_FOLDERS || mailbox->folders_left > 0)
        return false;
    say(reason, "all folders besides INBOX are gone from production, %s of them with messages",
        grouped(mailbox->folders_gone, text));
    return true;
}

static bool hold_messages(const struct config_deletions *limits, const struct store_brake_mailbox *mailbox,
                          struct words *reason)
{
    uint64_t whole = (uint64_t)mailbox->left + mailbox->going;
    if (mailbox->going <= limits->mailbox_messages ||
        !is_more_than_share(mailbox->going, limits->mailbox_share, whole))
        return false;
    say_gone(reason, mailbox->going, whole, "message");
    say(reason, " from production");
    say_limits(reason, limits->mailbox_messages, limits->mailbox_share);
    return true;
}

enum store_brake_verdict store_brake_decide(const struct config_deletions *limits,
                                            const struct store_brake_mailbox *mailbox,
                                            const struct store_brake_route *route,
                                            char reason[STORE_BRAKE_REASON_BYTES])
{
    struct words words = {.text = reason};
    reason[0] = '\0';
    if (hold_nameless(mailbox, &words) || hold_greetings(mailbox, &words) || hold_folders(mailbox, &words) ||
        hold_messages(limits, mailbox, &words))
        return STORE_BRAKE_HOLD_MAILBOX;
    if (hold_route_messages(limits, route, route_limit(limits, route), &words) ||
        hold_route_messages(limits, route, wiped_limit(limits, route), &words) ||
        hold_route_mailboxes(limits, route, &words))
        return STORE_BRAKE_HOLD_ROUTE;
    return STORE_BRAKE_GO;
}

bool store_brake_is_emptied(const struct store_brake_mailbox *mailbox)
{
    return mailbox->left == 0 && mailbox->going >= STORE_BRAKE_EMPTIED_FROM;
}

bool store_brake_are_many(uint32_t mailboxes_with_sign, uint32_t mailboxes)
{
    return mailboxes_with_sign >= STORE_BRAKE_MANY &&
           (uint64_t)mailboxes_with_sign * MANY_ONE_IN >= mailboxes;
}
