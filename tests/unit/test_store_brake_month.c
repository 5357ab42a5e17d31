/*
 * Both demands on the brake's limits, by the configuration's own defaults: ordinary users never meet it, and a disaster is
 * held before one of its deletions passes. The site and its users are made up in brake_month.c.
 *
 * MIRROR_TEST_BRAKE_SEEDS=40 repeats all with so many seeds (suite brake-months).
 */
#include "brake_month.h"

#include "base/str.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char yaml[] =
    "data_dir: /tmp/none\n"
    "sites:\n"
    "  - { name: a, imap: { host: a }, trusted_server: { name: m, password_file: f } }\n"
    "  - { name: b, imap: { host: b }, trusted_server: { name: m, password_file: f } }\n"
    "routes:\n"
    "  - { name: r, from: a, to: b }\n";

static struct config_deletions defaults;

static int read_defaults(void **state)
{
    struct err err = {0};
    struct config *config = config_parse(yaml, strlen(yaml), "mirror.yaml", &err);
    (void)state;
    if (!config)
        fail_msg("%s", err.text);
    defaults = config->routes[0].deletions;
    config_free(config);
    return 0;
}

static uint32_t seeds(void)
{
    uint32_t count = 1;
    const char *wish = getenv("MIRROR_TEST_BRAKE_SEEDS");
    return wish && str_to_u32(wish, &count) == 0 ? count : 1;
}

/* 10 logins a second. */
static uint32_t round_seconds(uint32_t mailboxes)
{
    return mailboxes > 600 ? mailboxes / 10 : 60;
}

/* ---- disasters: each returns how many messages it took; 0: there was nothing to strike ---- */

enum { ALL = UINT32_MAX };

/* One that has `least` to `most` messages beside greetings, from a random one on. */
static uint32_t find_mailbox(struct month *month, uint32_t least, uint32_t most)
{
    uint32_t count = month->rules.mailboxes, first = month_random_below(month, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = (first + i) % count, present = month_present(month, number, false);
        if (present >= least && present <= most)
            return number;
    }
    return ALL;
}

static uint32_t strike_one(struct month *month, uint32_t least, struct month_wipe wipe)
{
    wipe.mailbox = find_mailbox(month, least, ALL);
    return wipe.mailbox == ALL ? 0 : month_wipe(month, &wipe);
}

static uint32_t empty_folder(struct month *month)
{
    return strike_one(month, defaults.mailbox_messages + 1, (struct month_wipe){.most = ALL, .others = true});
}

static uint32_t lose_folders(struct month *month)
{
    return strike_one(month, defaults.mailbox_messages + 1,
                      (struct month_wipe){.most = ALL, .others = true, .greetings = true});
}

/* Few messages, but a greeting. */
static uint32_t lose_folders_of_few(struct month *month)
{
    uint32_t number = find_mailbox(month, 0, 9);
    for (uint32_t i = 0; number != ALL && i < 50 && month_present(month, number, true) == 0; i++)
        number = find_mailbox(month, 0, 9);
    if (number == ALL || month_present(month, number, true) == 0)
        return 0;
    return month_wipe(
        month, &(struct month_wipe){.mailbox = number, .most = ALL, .others = true, .greetings = true});
}

static uint32_t lose_with_uidvalidity(struct month *month)
{
    return strike_one(month, 1, (struct month_wipe){.most = 3, .others = true, .nameless = true});
}

static uint32_t lose_from_all(struct month *month, struct month_wipe wipe)
{
    uint32_t taken = 0;
    for (wipe.mailbox = 0; wipe.mailbox < month->rules.mailboxes; wipe.mailbox++)
        taken += month_wipe(month, &wipe);
    return taken;
}

/* A site that holds no more than one mailbox may lose is not told from its users. */
static uint32_t lose_all_but_greetings(struct month *month)
{
    uint32_t taken = lose_from_all(month, (struct month_wipe){.most = ALL, .others = true});
    return taken > defaults.mailbox_messages ? taken : 0;
}

static uint32_t lose_greetings(struct month *month)
{
    return lose_from_all(month, (struct month_wipe){.most = ALL, .greetings = true});
}

