/*
 * Held plans of a directory's entries against a real server: what the brake holds becomes a plan, which is decided, carried out
 * and ended as that very set; what comes later, comes back, or vanishes meanwhile.
 */
#include "base/str.h"
#include "store/store_breaker.h"
#include "store/store_entry.h"
#include "store/store_plan.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err err;
static const struct config_directory limits = {.removed_entries = 20, .removed_share = 0.02};
static struct store_directory_lease lease;

/* ---- a directory ---- */

/* `present` subscribers that production has, with numbers from 1000, and `gone` that it lacks, from 2000. */
static void open_directory(struct store_fixture *fixture, unsigned present, unsigned gone)
{
    lease = (struct store_directory_lease){.epoch = 1, .owner = "host:ldapsync:1:1:1"};
    lease.route_id = (uint32_t)store_fixture_number(fixture, "SELECT route_id FROM route WHERE name = 'dr'");
    store_fixture_sql(fixture, "DELETE FROM directory");
    store_fixture_sql(fixture, "DELETE FROM listed");
    store_fixture_sql(
        fixture,
        "INSERT INTO directory (route_id, due_at, lease_owner, lease_until, lease_epoch) VALUES "
        "(%u, '2100-01-01', '%s', '2100-01-01', 1)",
        lease.route_id, lease.owner);
    store_fixture_sql(
        fixture,
        "INSERT INTO entry (route_id, kind, identity, number, name, source_dn, target_dn, state) "
        "SELECT %u, 'subscriber', seq, seq, CONCAT('Name ', seq), CONCAT('uid=', seq), "
        "CONCAT('uid=', seq, ',o=backup'), 'equal' FROM seq_1000_to_%u",
        lease.route_id, 999 + present + !present);
    if (present == 0)
        store_fixture_sql(fixture, "DELETE FROM entry");
    store_fixture_sql(fixture,
                      "INSERT INTO listed (route_id, side, kind, dn, number, identity, listing) SELECT "
                      "route_id, 'production', kind, source_dn, number, identity, 1 FROM entry");
    store_fixture_sql(
        fixture,
        "INSERT INTO entry (route_id, kind, identity, number, name, source_dn, target_dn, state, "
        "gone_at, gone_listings, gone_listing) SELECT %u, 'subscriber', seq, seq, CONCAT('Name ', "
        "seq), CONCAT('uid=', seq), CONCAT('uid=', seq, ',o=backup'), 'gone', UTC_TIMESTAMP(6), "
        "2, 1 FROM seq_2000_to_%u",
        lease.route_id, 1999 + gone);
}

/* What may be removed: "2000 2001", with '!' after what is held. */
static char *removable(struct store_fixture *fixture, bool dry)
{
    struct store_entry entries[64];
    struct store_entry_removal removal = {.limits = &limits, .kind = STORE_SUBSCRIBER, .dry = dry};
    char *text = str_copy("");
    int count = store_entry_removable(fixture->store, &lease, &removal, 0, entries, 64, &err);
    if (count < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < count; i++) {
        char *longer = str_format("%s%s%s%s", text, i ? " " : "", entries[i].number,
                                  entries[i].state == STORE_ENTRY_HELD ? "!" : "");
        free(text);
        text = longer;
    }
    return text;
}

static void assert_removable(struct store_fixture *fixture, const char *want)
{
    char *text = removable(fixture, false);
    assert_string_equal(text, want);
    free(text);
}

static unsigned count_removable(struct store_fixture *fixture, bool dry)
{
    char *text = removable(fixture, dry);
    unsigned count = *text != '\0';
    for (const char *at = text; *at; at++)
        count += *at == ' ';
    free(text);
    return count;
}

static void assert_text(struct store_fixture *fixture, const char *sql, const char *want)
{
    char *text = store_fixture_text(fixture, "%s", sql);
    assert_string_equal(text ? text : "(null)", want);
    free(text);
}

static void decide(struct store_fixture *fixture, uint64_t plan_id, bool allow)
{
    struct store_plan_decision decision = {.allow = allow, .who = "ann", .reason = "they moved"};
    enum store_plan_decided decided;
    char state[STORE_PLAN_STATE_BYTES];
    ASSERT_OK(store_plan_decide(fixture->other, plan_id, &decision, &decided, state, &err));
    assert_int_equal(decided, STORE_PLAN_DECIDED);
    assert_string_equal(state, allow ? "allowed" : "refused");
}

static void carry_out(struct store_fixture *fixture, const char *number, enum store_entry_removed step)
{
    uint64_t id =
        (uint64_t)store_fixture_number(fixture, "SELECT entry_id FROM entry WHERE number = '%s'", number);
    ASSERT_OK(store_entry_remove(fixture->store, &lease, id, step, "in its words", &err));
}

