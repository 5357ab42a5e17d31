/*
 * Lists of messages against a scripted server: answers in any order, twice, in pieces, for messages nobody asked about.
 */
#include "imap/imap_messages.h"
#include "imap_client.h"

#include "base/str.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void write_messages(struct buf *text, const struct imap_messages *messages)
{
    for (size_t i = 0; i < messages->count; i++) {
        const struct imap_message *message = &messages->items[i];
        buf_addf(text, "%u", message->uid);
        if (message->has_flags) {
            char *flags = imap_flags_format(&message->flags);
            buf_addf(text, " (%s)", flags);
            free(flags);
        }
        if (message->has_size)
            buf_addf(text, " %" PRIu64, message->size_bytes);
        if (message->has_date)
            buf_addf(text, " %s", message->date.text);
        if (message->has_header)
            buf_add_str(text, " header");
        buf_add_str(text, "\n");
    }
}

/* ---- FETCH ---- */

static const struct {
    const char *const *script;
    const char *messages; /* or the error */
} fetches[] = {
    {IMAP_SCRIPT("C: UID FETCH 1:* (UID FLAGS)", "S: $ OK"), ""},
    {IMAP_SCRIPT("C: UID FETCH 1:* (UID FLAGS)", "S: * 2 FETCH (UID 9 FLAGS (b))",
                 "S: * 1 FETCH (FLAGS () UID 3)", "S: $ OK"),
     "3 ()\n9 (b)\n"},
    /* twice: the later one counts, for what it tells */
    {IMAP_SCRIPT("C: UID FETCH 1:* (UID FLAGS)", "S: * 1 FETCH (UID 3 FLAGS (a) RFC822.SIZE 7)",
                 "S: * 2 FETCH (UID 9 FLAGS ())", "S: * 1 FETCH (UID 3 FLAGS (\\Seen))",
                 "S: * 1 FETCH (UID 3 BODY[HEADER] \"x\")", "S: $ OK"),
     "3 (\\Seen) 7 header\n9 ()\n"},
    /* what another session did, told without a UID; what nobody asked about */
    {IMAP_SCRIPT("C: UID FETCH 1:* (UID FLAGS)", "S: * 1 FETCH (FLAGS (\\Deleted))", "S: * 4 EXISTS",
                 "S: * 1 FETCH (UID 3 FLAGS ())", "S: $ OK"),
     "3 ()\n"},
    {IMAP_SCRIPT("C: UID FETCH 1:* (UID FLAGS)", "S: * 1 FETCH (UID 3 FLAGS ())", "S: $ NO not now"),
     "UID FETCH: NO not now"},
};

static void test_fetch(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(fetches) / sizeof(fetches[0]); i++) {
        struct imap_client client;
        struct imap_messages messages = {0};
        struct err err = {0};
        imap_client_log_in(&client, "", fetches[i].script);
        if (imap_messages_fetch(client.session, "1:*", "FLAGS", "", &messages, &err) == 0)
            write_messages(&client.seen, &messages);
        else
            buf_add_str(&client.seen, err.text);
        assert_string_equal(buf_data(&client.seen), fetches[i].messages);
        imap_messages_fini(&messages);
        imap_client_end(&client);
    }
}

/* What is known already is kept and completed. */
static void test_fetch_completes(void **state)
{
    static const char *const script[] = {"C: UID FETCH 1:* (UID FLAGS)",
                                         "S: * 1 FETCH (UID 3 FLAGS (a))",
                                         "S: * 2 FETCH (UID 5 FLAGS (b))",
                                         "S: $ OK",
                                         "C: UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 7)",
                                         "S: * 2 FETCH (UID 5 FLAGS (c) MODSEQ (9))",
                                         "S: * 3 FETCH (UID 8 FLAGS () MODSEQ (10))",
                                         "S: $ OK",
                                         "C: UID FETCH 3,5 (UID RFC822.SIZE)",
                                         "S: * 2 FETCH (UID 5 RFC822.SIZE 50)",
                                         "S: * 1 FETCH (UID 3 RFC822.SIZE 30)",
                                         "S: $ OK",
                                         NULL};
    static const uint32_t uids[] = {3, 5};
    struct imap_client client;
    struct imap_messages messages = {0};
    struct err err = {0};
    (void)state;
    imap_client_log_in(&client, "CONDSTORE", script);
    assert_int_equal(imap_messages_fetch(client.session, "1:*", "FLAGS", "", &messages, &err), 0);
    assert_int_equal(
        imap_messages_fetch(client.session, "1:*", "FLAGS", " (CHANGEDSINCE 7)", &messages, &err), 0);
    assert_int_equal(imap_messages_fetch_uids(client.session, uids, 2, "RFC822.SIZE", &messages, &err), 0);
    write_messages(&client.seen, &messages);
    assert_string_equal(buf_data(&client.seen), "3 (a) 30\n5 (c) 50\n8 ()\n");
    assert_ptr_equal(imap_messages_find(&messages, 5), &messages.items[1]);
    assert_null(imap_messages_find(&messages, 4));
    imap_messages_fini(&messages);
    assert_null(imap_messages_find(&messages, 5));
    imap_client_end(&client);
}