static uint32_t lose_all(struct month *month)
{
    uint32_t taken = lose_all_but_greetings(month);
    return taken > 0 ? taken + lose_greetings(month) : 0;
}

/* The messages of all, as far as each mailbox could lose them by itself. */
static uint32_t lose_below_floors(struct month *month)
{
    uint32_t taken =
        lose_from_all(month, (struct month_wipe){.most = defaults.mailbox_messages, .others = true});
    return taken > defaults.route_messages ? taken : 0;
}

/* 7 % of the mailboxes, none of which could be held for itself. */
static uint32_t empty_many(struct month *month)
{
    uint32_t wanted = month->rules.mailboxes * 7 / 100 + 1, taken = 0;
    for (uint32_t i = 0; i < month->rules.mailboxes && wanted > 0; i++) {
        uint32_t present = month_present(month, i, false);
        if (present < STORE_BRAKE_EMPTIED_FROM || present > defaults.mailbox_messages)
            continue;
        taken += month_wipe(month, &(struct month_wipe){.mailbox = i, .most = ALL, .others = true});
        wanted--;
    }
    return wanted == 0 && taken > defaults.route_messages ? taken : 0;
}

static uint32_t wipe_all_slowly(struct month *month)
{
    uint32_t present = 0;
    for (uint32_t i = 0; i < month->rules.mailboxes; i++) {
        present += month_present(month, i, false);
        month_wipe_slowly(month, i, 15, 600);
    }
    return present > defaults.route_messages ? present : 0;
}

enum { BIG = 60 };

static uint32_t wipe_one_slowly(struct month *month)
{
    uint32_t number = find_mailbox(month, BIG, ALL);
    if (number == ALL)
        return 0;
    uint32_t present = month_present(month, number, false);
    month_wipe_slowly(month, number, 3, 60);
    return present;
}

struct disaster {
    const char *name;
    uint32_t (*strike)(struct month *month);
    uint32_t hours;     /* that it goes on; 0: it is over at once */
    double may_pass;    /* share of its messages: those that went before it could be told from a user */
    bool at_first_look; /* held before anything is proven */
};

static const struct disaster disasters[] = {
    {.name = "a folder emptied", .strike = empty_folder, .at_first_look = true},
    {.name = "all folders of a mailbox gone", .strike = lose_folders, .at_first_look = true},
    {.name = "all folders of a mailbox with few messages gone", .strike = lose_folders_of_few},
    {.name = "messages gone with UIDVALIDITY", .strike = lose_with_uidvalidity, .at_first_look = true},
    {.name = "all greetings gone", .strike = lose_greetings},
    {.name = "all mailboxes at once", .strike = lose_all, .at_first_look = true},
    {.name = "all mailboxes, but their greetings", .strike = lose_all_but_greetings, .at_first_look = true},
    {.name = "all mailboxes, each below its floor", .strike = lose_below_floors, .at_first_look = true},
    {.name = "many mailboxes emptied", .strike = empty_many, .at_first_look = true},
    {.name = "all mailboxes slowly", .strike = wipe_all_slowly, .hours = 1},
    {.name = "one mailbox slowly", .strike = wipe_one_slowly, .hours = 2, .may_pass = 0.6},
};
enum { DISASTERS = sizeof(disasters) / sizeof(*disasters) };

static void describe(const struct month *month, const char *what, char text[200])
{
    const struct month_rules *rules = &month->rules;
    snprintf(text, 200, "%s: %u mailboxes%s, seed %llu, day %.2f", what, rules->mailboxes,
             rules->warm_up_days ? "" : ", begun empty", (unsigned long long)rules->seed,
             ((double)month->now - month->begins_at) / MONTH_DAY);
}