/* Of production, once more: those that `listed` has, and no others. */
static void list_whole(struct store_fixture *fixture, uint64_t number)
{
    struct store_listing listing = {
        .kind = STORE_SUBSCRIBER, .side = STORE_LISTED_PRODUCTION, .listing = number};
    store_fixture_sql(fixture, "UPDATE listed SET listing = %lu", number);
    ASSERT_OK(store_listed_whole(fixture->store, &lease, &listing, &err));
}

static void go(struct store_fixture *fixture, const char *numbers)
{
    store_fixture_sql(fixture,
                      "UPDATE entry SET state = 'gone', gone_at = UTC_TIMESTAMP(6), gone_listings = 2 WHERE "
                      "number IN (%s)",
                      numbers);
    store_fixture_sql(fixture, "DELETE FROM listed WHERE number IN (%s)", numbers);
}

#define OUTCOMES                                                                                             \
    "SELECT GROUP_CONCAT(CONCAT(plan_id, ' ', outcome, ' ', n) ORDER BY 1 SEPARATOR ', ') FROM (SELECT "     \
    "plan_id, outcome, COUNT(*) AS n FROM plan_entry GROUP BY plan_id, outcome) o"
#define PLANS                                                                                                \
    "SELECT GROUP_CONCAT(CONCAT(plan_id, ' ', kind, ' ', state, ' ', messages, IF(ended_at IS NULL, '', "    \
    "' over')) ORDER BY plan_id SEPARATOR ', ') FROM plan"

/* ---- held ---- */

static void test_within_the_limits_there_is_no_plan(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 10, 2);
    assert_removable(fixture, "2000 2001");
    assert_text(fixture, "SELECT COUNT(*) FROM plan", "0");
}

static void test_held_as_one_plan(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    store_fixture_sql(fixture,
                      "UPDATE entry SET gone_listings = 1 WHERE number = '2003'"); /* not proven yet */
    assert_removable(fixture, "");
    assert_removable(fixture, ""); /* once */
    assert_text(fixture, PLANS, "1 subscribers held 21");
    assert_text(fixture, "SELECT CONCAT(number, name, dn, outcome) FROM plan_entry LIMIT 1",
                "2000Name 2000uid=2000,o=backupopen");
    assert_text(fixture, "SELECT GROUP_CONCAT(DISTINCT state, reason) FROM entry WHERE plan_id = 1",
                "held21 of 121 subscribers are gone from production: more than 20 and more than 2 % "
                "(mirrorctl held show 1)");
    assert_text(fixture, "SELECT COUNT(*) FROM entry WHERE state = 'equal'", "100");
}

static void test_a_dry_run_makes_no_plan(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    char *text = removable(fixture, true);
    assert_non_null(strstr(text, "2000! 2001! "));
    free(text);
    assert_text(fixture, "SELECT COUNT(*) FROM plan", "0");
    assert_removable(fixture, "");
    assert_int_equal(count_removable(fixture, true), 21);
}

static void test_production_that_lists_none_at_all(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 0, 3);
    assert_removable(fixture, "");
    assert_text(fixture, "SELECT CONCAT(kind, reason, messages) FROM plan",
                "subscribersproduction lists no subscribers at all3");
}

static void test_cos_have_a_plan_of_their_own(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_entry entries[64];
    struct store_entry_removal removal = {.limits = &limits, .kind = STORE_COS};
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 10);
    store_fixture_sql(fixture, "UPDATE entry SET kind = 'cos'");
    open_directory(fixture, 100, 21);
    assert_removable(fixture, "");
    assert_int_equal(store_entry_removable(fixture->store, &lease, &removal, 0, entries, 64, &err), 10);
    store_fixture_sql(fixture, "DELETE FROM entry WHERE kind = 'cos' AND gone_at IS NULL");
    assert_int_equal(store_entry_removable(fixture->store, &lease, &removal, 0, entries, 64, &err), 0);
    assert_text(fixture, PLANS, "1 subscribers held 21, 2 cos held 10");
}

/* ---- decided ---- */

