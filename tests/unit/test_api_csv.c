/*
 * CSV as people's programs write it: records, headers, and bad lines that harm no other.
 */
#include "api/api_csv.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct one {
    const char *what, *text;
    const char *want; /* "line:field|field|…" a record, "line!" a bad one, blank between */
};

static const struct one table[] = {
    {"plain", "a,b\n1,2\n", "1:a|b 2:1|2"},
    {"no line end at the end", "a,b\n1,2", "1:a|b 2:1|2"},
    {"CRLF", "a,b\r\n1,2\r\n", "1:a|b 2:1|2"},
    {"CR LF and a lone CR at the end", "a,b\r\n1,2\r", "1:a|b 2:1|2"},
    {"byte order mark",
     "\xef\xbb\xbf"
     "a,b\n1,2\n",
     "1:a|b 2:1|2"},
    {"Excel in Germany", "a;b\r\n1;2,5\r\n", "1:a|b 2:1|2,5"},
    {"sep= line", "sep=;\r\na;b\r\n1;2\r\n", "2:a|b 3:1|2"},
    {"sep= line, comma though the header has a semicolon", "sep=,\na;x,b\n", "2:a;x|b"},
    {"blank lines", "\na\n\n  \n\t\r\n1\n\n", "2:a 6:1"},
    {"quotes", "a,\"b\"\n\"1,1\",\"say \"\"x\"\"\"\n", "1:a|b 2:1,1|say \"x\""},
    {"blanks around", " a , \"b\" \n 1 ,\" 2 \"\n", "1:a|b 2:1| 2 "},
    {"empty fields", "a,b,c\n,,\n1,,3\n", "1:a|b|c 2:|| 3:1||3"},
    {"empty quoted", "a,b\n\"\",\"\"\n", "1:a|b 2:|"},
    {"a quoted field over two lines", "a,b\n1,\"x\ny\"\n2,z\n", "1:a|b 2:1|x\ny 4:2|z"},
    {"a quote never closed", "a,b\n1,\"x\n2,y\n3,z\n", "1:a|b 2! 3:2|y 4:3|z"},
    {"text after a quote", "a,b\n1,\"x\"y\n2,z\n", "1:a|b 2! 3:2|z"},
    {"a quote that closes on the next line by accident", "a,b\n1,\"x\n2,\"y\"\n3,z\n",
     "1:a|b 2! 3:2|y 4:3|z"},
    {"a quote in an unquoted field is itself", "a,b\n1,x\"y\n", "1:a|b 2:1|x\"y"},
    {"not UTF-8", "a,b\n1,J\xf6rg\n2,z\n", "1:a|b 2! 3:2|z"},
    {"a tab is no separator", "a,b\n1\t2,3\n", "1:a|b 2:1\t2|3"},
    {"only a header", "mailbox", "1:mailbox"},
};

static void add(char *got, const char *text)
{
    assert_true(strlen(got) + strlen(text) < 1000);
    memcpy(got + strlen(got), text, strlen(text) + 1);
}

static void print_record(char got[1000], enum api_csv_result result, const struct api_csv_record *record)
{
    char number[24];
    snprintf(number, sizeof number, "%s%u%s", *got ? " " : "", record->line,
             result == API_CSV_BAD ? "!" : ":");
    add(got, number);
    for (size_t i = 0; result == API_CSV_RECORD && i < record->count; i++) {
        add(got, i > 0 ? "|" : "");
        add(got, record->fields[i]);
    }
    if (result == API_CSV_BAD)
        assert_non_null(record->problem);
}

static void test_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct api_csv csv;
        struct api_csv_record record;
        enum api_csv_result result;
        char got[1000] = "", *bytes = str_copy(table[i].text);
        assert_int_equal(api_csv_init(&csv, bytes, strlen(bytes), NULL), 0);
        while ((result = api_csv_next(&csv, &record)) != API_CSV_END)
            print_record(got, result, &record);
        if (strcmp(got, table[i].want) != 0)
            fail_msg("%s: got '%s', want '%s'", table[i].what, got, table[i].want);
        free(bytes);
    }
}

static void test_whole_file_refused(void **state)
{
    (void)state;
    struct api_csv csv;
    struct err err = {0};
    char utf16[] = "\xff\xfem\0a\0", empty[1] = "", only_mark[] = "\xef\xbb\xbf";
    assert_int_equal(api_csv_init(&csv, utf16, 6, &err), -1);
    assert_non_null(strstr(err.text, "UTF-16"));
    assert_int_equal(api_csv_init(&csv, empty, 0, &err), -1);
    assert_int_equal(api_csv_init(&csv, only_mark, 3, &err), -1);
}

