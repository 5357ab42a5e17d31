/*
 * Migrations against a real server: from nothing, resumed at each step, a newer database, two hosts at once.
 */
#include "base/str.h"
#include "store/store_link.h"
#include "store/store_migrate.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct err err;

static unsigned count_steps(const char *sql)
{
    unsigned count = 0;
    char *statement;
    for (; (statement = store_migrate_next(&sql)); count++)
        free(statement);
    return count;
}

/* The first `count` statements of the first migration. */
static char *first_steps(unsigned count)
{
    const char *sql = schema_files[0].sql;
    char *text = str_copy("");
    for (unsigned i = 0; i < count; i++) {
        char *statement = store_migrate_next(&sql), *longer = str_format("%s%s\n", text, statement);
        free(statement);
        free(text);
        text = longer;
    }
    return text;
}

static char *columns_of(struct store_fixture *fixture)
{
    return store_fixture_text(
        fixture,
        "SELECT GROUP_CONCAT(table_name, '.', column_name, ':', column_type ORDER BY table_name, "
        "column_name) FROM information_schema.COLUMNS WHERE table_schema = '%s'",
        fixture->database);
}

static void migrate_again(struct store_fixture *fixture, const char *expected)
{
    assert_int_equal(store_migrate(&fixture->config, &err), 0);
    char *columns = columns_of(fixture);
    assert_string_equal(columns, expected);
    free(columns);
    struct store *store = store_open(&fixture->config, &err);
    assert_non_null(store);
    assert_int_equal(store_check_version(store, &err), 0);
    store_free(store);
}

/* Killed after the record of step n, and between its DDL and its record: both times it ends like the undisturbed run. */
static void test_resumed_at_each_step(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_sql(fixture, "SET group_concat_max_len = 1000000");
    assert_int_equal(store_migrate(&fixture->config, &err), 0);
    char *expected = columns_of(fixture);
    unsigned steps = count_steps(schema_files[0].sql);
    assert_true(steps >= 12);
    for (unsigned n = 1; n <= steps; n++) {
        char *sql = first_steps(n);
        const struct schema_file part = {.name = schema_files[0].name, .sql = sql};
        store_fixture_sql(fixture, "DROP DATABASE %s", fixture->database);
        assert_int_equal(store_migrate_files(&fixture->config, &part, 1, &err), 0);
        store_fixture_sql(fixture, "DELETE FROM %s.schema_step WHERE step = %u AND %u %% 2",
                          fixture->database, n, n);
        migrate_again(fixture, expected);
        free(sql);
    }
    free(expected);
}

static void test_again_changes_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_int_equal(store_migrate(&fixture->config, &err), 0);
    char *first =
        store_fixture_text(fixture, "SELECT MAX(applied_at) FROM %s.schema_step", fixture->database);
    assert_int_equal(store_migrate(&fixture->config, &err), 0);
    char *second =
        store_fixture_text(fixture, "SELECT MAX(applied_at) FROM %s.schema_step", fixture->database);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

static void test_newer_database_is_refused(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_int_equal(store_migrate(&fixture->config, &err), 0);
    struct store *store = store_open(&fixture->config, &err);
    store_fixture_sql(fixture, "INSERT INTO %s.schema_step VALUES (900, 1, 'later', NOW(6))",
                      fixture->database);
    assert_int_equal(store_migrate(&fixture->config, &err), -1);
    assert_non_null(strstr(err.text, "schema version 900, made by a newer release"));
    assert_int_equal(err.retry, ERR_RETRY_NEVER);
    assert_int_equal(store_check_version(store, &err), -1);
    assert_non_null(strstr(err.text, "newer release"));
    store_free(store);
}

static void test_incomplete_database_is_not_used(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_int_equal(store_migrate(&fixture->config, &err), 0);
    struct store *store = store_open(&fixture->config, &err);
    store_fixture_sql(fixture, "DELETE FROM %s.schema_step WHERE step = 3", fixture->database);
    assert_int_equal(store_check_version(store, &err), -1);
    assert_non_null(strstr(err.text, "not complete"));
    store_free(store);
}

/* Several hosts start at once: one migrates, the others wait and find it done. */
static void test_several_at_once(void **state)
{
    struct store_fixture *fixture = *state;
    pid_t pids[4];
    FIXTURE_OR_SKIP(state);
    for (int i = 0; i < 4; i++)
        if ((pids[i] = fork()) == 0)
            _exit(store_migrate(&fixture->config, &err) ? 1 : 0);
    for (int i = 0; i < 4; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(
        (int)store_fixture_number(fixture, "SELECT COUNT(*) FROM %s.schema_step", fixture->database),
        (int)count_steps(schema_files[0].sql));
}

/* The lock of a killed run does not hold up the next: its connection is gone. */
static void test_lock_of_a_dead_owner(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_int_equal(store_migrate(&fixture->config, &err), 0);
    store_fixture_sql(
        fixture,
        "UPDATE %s.schema_lock SET owner = 'elsewhere:1:1', server = CONCAT(@@hostname, ' ', @@datadir), "
        "connection_id = 4000000000, until = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR",
        fixture->database);
    assert_int_equal(store_migrate(&fixture->config, &err), 0);
}

/* A second version: a dump of what was there is made first. */
static void test_dump_before_the_next_version(void **state)
{
    struct store_fixture *fixture = *state;
    const struct schema_file files[] = {
        schema_files[0], {"777_next.sql", "ALTER TABLE audit ADD COLUMN IF NOT EXISTS extra INT;\n"}};
    char path[128];
    struct stat status;
    FIXTURE_OR_SKIP(state);
    assert_int_equal(store_migrate(&fixture->config, &err), 0);
    assert_int_equal(store_migrate_files(&fixture->config, files, 2, &err), 0);
    snprintf(path, sizeof(path), "%s/backup-before-777.sql", fixture->data_dir);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_true(status.st_size > 5000);
    assert_int_equal(store_migrate(&fixture->config, &err), -1); /* this program does not know 777 */
}

static void test_failing_step_says_which(void **state)
{
    struct store_fixture *fixture = *state;
    const struct schema_file bad = {"001_bad.sql",
                                    "CREATE TABLE IF NOT EXISTS a (b INT PRIMARY KEY);\nNONSENSE;\n"};
    FIXTURE_OR_SKIP(state);
    assert_int_equal(store_migrate_files(&fixture->config, &bad, 1, &err), -1);
    assert_non_null(
        strstr(err.text, "migration 001_bad.sql step 2: store: You have an error in your SQL syntax"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup_empty, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_resumed_at_each_step),
        TEST(test_again_changes_nothing),
        TEST(test_newer_database_is_refused),
        TEST(test_incomplete_database_is_not_used),
        TEST(test_several_at_once),
        TEST(test_lock_of_a_dead_owner),
        TEST(test_dump_before_the_next_version),
        TEST(test_failing_step_says_which),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