static void test_allowed_is_that_very_set(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    assert_removable(fixture, "");
    store_fixture_sql(fixture, "UPDATE directory SET wanted_seq = 4, done_seq = 4");
    go(fixture, "1000");
    assert_removable(fixture, ""); /* held, too: what came just now, and is not decided, is one with it */
    decide(fixture, 1, true);
    assert_text(fixture, "SELECT CONCAT(wanted_seq, due_at <= UTC_TIMESTAMP(6)) FROM directory", "51");
    assert_text(fixture, "SELECT CONCAT(who, what, detail) FROM audit", "annheld allow 1they moved");
    assert_text(fixture, PLANS, "1 subscribers allowed 21, 2 subscribers held 1");
    assert_int_equal(count_removable(fixture, false), 21);
    for (int number = 2000; number <= 2018; number++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", number);
        carry_out(fixture, text, STORE_ENTRY_BEGIN);
        carry_out(fixture, text, STORE_ENTRY_REMOVED);
    }
    carry_out(fixture, "2019", STORE_ENTRY_NOT_GONE);
    carry_out(fixture, "2020", STORE_ENTRY_NEVER);
    assert_text(fixture, OUTCOMES, "1 back 1, 1 kept 1, 1 removed 19, 2 open 1");
    ASSERT_OK(store_entry_plan_end(fixture->store, &lease, STORE_SUBSCRIBER, &err));
    assert_text(fixture, PLANS, "1 subscribers done 21 over, 2 subscribers held 1");
    /* a person's word does not count against the next ones */
    assert_text(fixture, "SELECT COUNT(*) FROM entry_removal", "0");
    assert_text(fixture,
                "SELECT GROUP_CONCAT(number, state, plan_id IS NULL ORDER BY number) FROM entry WHERE "
                "state <> 'equal'",
                "1000held0,2019unproven1,2020kept0");
}

static void test_without_a_word_it_is_counted(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 20);
    assert_int_equal(count_removable(fixture, false), 20);
    carry_out(fixture, "2000", STORE_ENTRY_BEGIN);
    carry_out(fixture, "2000", STORE_ENTRY_REMOVED);
    go(fixture, "1000");
    assert_removable(fixture, "");
    assert_text(fixture, PLANS, "1 subscribers held 20");
}

static void test_refused_is_kept_and_counts_no_more(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    assert_removable(fixture, "");
    decide(fixture, 1, false);
    assert_text(fixture, PLANS, "1 subscribers refused 21");
    go(fixture, "1000");
    assert_removable(fixture, "1000");
    assert_text(fixture, PLANS, "1 subscribers refused 21 over");
    assert_text(fixture, OUTCOMES, "1 kept 21");
    assert_text(fixture, "SELECT GROUP_CONCAT(DISTINCT state, reason) FROM entry WHERE number >= '2000'",
                "keptkept: refused by ann (mirrorctl held show 1)");
    list_whole(fixture, 2);
    assert_text(fixture, "SELECT COUNT(*) FROM entry WHERE state = 'kept'", "21");
    assert_removable(fixture, "1000");
    assert_int_equal(count_removable(fixture, true), 1);
}

/* ---- meanwhile ---- */

static void come_back(struct store_fixture *fixture, const char *number)
{
    store_fixture_sql(fixture,
                      "INSERT INTO listed (route_id, side, kind, dn, number, identity, listing) VALUES (%u, "
                      "'production', 'subscriber', 'uid=%s', '%s', '%s', 1)",
                      lease.route_id, number, number, number);
}

static void test_who_comes_back_drops_out_and_is_mirrored(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    assert_removable(fixture, "");
    come_back(fixture, "2005");
    list_whole(fixture, 2);
    assert_text(fixture,
                "SELECT CONCAT(state, todo, reason, plan_id IS NULL) FROM entry WHERE number = '2005'",
                "unproven11");
    assert_text(fixture, OUTCOMES, "1 back 1, 1 open 20");
    go(fixture, "2005"); /* again: it is none of that plan's matter */
    decide(fixture, 1, true);
    assert_int_equal(count_removable(fixture, false), 21);
    store_fixture_sql(fixture, "UPDATE entry SET gone_listings = 1 WHERE number = '2005'");
    assert_int_equal(count_removable(fixture, false), 20);
    assert_text(fixture, OUTCOMES, "1 back 1, 1 open 20");
}

static void test_who_was_kept_and_comes_back_is_mirrored(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    assert_removable(fixture, "");
    decide(fixture, 1, false);
    assert_removable(fixture, "");
    come_back(fixture, "2005");
    list_whole(fixture, 2);
    assert_text(fixture,
                "SELECT CONCAT(state, todo, reason, plan_id IS NULL) FROM entry WHERE number = '2005'",
                "unproven11");
    assert_text(fixture, OUTCOMES, "1 kept 21");
    go(fixture, "2005");
    assert_removable(fixture, "2005");
}

static void test_all_back_dissolves_it(void **state)
{
    struct store_fixture *fixture = *state;
    char number[16];
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    assert_removable(fixture, "");
    for (int i = 2000; i < 2021; i++) {
        snprintf(number, sizeof(number), "%d", i);
        come_back(fixture, number);
    }
    list_whole(fixture, 2);
    assert_removable(fixture, "");
    assert_text(fixture, PLANS, "1 subscribers dissolved 21 over");
    assert_text(fixture, OUTCOMES, "1 back 21");
}