static void test_nul_is_refused(void **state)
{
    (void)state;
    char bytes[] = "a\n1\0002\n3\n";
    struct api_csv csv;
    struct api_csv_record record;
    assert_int_equal(api_csv_init(&csv, bytes, sizeof bytes - 1, NULL), 0);
    assert_int_equal(api_csv_next(&csv, &record), API_CSV_RECORD);
    assert_int_equal(api_csv_next(&csv, &record), API_CSV_BAD);
    assert_int_equal(api_csv_next(&csv, &record), API_CSV_RECORD);
    assert_string_equal(record.fields[0], "3");
}

static void test_limits(void **state)
{
    (void)state;
    enum { LEN = 2 * API_CSV_MAX_RECORD_BYTES };
    char *bytes = mem_new(LEN + 16);
    struct api_csv csv;
    struct api_csv_record record;
    memset(bytes, 'x', LEN);
    memcpy(bytes + LEN, "\n1\n", 3);
    assert_int_equal(api_csv_init(&csv, bytes, LEN + 3, NULL), 0);
    assert_int_equal(api_csv_next(&csv, &record), API_CSV_BAD);
    assert_int_equal(api_csv_next(&csv, &record), API_CSV_RECORD);
    assert_int_equal(record.line, 2);
    memset(bytes, ',', 200);
    memcpy(bytes + 200, "\n1\n", 3);
    assert_int_equal(api_csv_init(&csv, bytes, 203, NULL), 0);
    assert_int_equal(api_csv_next(&csv, &record), API_CSV_BAD);
    assert_int_equal(api_csv_next(&csv, &record), API_CSV_RECORD);
    free(bytes);
}

static int read_header(const char *text, struct api_csv_header *header, struct err *err)
{
    static char bytes[200];
    struct api_csv csv;
    str_into(bytes, sizeof bytes, text);
    return api_csv_init(&csv, bytes, strlen(bytes), err) < 0 ? -1 : api_csv_header(&csv, header, err);
}

static void test_header(void **state)
{
    (void)state;
    struct api_csv_header header;
    struct err err = {0};
    assert_int_equal(read_header("Name;MAILBOX;foo;bar\n", &header, &err), 0);
    assert_int_equal(header.place[API_CSV_NAME], 0);
    assert_int_equal(header.place[API_CSV_MAILBOX], 1);
    assert_int_equal(header.place[API_CSV_COS], API_CSV_MAX_FIELDS);
    assert_string_equal(header.ignored, "foo, bar");
    assert_int_equal(read_header("name,cos\n", &header, &err), -1);
    assert_non_null(strstr(err.text, "mailbox"));
    assert_int_equal(read_header("mailbox,Mailbox\n", &header, &err), -1);
    assert_non_null(strstr(err.text, "twice"));
    assert_int_equal(read_header("\n\n", &header, &err), -1);
    assert_int_equal(read_header("mailbox,\"x", &header, &err), -1);
}

static void test_fields(void **state)
{
    (void)state;
    char bytes[] = "cos,mailbox,name\n12,1001\n,1002,\n";
    struct api_csv csv;
    struct api_csv_header header;
    struct api_csv_record record;
    assert_int_equal(api_csv_init(&csv, bytes, strlen(bytes), NULL), 0);
    assert_int_equal(api_csv_header(&csv, &header, NULL), 0);
    assert_int_equal(api_csv_next(&csv, &record), API_CSV_RECORD);
    assert_string_equal(api_csv_field(&header, &record, API_CSV_MAILBOX), "1001");
    assert_string_equal(api_csv_field(&header, &record, API_CSV_COS), "12");
    assert_null(api_csv_field(&header, &record, API_CSV_NAME));
    assert_null(api_csv_field(&header, &record, API_CSV_ROUTES));
    assert_int_equal(api_csv_next(&csv, &record), API_CSV_RECORD);
    assert_null(api_csv_field(&header, &record, API_CSV_COS));
    assert_null(api_csv_field(&header, &record, API_CSV_NAME));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),        cmocka_unit_test(test_whole_file_refused),
        cmocka_unit_test(test_nul_is_refused), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_header),         cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
