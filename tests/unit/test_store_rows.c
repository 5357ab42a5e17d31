/*
 * Rows as they come back, against a real server: texts of any length next to each other, also with a client library that
 * sets all lengths to 0 when results are bound (Connector/C 3.3.19, which is Debian's 10.11.18); and what is said of a
 * value that does not fit.
 */
#include "base/str.h"
#include "store/store_query.h"
#include "store_fixture.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err err;
static bool forgets_lengths;

/* The program's own comes before the library's. */
my_bool STDCALL mysql_stmt_bind_result(MYSQL_STMT *stmt, MYSQL_BIND *binds)
{
    my_bool(STDCALL * real)(MYSQL_STMT *, MYSQL_BIND *) = NULL;
    void *symbol = dlsym(RTLD_NEXT, "mysql_stmt_bind_result");
    memcpy(&real, &symbol, sizeof(real));
    my_bool failed = real(stmt, binds);
    for (unsigned i = 0; forgets_lengths && i < mysql_stmt_field_count(stmt); i++)
        *binds[i].length = 0;
    return failed;
}

/* Buffers begin at 1,024 bytes; NULL is -1. */
static const int lengths[] = {0, 1, 1023, 1024, 1025, 3, 50000, 50001, 7, -1, 20, 300000, -1, 5};
enum { ROWS = sizeof(lengths) / sizeof(*lengths) };

static void add_rows(struct store_fixture *fixture)
{
    store_fixture_sql(fixture, "CREATE TABLE texts (id INT UNSIGNED PRIMARY KEY, digest BINARY(4) NOT NULL, "
                               "bytes MEDIUMBLOB NULL, words MEDIUMTEXT NULL, tail VARCHAR(20) NOT NULL)");
    for (unsigned i = 0; i < ROWS; i++)
        store_fixture_sql(fixture,
                          "INSERT INTO texts VALUES (%u, 'abcd', IF(%d < 0, NULL, REPEAT('b', %d)), "
                          "REPEAT('w', %d), 'tail %u')",
                          i, lengths[i], lengths[i], (int)i * 700, i);
}

static void assert_filled(const char *text, char with, size_t len)
{
    assert_int_equal(strlen(text), len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(text[i], with);
}

static void read_rows(struct store_fixture *fixture)
{
    struct store_query *query =
        STORE_ROWS(fixture->store, &err, "SELECT id, digest, bytes, words, tail FROM texts ORDER BY id");
    char digest[4], tail[20];
    assert_int_equal(store_query_count(query), ROWS);
    for (unsigned i = 0; store_query_next(query); i++) {
        assert_int_equal(store_query_u32(query), i);
        assert_true(store_query_bytes(query, digest, sizeof(digest)));
        assert_memory_equal(digest, "abcd", 4);
        assert_int_equal(store_query_is_null(query), lengths[i] < 0);
        assert_filled(store_query_text(query), 'b', lengths[i] < 0 ? 0 : (size_t)lengths[i]);
        assert_filled(store_query_text(query), 'w', (size_t)i * 700);
        store_query_copy(query, tail, sizeof(tail));
        assert_int_equal(strncmp(tail, "tail ", 5), 0);
    }
    if (store_query_end(query, &err))
        fail_msg("%s", err.text);
}

/* Twice: the second time all buffers are as large as they will be. */
static void test_long_texts(void **state)
{
    FIXTURE_OR_SKIP(state);
    forgets_lengths = false;
    add_rows(*state);
    read_rows(*state);
    read_rows(*state);
}

static void test_long_texts_where_binding_forgets_lengths(void **state)
{
    FIXTURE_OR_SKIP(state);
    forgets_lengths = true;
    add_rows(*state);
    read_rows(*state);
    read_rows(*state);
    forgets_lengths = false;
}

static void test_what_does_not_fit_is_described(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_fixture *fixture = *state;
    char digest[4];
    struct store_query *query = STORE_ROWS(
        fixture->store, &err, "SELECT 1, 'abcd' UNION ALL SELECT 2, 'abc' UNION ALL SELECT 3, 'a'");
    while (store_query_next(query)) {
        store_query_u32(query);
        store_query_bytes(query, digest, sizeof(digest));
    }
    assert_int_equal(store_query_end(query, &err), -1);
    assert_string_equal(err.text, "store: row 2 of 3, column 2 is bytes of another length (3 bytes): "
                                  "SELECT 1, 'abcd' UNION ALL SELECT 2, 'abc' UNION ALL SELECT 3, 'a'");
    query = STORE_ROWS(fixture->store, &err, "SELECT 5000000000");
    assert_true(store_query_next(query));
    store_query_u32(query);
    assert_int_equal(store_query_end(query, &err), -1);
    assert_string_equal(err.text, "store: row 1 of 1, column 1 is over 32 bits: SELECT 5000000000");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_long_texts),
        TEST(test_long_texts_where_binding_forgets_lengths),
        TEST(test_what_does_not_fit_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
