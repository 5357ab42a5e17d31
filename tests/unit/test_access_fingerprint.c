/*
 * Fingerprints of sites, in tables: greetings as servers send them. Two connections to one server give one fingerprint,
 * whenever and from wherever; another host, product, version or key does not.
 */
#include "access/access_fingerprint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t keys[2][DIGEST_BYTES] = {{1}, {2}};

struct print {
    char words[ACCESS_FINGERPRINT_BYTES];
    uint8_t digest[DIGEST_BYTES];
};

static struct print print_of(const char *greeting, const uint8_t *key)
{
    struct print print;
    access_fingerprint(greeting, key, print.words, print.digest);
    return print;
}

static bool are_equal(const struct print *a, const struct print *b)
{
    bool equal = memcmp(a->digest, b->digest, DIGEST_BYTES) == 0;
    assert_int_equal(equal, strcmp(a->words, b->words) == 0);
    return equal;
}

static void test_one_server(void **state)
{
    static const char *const table[][2] = {
        {"[CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+] Dovecot ready.",
         "[CAPABILITY IMAP4rev1 ID ENABLE STARTTLS] Dovecot ready."},
        {"[CAPABILITY IMAP4rev1 LITERAL+ ID] Dovecot (Debian) ready.", "Dovecot (Debian) ready."},
        {"mss1.example.org IMAP4rev1 2007e.404 at Sun, 4 Oct 2026 20:14:05 +0100 (BST)",
         "mss1.example.org IMAP4rev1 2007e.404 at Mon, 26 Oct 2026 09:00:00 +0000 (GMT)"},
        {"[CAPABILITY IMAP4REV1 I18NLEVEL=1 LITERAL+ SASL-IR] [10.1.1.10] IMAP4rev1 2007e.404 at Thu, 1 Jan "
         "2026 "
         "00:00:00 +0100 (CET)",
         "[CAPABILITY IMAP4REV1] [10.1.1.10] IMAP4rev1 2007e.404 at Tue, 30 Jun 2026 23:59:59 +0200 (CEST)"},
        {"Mailbox ready on Wednesday, 25 November 2026, 20:14:05 (Pacific Standard Time)",
         "Mailbox ready on Saturday, 4 July 2026, 8:14:05 (Pacific Standard Time)"},
        {"The Microsoft Exchange IMAP4 service is ready. "
         "[TQBXADIAUABSADAAMQBDAEEAMAAwADEANwAuAG4AYQBtAHAAcgBkADAAMQAuAHAAcgBvAGQA]",
         "The Microsoft Exchange IMAP4 service is ready. "
         "[TQBXADMAUABSADAAMQBDAEEAMAAwADkANAAuAG4AYQBtAHAAcgBkADAAMQAuAHAAcgBvAGQA]"},
        {"Gimap ready for requests from 10.1.1.1 a640c23a62f3a1mb123456789qkf",
         "Gimap ready for requests from 10.1.1.2 b12mb123456789edb"},
        {"Gimap ready for requests from 2001:db8::7", "Gimap ready for requests from ::ffff:10.1.1.2"},
        {"ready <1896.697170952@mss1.example.org>", "ready <99.797170953@mss1.example.org>"},
        {"mss1.example.org Server ready 21 connections 3/200",
         "mss1.example.org Server ready 7 connections 4/200"},
        {"IMAP4 server ready (Worldmail 1.3.167) 4 Oct 2026 08:14:05 PM",
         "IMAP4 server ready (Worldmail 1.3.167) 5 Oct 2026 09:14:05 AM"},
        {"ready 2026-10-04T20:14:05.123Z", "ready 2026-10-05T07:00:01.9Z"},
        {"ready 2026-10-04T20:14:05.123+01:00", "ready 2026-11-04T20:14:05.123+00:00"},
        {"ready, session=4f9a01c2", "ready, session=77ab01c2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct print one = print_of(table[i][0], keys[0]), two = print_of(table[i][1], keys[0]);
        if (!are_equal(&one, &two))
            fail_msg("row %zu: \"%s\", but then \"%s\"", i, one.words, two.words);
    }
}

static void test_another_server(void **state)
{
    static const char *const table[][2] = {
        {"Dovecot ready.", "Dovecot (Debian) ready."},
        {"Dovecot ready.", "mss1.example.org Cyrus IMAP v2.4.17 server ready"},
        {"mss1.example.org Cyrus IMAP v2.4.17 server ready",
         "mss2.example.org Cyrus IMAP v2.4.17 server ready"},
        {"mss1.example.org Cyrus IMAP v2.4.17 server ready",
         "mss1.example.org Cyrus IMAP v2.4.18 server ready"},
        {"mss1 Cyrus IMAP 3.6.1-4+deb12u3 server ready", "mss1 Cyrus IMAP 3.8.1-1+deb12u3 server ready"},
        {"mss1.example.org IMAP4rev1 2007e.404 at Sun, 4 Oct 2026 20:14:05 +0100 (BST)",
         "mss2.example.org IMAP4rev1 2007e.404 at Sun, 4 Oct 2026 20:14:05 +0100 (BST)"},
        {"mss1.example.org IMAP4rev1 2007e.404 at Sun, 4 Oct 2026 20:14:05 +0100 (BST)",
         "mss1.example.org IMAP4rev1 2007f.404 at Sun, 4 Oct 2026 20:14:05 +0100 (BST)"},
        {"The Microsoft Exchange IMAP4 service is ready.",
         "Microsoft Exchange Server 2003 IMAP4rev1 server ready"},
        {"[CAPABILITY IMAP4rev1] Courier-IMAP ready. Copyright 1998-2022 Double Precision, Inc.",
         "Dovecot ready."},
        {"ready; (\"name\" \"Dovecot\" \"version\" \"2.3.19.1-debian\")",
         "ready; (\"name\" \"Dovecot\" \"version\" \"2.4.0-debian\")"},
        {"ready", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct print one = print_of(table[i][0], keys[0]), two = print_of(table[i][1], keys[0]);
        if (are_equal(&one, &two))
            fail_msg("row %zu: both are \"%s\"", i, one.words);
    }
}

static void test_keys(void **state)
{
    struct print one = print_of("Dovecot ready.", keys[0]), two = print_of("Dovecot ready.", keys[1]);
    struct print none = print_of("Dovecot ready.", NULL), empty = print_of("", NULL);
    (void)state;
    assert_false(are_equal(&one, &two));
    assert_false(are_equal(&one, &none));
    assert_string_equal(one.words, "Dovecot ready. key 0100000000000000");
    assert_string_equal(none.words, "Dovecot ready.");
    assert_string_equal(empty.words, "");
}

/* Whatever comes ends within the text's bounds, and what fits stays whole. */
static void test_long_and_odd(void **state)
{
    char many[4 * ACCESS_FINGERPRINT_BYTES];
    (void)state;
    memset(many, 'x', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    assert_string_equal(print_of(many, NULL).words, "");
    assert_string_equal(print_of("[CAPABILITY IMAP4rev1", NULL).words, "CAPABILITY");
    assert_string_equal(print_of("  (\"[]\")\t ", NULL).words, "");
    for (size_t i = 0; i + 1 < sizeof(many); i++)
        many[i] = i % 3 == 2 ? ' ' : 'y';
    struct print print = print_of(many, NULL);
    assert_in_range(strlen(print.words), ACCESS_FINGERPRINT_BYTES - 8, ACCESS_FINGERPRINT_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_server),
        cmocka_unit_test(test_another_server),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_long_and_odd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