/* On a clone; true if there was something to strike. */
static bool check_disaster(const struct month *before, const struct disaster *disaster)
{
    struct month *month = month_clone(before);
    uint32_t looked = month->now + 2 * month->rules.round_seconds;
    uint32_t decided =
        looked + (uint32_t)defaults.delay_seconds + month->rules.round_seconds + disaster->hours * MONTH_HOUR;
    char text[200];
    describe(month, disaster->name, text);
    month->tally = (struct month_tally){0};
    month->nobody_records = true; /* one who does just now lets the old greeting go, rightly */
    uint32_t taken = disaster->strike(month);
    if (taken > 0) {
        month_run(month, decided);
        const struct month_tally *tally = &month->tally;
        if ((double)tally->passed > ceil(disaster->may_pass * taken))
            fail_msg("%s: %llu of %u messages passed", text, (unsigned long long)tally->passed, taken);
        if (tally->held_mailbox + tally->held_route == 0)
            fail_msg("%s: not held", text);
        if (disaster->at_first_look && tally->first_held_at > looked)
            fail_msg("%s: held only after %u s", text, tally->first_held_at - before->now);
        if (disaster->hours == 0 && month_wiped_undecided(month) > 0)
            fail_msg("%s: %u messages undecided", text, month_wiped_undecided(month));
    }
    month_free(month);
    return taken > 0;
}

/* ---- ordinary months, with disasters at random moments of them ---- */

/* False if anybody was held. In one of some hundred months it is the one user of 20 messages a day who has his day, or a site
 * of 20 mailboxes as a whole; never a greater one. */
static bool check_ordinary(const struct month *month)
{
    const struct month_tally *tally = &month->tally;
    char text[200];
    describe(month, "ordinary users", text);
    if (tally->held_route > 0 && month->rules.mailboxes > 20)
        fail_msg("%s: the route was held %u times; first: %s", text, tally->held_route, tally->reason);
    if (tally->mailboxes_held > 0)
        print_message("%s: held %u mailboxes; first: %s\n", text, tally->mailboxes_held, tally->reason);
    return tally->mailboxes_held == 0;
}

/* The model is what the demands speak of: 5 messages a day, 70 % deleted, a real peak. */
static void check_figures(const struct month *month)
{
    const struct month_tally *tally = &month->tally;
    double days = month->rules.days + month->rules.warm_up_days;
    double arrived = (double)tally->arrived / (days * month->rules.mailboxes);
    double deleted = (double)tally->deleted / (double)tally->arrived;
    if (arrived < 4.4 || arrived > 5.6 || deleted < 0.66 || deleted > 0.74 || tally->cleaned == 0 ||
        tally->most_going < 2 * month->rules.mailboxes || tally->asked < tally->deleted / 2)
        fail_msg("%.2f a day, %.2f of them deleted, %llu cleaned up, at most %u going, asked %llu times",
                 arrived, deleted, (unsigned long long)tally->cleaned, tally->most_going,
                 (unsigned long long)tally->asked);
}

/* On the first day, when a site that began empty keeps next to nothing. */
enum { FIRST_STRIKE = 11 * MONTH_HOUR };

static bool run_month(const struct month_rules *rules, uint32_t strikes, uint32_t struck[DISASTERS])
{
    struct month *month = month_new(rules);
    for (uint32_t i = 0; i < strikes; i++) {
        uint32_t part = rules->days * MONTH_DAY / strikes;
        month_run(month, month->begins_at + (i == 0 ? FIRST_STRIKE : i * part + i * 2654435761u % part));
        for (size_t kind = 0; kind < DISASTERS; kind++)
            struck[kind] += check_disaster(month, &disasters[kind]);
    }
    month_run(month, month_ends(month));
    bool well = check_ordinary(month);
    if (rules->mailboxes >= 1000)
        check_figures(month);
    month_free(month);
    return well;
}

/* Returns how many months had somebody held. A site in its steady state and one that begins empty, with its retention known and not. */
static uint32_t run_months(uint32_t mailboxes, uint32_t strikes, uint64_t seed, uint32_t struck[DISASTERS])
{
    uint32_t held = 0;
    for (uint32_t kind = 0; kind < 4; kind++) {
        struct month_rules rules = {.seed = seed * 100 + kind,
                                    .mailboxes = mailboxes,
                                    .starts = (uint32_t)(seed * 4 + kind * 3) % 7,
                                    .warm_up_days = kind & 1 ? 14 : 0,
                                    .days = 30,
                                    .retention_known = kind & 2,
                                    .round_seconds = round_seconds(mailboxes),
                                    .limits = defaults};
        held += !run_month(&rules, strikes, struck);
    }
    return held;
}