/* More UIDs than one command holds: two commands, sent without waiting in between. */
static void test_fetch_in_pieces(void **state)
{
    enum { COUNT = 200 };
    uint32_t uids[COUNT];
    char first[IMAP_UIDS_SET_BYTES], second[IMAP_UIDS_SET_BYTES], lines[2][IMAP_UIDS_SET_BYTES + 40];
    const char *script[] = {lines[0],   lines[1],   "S: * 1 FETCH (UID 1000000 RFC822.SIZE 1)",
                            "S: $1 OK", "S: $2 OK", NULL};
    struct imap_client client;
    struct imap_messages messages = {0};
    struct err err = {0};
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++)
        uids[i] = 1000000 + 2 * i;
    size_t used = imap_uids_format(uids, COUNT, first);
    assert_int_equal(used + imap_uids_format(uids + used, COUNT - used, second), COUNT);
    snprintf(lines[0], sizeof(lines[0]), "C: UID FETCH %s (UID RFC822.SIZE)", first);
    snprintf(lines[1], sizeof(lines[1]), "C: UID FETCH %s (UID RFC822.SIZE)", second);
    imap_client_log_in(&client, "", script);
    assert_int_equal(imap_messages_fetch_uids(client.session, uids, COUNT, "RFC822.SIZE", &messages, &err),
                     0);
    assert_int_equal(messages.count, 1);
    /* None: nothing is asked. */
    assert_int_equal(imap_messages_fetch_uids(client.session, uids, 0, "RFC822.SIZE", &messages, &err), 0);
    imap_messages_fini(&messages);
    imap_client_end(&client);
}

/* ---- SEARCH ---- */

static const struct {
    const char *capabilities;
    const char *const *script;
    const char *uids; /* or the error */
} searches[] = {
    {"", IMAP_SCRIPT("C: UID SEARCH ALL", "S: * SEARCH 9 3 4", "S: * SEARCH 4", "S: $ OK"), "3 4 9 "},
    {"", IMAP_SCRIPT("C: UID SEARCH ALL", "S: * SEARCH", "S: $ OK"), ""},
    {"ESEARCH",
     IMAP_SCRIPT("C: UID SEARCH RETURN (ALL) ALL", "S: * ESEARCH (TAG \"$\") UID ALL 9,3:5", "S: $ OK"),
     "3 4 5 9 "},
    {"ESEARCH", IMAP_SCRIPT("C: UID SEARCH RETURN (ALL) ALL", "S: * ESEARCH (TAG \"$\") UID", "S: $ OK"), ""},
    {"ESEARCH",
     IMAP_SCRIPT("C: UID SEARCH RETURN (ALL) ALL", "S: * ESEARCH (TAG \"$\") UID ALL 1:4294967295",
                 "S: $ OK"),
     "SEARCH answered more than 4000000 messages"},
    {"", IMAP_SCRIPT("C: UID SEARCH ALL", "S: * SEARCH 3", "S: $ NO not now"), "UID SEARCH: NO not now"},
};

static void test_search(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(searches) / sizeof(searches[0]); i++) {
        struct imap_client client;
        struct imap_uids uids = {0};
        struct err err = {0};
        imap_client_log_in(&client, searches[i].capabilities, searches[i].script);
        if (imap_messages_search_all(client.session, &uids, &err) != 0)
            buf_add_str(&client.seen, err.text);
        else
            for (size_t k = 0; k < uids.count; k++)
                buf_addf(&client.seen, "%u ", uids.items[k]);
        assert_string_equal(buf_data(&client.seen), searches[i].uids);
        imap_uids_fini(&uids);
        imap_client_end(&client);
    }
}

/* ---- bodies ---- */

#define ASKED "C: UID FETCH 5 (UID BODY.PEEK[])"

static const struct {
    const char *const *script;
    const char *body; /* NULL: not there */
} bodies[] = {
    {IMAP_SCRIPT(ASKED, "S: * 1 FETCH (UID 5 BODY[] {7}", "S: hello", "S: )", "S: $ OK"), "hello\r\n"},
    {IMAP_SCRIPT(ASKED, "S: * 1 FETCH (BODY[] \"hello\" UID 5)", "S: $ OK"), "hello"},
    {IMAP_SCRIPT(ASKED, "S: * 1 FETCH (UID 5 BODY[] {0}", "S: )", "S: $ OK"), ""},
    {IMAP_SCRIPT(ASKED, "S: $ OK"), NULL},
    {IMAP_SCRIPT(ASKED, "S: * 1 FETCH (UID 5 BODY[] NIL)", "S: $ OK"), NULL},
    {IMAP_SCRIPT(ASKED, "S: * 1 FETCH (UID 6 BODY[] \"other\")", "S: $ OK"), NULL},
    {IMAP_SCRIPT(ASKED, "S: * 1 FETCH (UID 5 BODY[] \"hello\")", "S: * 1 FETCH (UID 5 BODY[] \"again\")",
                 "S: $ OK"),
     "hello"},
};

static void test_body_digest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct imap_client client;
        struct digest_pair pair, expected;
        struct err err = {0};
        bool found = false;
        imap_client_log_in(&client, "", bodies[i].script);
        assert_int_equal(imap_messages_body_digest(client.session, 5, &pair, &found, &err), 0);
        assert_int_equal(found, bodies[i].body != NULL);
        if (found) {
            digest_of(bodies[i].body, strlen(bodies[i].body), &expected);
            assert_memory_equal(pair.raw, expected.raw, DIGEST_BYTES);
        }
        imap_client_end(&client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetch),           cmocka_unit_test(test_fetch_completes),
        cmocka_unit_test(test_fetch_in_pieces), cmocka_unit_test(test_search),
        cmocka_unit_test(test_body_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