static void test_what_vanished_from_the_target_is_removed(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    assert_removable(fixture, "");
    store_fixture_sql(fixture,
                      "UPDATE entry SET target_dn = '' WHERE gone_at IS NOT NULL AND number <> '2007'");
    assert_removable(fixture, "");
    assert_text(fixture, OUTCOMES, "1 open 1, 1 removed 20");
    assert_text(fixture, "SELECT COUNT(*) FROM entry WHERE gone_at IS NOT NULL", "1");
}

/* A plan that nobody decides holds what goes later for a day, not for ever. */
static void test_an_old_plan_is_no_disaster(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    assert_removable(fixture, "");
    store_fixture_sql(fixture, "UPDATE plan SET made_at = made_at - INTERVAL 25 HOUR");
    go(fixture, "1000");
    assert_removable(fixture, "1000");
}

/* Should production be another, its directory proves nothing either. */
static void test_a_tripped_breaker_stops_all(void **state)
{
    struct store_fixture *fixture = *state;
    bool tripped;
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    assert_removable(fixture, "");
    decide(fixture, 1, true);
    go(fixture, "1000");
    ASSERT_OK(store_breaker_trip(fixture->store, "dr", "of another site", &tripped, &err));
    assert_int_equal(count_removable(fixture, false), 22);
    ASSERT_OK(store_breaker_trip(fixture->store, "production", "it went back", &tripped, &err));
    assert_removable(fixture, "");
    assert_int_equal(count_removable(fixture, true), 22);
    store_fixture_sql(fixture, "UPDATE plan SET state = 'done' WHERE kind = 'site'");
    assert_int_equal(count_removable(fixture, false), 22);
}

/* ---- for people ---- */

static void see(void *context, const struct store_plan *plan)
{
    char *text = context;
    snprintf(text, 200, "%s %s %s '%s' %u: %u %u %u %u", plan->kind, plan->site, plan->route, plan->mailbox,
             plan->messages, plan->open, plan->removed, plan->kept, plan->back);
}

static void see_entry(void *context, const struct store_plan_entry *entry)
{
    char *text = context;
    snprintf(text, 200, "%s %s %s %s", entry->number, entry->name, entry->dn, entry->outcome);
}

static void test_what_people_see(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_plan_waiting waiting;
    char text[200] = "";
    FIXTURE_OR_SKIP(state);
    open_directory(fixture, 100, 21);
    assert_removable(fixture, "");
    carry_out(fixture, "2000", STORE_ENTRY_NOT_GONE);
    struct store_plan_filter filter = {.open_only = true, .route = "dr", .mailbox = "2005"};
    ASSERT_OK(store_plan_list(fixture->store, &filter, see, text, &err));
    assert_string_equal(text, "subscribers production dr '' 21: 20 0 0 1");
    text[0] = '\0';
    filter.mailbox = "1000";
    ASSERT_OK(store_plan_list(fixture->store, &filter, see, text, &err));
    assert_string_equal(text, "");
    ASSERT_OK(store_plan_count(fixture->store, &waiting, &err));
    assert_int_equal(waiting.plans, 1);
    assert_int_equal(waiting.messages, 0);
    assert_int_equal(waiting.entries, 20);
    ASSERT_OK(store_plan_entries(fixture->store, 1, 0, 1, see_entry, text, &err));
    assert_string_equal(text, "2000 Name 2000 uid=2000,o=backup back");
    ASSERT_OK(store_plan_entries(fixture->store, 1, 0, 0, see_entry, text, &err));
    assert_string_equal(text, "2020 Name 2020 uid=2020,o=backup open");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_within_the_limits_there_is_no_plan),
        TEST(test_held_as_one_plan),
        TEST(test_a_dry_run_makes_no_plan),
        TEST(test_production_that_lists_none_at_all),
        TEST(test_cos_have_a_plan_of_their_own),
        TEST(test_allowed_is_that_very_set),
        TEST(test_without_a_word_it_is_counted),
        TEST(test_refused_is_kept_and_counts_no_more),
        TEST(test_who_comes_back_drops_out_and_is_mirrored),
        TEST(test_who_was_kept_and_comes_back_is_mirrored),
        TEST(test_all_back_dissolves_it),
        TEST(test_what_vanished_from_the_target_is_removed),
        TEST(test_an_old_plan_is_no_disaster),
        TEST(test_a_tripped_breaker_stops_all),
        TEST(test_what_people_see),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