static void test_thousand(void **state)
{
    uint32_t struck[DISASTERS] = {0}, held = 0;
    (void)state;
    for (uint32_t seed = 1; seed <= seeds(); seed++)
        held += run_months(1000, 4, seed, struck);
    assert_in_range(held, 0, seeds() / 10);
    for (size_t i = 0; i < DISASTERS; i++)
        if (struck[i] < 8 * seeds())
            fail_msg("%s: struck only %u times", disasters[i].name, struck[i]);
}

static void test_small_sites(void **state)
{
    uint32_t struck[DISASTERS] = {0}, held = 0;
    (void)state;
    for (uint32_t seed = 1; seed <= seeds(); seed++) {
        held += run_months(200, 3, seed, struck);
        for (uint32_t i = 0; i < 5; i++)
            held += run_months(20, 3, seed * 5 + i, struck);
    }
    assert_in_range(held, 0, seeds() / 10);
    assert_true(struck[0] >= 20 * seeds());
}

/* 20,000 mailboxes at 10 logins a second: all are seen once in 2,000 s only, and most of a disaster not before the first of
 * its deletions is proven. */
static void test_slow_looks(void **state)
{
    static const struct disaster all = {.name = "all, seen slowly", .strike = lose_all};
    static const struct disaster below = {
        .name = "below the floors, seen slowly", .strike = lose_below_floors, .may_pass = 0.01};
    struct month_rules rules = {.seed = 7,
                                .mailboxes = 1000,
                                .warm_up_days = 14,
                                .days = 2,
                                .round_seconds = 2000,
                                .limits = defaults};
    struct month *month = month_new(&rules);
    (void)state;
    for (uint32_t hour = 0; hour < 48; hour += 3) {
        month_run(month, month->begins_at + hour * MONTH_HOUR);
        assert_true(check_disaster(month, &all));
        assert_true(check_disaster(month, &below));
    }
    month_free(month);
}

/* What was held counts for the window only, and does not feed on itself: with the disaster decided, or ignored, users'
 * deletions go through again. */
static void test_lets_go(void **state)
{
    struct month_rules rules = {.seed = 11,
                                .mailboxes = 1000,
                                .warm_up_days = 14,
                                .days = 3,
                                .round_seconds = 100,
                                .limits = defaults};
    struct month *month = month_new(&rules);
    (void)state;
    month_run(month, month->begins_at + MONTH_DAY + 9 * MONTH_HOUR);
    assert_true(lose_below_floors(month) > 0);
    month_run(month, month->now + 2 * MONTH_HOUR);
    assert_true(month->tally.held_route > 500);
    month->tally = (struct month_tally){0};
    month_run(month, month->now + 4 * MONTH_HOUR);
    assert_true(month->tally.asked > 1000);
    assert_int_equal(month->tally.held_route, 0);
    month_free(month);
}

/* Users beyond the ordinary: every fifth deletes all that he hears, four days are off in a row, and every seventh comes back
 * from two weeks away. Of these some are held, for their own mailbox (about 25 of 1,000 in the month; a person may allow it);
 * the route never is, with all the others' deletions. */
static void test_hard_months(void **state)
{
    (void)state;
    for (uint32_t seed = 6; seed < 6 + seeds(); seed++) {
        struct month_rules rules = {.seed = seed,
                                    .mailboxes = 1000,
                                    .warm_up_days = seed & 1 ? 14 : 0,
                                    .days = 30,
                                    .retention_known = seed & 2,
                                    .holidays = 0.15,
                                    .deleters = 0.2,
                                    .long_weekend = true,
                                    .round_seconds = round_seconds(1000),
                                    .limits = defaults};
        struct month *month = month_new(&rules);
        month_run(month, month_ends(month));
        if (month->tally.held_route > 0)
            fail_msg("seed %u: the route was held %u times, of %u emptied and %u going at most", seed,
                     month->tally.held_route, month->tally.most_emptied, month->tally.most_going);
        assert_in_range(month->tally.mailboxes_held, 1, 60);
        month_free(month);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thousand),    cmocka_unit_test(test_small_sites),
        cmocka_unit_test(test_slow_looks),  cmocka_unit_test(test_lets_go),
        cmocka_unit_test(test_hard_months),
    };

    return cmocka_run_group_tests(tests, read_defaults, NULL);
}
