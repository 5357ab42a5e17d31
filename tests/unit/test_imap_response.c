/*
 * Server output as responses in a table: bytes, and what is handed on, a line for each. Every case is fed whole, byte by
 * byte, cut in two at every place, and with a body handler that takes one byte and then none in turn.
 */
#include "imap/imap_response.h"

#include "base/buf.h"
#include "base/str.h"
#include "imap/imap_flags.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_LITERAL_BYTES = 1000000, REFUSED_UID = 13, PASSED_OVER_UID = 12 };

/* A string with NUL bytes in it. */
#define BYTES(text) (text), sizeof(text) - 1

struct one {
    const char *bytes;
    size_t len;
    const char *responses;
};

#define NONSENSE(what) "! the server's answer makes no sense: " what

static const struct one conditions[] = {
    {BYTES("* OK [CAPABILITY IMAP4rev1 ID] ready\r\n"), "* OK [CAPABILITY IMAP4rev1 ID] ready\n"},
    {BYTES("* PREAUTH hello\r\n"), "* PREAUTH [] hello\n"},
    {BYTES("* bye\r\n"), "* BYE [] \n"},
    {BYTES("m1 OK done\r\nm2 NO [OVERQUOTA] full\r\nm3 BAD what?\r\n"),
     "m1 OK [] done\nm2 NO [OVERQUOTA] full\nm3 BAD [] what?\n"},
    {BYTES("+\r\n+ go on\r\n"), "+ \n+ go on\n"},
    {BYTES("+ [X] {5}\r\n"), "+ {5}\n"},
    {BYTES("\r\n\n* 3 EXISTS\n"), "exists 3\n"},
    {BYTES("m1 BYE\r\n"), NONSENSE("a tag without OK, NO or BAD")},
    {BYTES("m1 PREAUTH\r\n"), NONSENSE("a tag without OK, NO or BAD")},
    {BYTES("m1\r\n"), NONSENSE("a tag without OK, NO or BAD")},
    {BYTES("m1 \"OK\"\r\n"), NONSENSE("a tag without OK, NO or BAD")},
    {BYTES("*\r\n"), NONSENSE("an untagged answer without a word")},
    {BYTES("* {2}\r\nOK\r\n"), NONSENSE("an untagged answer without a word")},
    {BYTES("{1}\r\n*"), NONSENSE("a line that begins with neither *, + nor a tag")},
    {BYTES("(a) OK\r\n"), NONSENSE("a line that begins with neither *, + nor a tag")},
    {BYTES("0123456789012345678901234567890123 OK\r\n"),
     NONSENSE("a line that begins with neither *, + nor a tag")},
    {BYTES("HTTP/1.1 400 Bad Request\r\n"), NONSENSE("a tag without OK, NO or BAD")},
    {BYTES("\x16\x03\x01\0\xa5\r\n"), NONSENSE("a NUL byte outside of a literal")},
};

static const struct one plain[] = {
    {BYTES("* CAPABILITY IMAP4rev1 LITERAL+\r\n"), "capability IMAP4rev1 LITERAL+ \n"},
    {BYTES("* CAPABILITY\r\n"), "capability \n"},
    {BYTES("* ID (\"name\" \"Dovecot\" \"version\" {1}\r\n2 \"os\" NIL)\r\n"),
     "id name Dovecot, version 2, os\n"},
    {BYTES("* ID NIL\r\n"), "id \n"},
    {BYTES("* FLAGS (\\Seen \\Answered $b $a \\Strange b%d)\r\n"), "flags \\Answered \\Seen $a $b\n"},
    {BYTES("* FLAGS ()\r\n"), "flags \n"},
    {BYTES("* 4 EXISTS\r\n* 0 recent\r\n* 2 expunge\r\n"), "exists 4\nexpunge 2\n"},
    {BYTES("* 4294967295 EXISTS\r\n"), "exists 4294967295\n"},
    {BYTES("* 4294967296 EXISTS\r\n"), NONSENSE("a number that is none")},
    {BYTES("* 4x EXISTS\r\n"), NONSENSE("a number that is none")},
    {BYTES("* 4\r\n* 5 {6}\r\nEXISTS\r\n* 3 EXISTS {3}\r\nabc\r\n"), "exists 3\n"},
};

static const struct one passed_over[] = {
    {BYTES("* VANISHED (EARLIER) 300:310,405\r\n"), ""},
    {BYTES("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n* ENABLED CONDSTORE\r\n"), ""},
    {BYTES("* 5 NONSENSE (((x))) {4}\r\n)))\" \"y\"\r\n* 1 EXISTS\r\n"), "exists 1\n"},
    {BYTES("* XLIST (\\HasNoChildren) \"/\" {5}\r\n\0\0\0\0\0\r\n"), ""},
    {BYTES("* QUOTA \"\" (STORAGE 10 512)\r\n* SORT 2 84\r\n"), ""},
};

static const struct one lists[] = {
    {BYTES("* LIST (\\HasNoChildren) \"/\" INBOX\r\n"), "list / INBOX\n"},
    {BYTES("* LIST () \".\" \"a b\"\r\n"), "list . a b\n"},
    {BYTES("* LIST (\\Marked \\noselect) NIL {3}\r\na\"b\r\n"), "list NIL noselect a\"b\n"},
    {BYTES("* LIST (\\NonExistent) \"\" \"\"\r\n"), "list NIL noselect \n"},
    {BYTES("* LIST () \"\\\\\" x (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"), "list \\ x\n"},
    {BYTES("* LIST () \"/\" {3}\r\na\0b\r\n"), "list / a#b\n"},
    {BYTES("* LIST () \"/\" NIL\r\n"), "list / NIL\n"},
    {BYTES("* LIST () \"/\"\r\n"), NONSENSE("a LIST without a name")},
    {BYTES("* LIST\r\n"), NONSENSE("a LIST without a name")},
    {BYTES("* LIST () \"//\" x\r\n"), NONSENSE("a LIST with a delimiter that is none")},
    {BYTES("* LIST () \xff x\r\n"), NONSENSE("a LIST with a delimiter that is none")},
    {BYTES("* LIST () {1}\r\n\n x\r\n"), NONSENSE("a LIST with a delimiter that is none")},
    {BYTES("* LIST () )\r\n"), NONSENSE("a ) without its (")},
    {BYTES("* LIST (() () x)\r\n"), NONSENSE("a LIST in which no name stands where one must")},
};

static const struct one statuses[] = {
    {BYTES("* STATUS INBOX (MESSAGES 231 UIDNEXT 44292 UIDVALIDITY 7 UNSEEN 5 HIGHESTMODSEQ 9)\r\n"),
     "status INBOX exists 231 uidnext 44292 uidvalidity 7 unseen 5 modseq 9\n"},
    {BYTES("* STATUS \"a b\" (uidnext 3 SIZE 99999999999 messages 0)\r\n"),
     "status a b exists 0 uidnext 3\n"},
    {BYTES("* STATUS {3}\r\na b (MESSAGES 1) x\r\n"), "status a b exists 1\n"},
    {BYTES("* STATUS INBOX ()\r\n* STATUS INBOX\r\n"), "status INBOX\nstatus INBOX\n"},
    {BYTES("* STATUS INBOX (UIDVALIDITY 0 UIDNEXT 0 MESSAGES -1 UNSEEN 4294967296)\r\n"), "status INBOX\n"},
    {BYTES("* STATUS INBOX (MESSAGES)\r\n"), "status INBOX\n"},
    {BYTES("* STATUS ()\r\n"), NONSENSE("a STATUS without a name")},
};

static const struct one searches[] = {
    {BYTES("* SEARCH 2 84 882\r\n"), "search 2\nsearch 84\nsearch 882\n"},
    {BYTES("* SEARCH\r\n"), ""},
    {BYTES("* SEARCH 2 5 (MODSEQ 917162500)\r\n"), "search 2\nsearch 5\n"},
    {BYTES("* SEARCH 2 0\r\n"), "search 2\n" NONSENSE("a SEARCH with something else than UIDs")},
    {BYTES("* SEARCH 4294967296\r\n"), NONSENSE("a SEARCH with something else than UIDs")},
    {BYTES("* ESEARCH (TAG \"m7\") UID ALL 4:9,11 COUNT 7\r\n"), "esearch 4:9\nesearch 11\n"},
    {BYTES("* ESEARCH (TAG \"m7\") UID COUNT 0\r\n"), ""},
    {BYTES("* ESEARCH UID MIN 3 MODSEQ 12345 all 9:4 RELEVANCY (1 (2)) ALL 1\r\n"),
     "esearch 4:9\nesearch 1\n"},
    {BYTES("* ESEARCH (TAG ALL) UID ALL {3}\r\n1:2\r\n"), "esearch 1:2\n"},
    {BYTES("* ESEARCH\r\n* ESEARCH UID ALL\r\n* ESEARCH UID ALL (1)\r\n"), ""},
    {BYTES("* ESEARCH UID ALL 1:*\r\n"), NONSENSE("an ESEARCH with a set that is none")},
    {BYTES("* ESEARCH UID ALL 1,,2\r\n"), "esearch 1\n" NONSENSE("an ESEARCH with a set that is none")},
    {BYTES("* ESEARCH UID ALL 0\r\n"), NONSENSE("an ESEARCH with a set that is none")},
};

static const struct one fetches[] = {
    {BYTES("* 1 FETCH (UID 5 FLAGS (\\Seen $a))\r\n"), "fetch 1 uid 5 flags (\\Seen $a)\n"},
    {BYTES("* 1 fetch (flags () rfc822.size 123 modseq (77) "
           "INTERNALDATE \" 3-Mar-2026 09:14:05 +0100\" uid 5)\r\n"),
     "fetch 1 uid 5 flags () date [ 3-Mar-2026 09:14:05 +0100] size 123 modseq 77\n"},
    {BYTES("* 1 FETCH (FLAGS (\\Seen) FLAGS (\\Draft))\r\n"), "fetch 1 uid 0 flags (\\Draft)\n"},
    {BYTES("* 1 FETCH (FLAGS)\r\n* 1 FETCH (FLAGS NIL)\r\n"), "fetch 1 uid 0\nfetch 1 uid 0\n"},
    {BYTES("* 1 FETCH (UID 0 RFC822.SIZE x INTERNALDATE NIL MODSEQ (x))\r\n"), "fetch 1 uid 0\n"},
    {BYTES("* 1 FETCH ()\r\n* 1 FETCH\r\n"), "fetch 1 uid 0\nfetch 1 uid 0\n"},
    {BYTES("* 1 FETCH (ENVELOPE (\"x\" NIL ((\"a\" {3}\r\nUID))) BODYSTRUCTURE ((UID 6)) X-ODD (FLAGS (a)) "
           "UID 7)\r\n"),
     "fetch 1 uid 7\n"},
    {BYTES("* 1 FETCH (BODY[HEADER] {6}\r\nA: b\r\n UID 5)\r\n"), "fetch 1 uid 5 header <A: b\r\n>\n"},
    {BYTES("* 1 FETCH (BODY[HEADER] \"\" RFC822.HEADER \"x\")\r\n"), "fetch 1 uid 0 header <x>\n"},
    {BYTES("* 1 FETCH (BODY[HEADER] NIL)\r\n"), "fetch 1 uid 0\n"},
    {BYTES("* 1 FETCH (BODY[HEADER] {0}\r\n)\r\n"), "fetch 1 uid 0 header <>\n"},
    {BYTES("* 1 FETCH (UID 4294967296)\r\n"), NONSENSE("a UID that is none")},
    {BYTES("* 1 FETCH (UID x)\r\n"), NONSENSE("a UID that is none")},
    {BYTES("* 1 FETCH UID 5\r\n"), NONSENSE("a FETCH without parentheses")},
    {BYTES("* 1 FETCH {3}\r\nUID\r\n"), NONSENSE("a FETCH without parentheses")},
    {BYTES("* 1 FETCH (UID 5) x\r\n"), NONSENSE("a FETCH without parentheses")},
    {BYTES("* 1 FETCH (\"UID\" 5)\r\n"), NONSENSE("a FETCH with a value without a name")},
    {BYTES("* 1 FETCH ({3}\r\nUID 5)\r\n"), NONSENSE("a FETCH with a value without a name")},
    {BYTES("* 1 FETCH (UID 5\r\n"), NONSENSE("a line ends inside parentheses")},
    {BYTES("* 1 FETCH (FLAGS (a%b))\r\n"),
     NONSENSE("a message with too many keywords, or one that cannot be written back")},
};

static const struct one bodies[] = {
    {BYTES("* 1 FETCH (UID 5 BODY[] {7}\r\nab\0\r\n)( FLAGS ())\r\n"),
     "body uid 5 size 7\nab#\r\n)(\nfetch 1 uid 5 flags () body\n"},
    {BYTES("* 1 FETCH (BODY[] {2}\r\nab UID 5)\r\n"), "body uid 0 size 2\nab\nfetch 1 uid 5 body\n"},
    {BYTES("* 1 FETCH (UID 5 BODY[] \"a\\\"b\")\r\n* 1 EXISTS\r\n"),
     "body uid 5 size 3\na\"b\nfetch 1 uid 5 body\nexists 1\n"},
    {BYTES("* 1 FETCH (UID 5 RFC822 {0}\r\n)\r\n"), "body uid 5 size 0\n\nfetch 1 uid 5 body\n"},
    {BYTES("* 1 FETCH (UID 5 BODY[] \"\")\r\n"), "body uid 5 size 0\n\nfetch 1 uid 5 body\n"},
    {BYTES("* 1 FETCH (UID 5 BODY[] NIL)\r\n"), "fetch 1 uid 5\n"},
    {BYTES("* 1 FETCH (UID 5 BODY[] {1}\r\na BODY[] {1}\r\nb RFC822 \"c\")\r\n"),
     "body uid 5 size 1\na\nfetch 1 uid 5 body\n"},
    {BYTES("* 1 FETCH (UID 5 BODY[]<0> {1}\r\na BODY[1] {1}\r\nb)\r\n"), "fetch 1 uid 5\n"},
    {BYTES("* 1 FETCH (UID 5 BODY[] a)\r\n"), NONSENSE("a body that is no string")},
    {BYTES("* 1 FETCH (UID 5 BODY[] ({1}\r\na))\r\n"), "fetch 1 uid 5\n"},
    {BYTES("* 1 FETCH (UID 5 BODY[] {1000001}\r\n"),
     NONSENSE("a literal of 1000001 bytes, over the limit of 1000000")},
    {BYTES("* 1 FETCH (UID 12 BODY[] {3}\r\nabc)\r\n"),
     "body uid 12 size 3\n- passed over\nfetch 1 uid 12\n"},
    {BYTES("* 1 FETCH (UID 12 BODY[] \"abc\")\r\n"), "body uid 12 size 3\n- passed over\nfetch 1 uid 12\n"},
    {BYTES("* 1 FETCH (UID 13 BODY[] {3}\r\nabc)\r\n"), "body uid 13 size 3\n! not this one"},
    {BYTES("* 1 FETCH (UID 13 BODY[] \"abc\")\r\n"), "body uid 13 size 3\n! not this one"},
};

/* ---- responses as text ---- */

struct reading {
    struct imap_response_reader *reader;
    struct buf out;
    struct err err;
    bool failed, in_body;
    bool slow, rest; /* the body's handler takes one byte and then none, in turn */
};

static void add_bytes(struct buf *out, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_add(out, bytes[i] ? &bytes[i] : "#", 1);
}

static void add_flags(struct buf *out, const struct imap_flags *flags)
{
    char *text = imap_flags_format(flags);
    buf_add_str(out, text);
    free(text);
}

static void add_status(struct buf *out, const struct imap_folder_status *status)
{
    if (status->has_exists)
        buf_addf(out, " exists %u", status->exists);
    if (status->has_uidnext)
        buf_addf(out, " uidnext %u", status->uidnext);
    if (status->has_uidvalidity)
        buf_addf(out, " uidvalidity %u", status->uidvalidity);
    if (status->has_unseen)
        buf_addf(out, " unseen %u", status->unseen);
    if (status->highestmodseq)
        buf_addf(out, " modseq %" PRIu64, status->highestmodseq);
}

static void add_fetch(struct buf *out, const struct imap_fetch *fetch)
{
    buf_addf(out, "fetch %u uid %u", fetch->seq, fetch->uid);
    if (fetch->has_flags) {
        buf_add_str(out, " flags (");
        add_flags(out, &fetch->flags);
        buf_add_str(out, ")");
    }
    if (fetch->has_date)
        buf_addf(out, " date [%s]", fetch->date.text);
    if (fetch->has_size)
        buf_addf(out, " size %" PRIu64, fetch->size_bytes);
    if (fetch->has_modseq)
        buf_addf(out, " modseq %" PRIu64, fetch->modseq);
    if (fetch->header) {
        buf_add_str(out, " header <");
        add_bytes(out, fetch->header, fetch->header_len);
        buf_add_str(out, ">");
    }
}

static void add_list(struct buf *out, const struct imap_response *response)
{
    if (response->delimiter)
        buf_addf(out, "list %c%s ", response->delimiter, response->no_select ? " noselect" : "");
    else
        buf_addf(out, "list NIL%s ", response->no_select ? " noselect" : "");
    add_bytes(out, response->name, response->name_len);
}

static void add_search(struct buf *out, const struct imap_response *response)
{
    buf_addf(out, response->extended ? "esearch %u" : "search %u", response->first);
    if (response->first != response->last)
        buf_addf(out, ":%u", response->last);
}

static void add_response(struct buf *out, const struct imap_response *response)
{
    switch (response->kind) {
    case IMAP_RESPONSE_CONTINUE:
        buf_addf(out, "+ %s", response->text);
        break;
    case IMAP_RESPONSE_TAGGED:
    case IMAP_RESPONSE_CONDITION:
        buf_addf(out, "%s %s [%s] %s", response->tag, imap_response_condition_name(response->condition),
                 response->code, response->text);
        break;
    case IMAP_RESPONSE_CAPABILITY:
        buf_addf(out, "capability %s", response->text);
        break;
    case IMAP_RESPONSE_ID:
        buf_addf(out, "id %s", response->text);
        break;
    case IMAP_RESPONSE_LIST:
        add_list(out, response);
        break;
    case IMAP_RESPONSE_STATUS:
        buf_addf(out, "status %s", response->name);
        add_status(out, response->status);
        break;
    case IMAP_RESPONSE_SEARCH:
        add_search(out, response);
        break;
    case IMAP_RESPONSE_FLAGS:
        buf_add_str(out, "flags ");
        add_flags(out, response->flags);
        break;
    case IMAP_RESPONSE_EXISTS:
        buf_addf(out, "exists %u", response->first);
        break;
    case IMAP_RESPONSE_EXPUNGE:
        buf_addf(out, "expunge %u", response->first);
        break;
    case IMAP_RESPONSE_FETCH:
        add_fetch(out, response->fetch);
        break;
    }
}

static int on_response(void *context, const struct imap_response *response, struct err *err)
{
    struct reading *reading = context;
    (void)err;
    if (reading->in_body)
        buf_add_str(&reading->out, "\n");
    reading->in_body = false;
    add_response(&reading->out, response);
    buf_add_str(&reading->out, response->has_body ? " body\n" : "\n");
    return 0;
}

static int on_body_begin(void *context, uint32_t uid, uint64_t size_bytes, struct err *err)
{
    struct reading *reading = context;
    buf_addf(&reading->out, "body uid %u size %" PRIu64 "\n", uid, size_bytes);
    if (uid == REFUSED_UID)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "not this one");
    if (uid == PASSED_OVER_UID)
        buf_add_str(&reading->out, "- passed over\n");
    reading->in_body = uid != PASSED_OVER_UID;
    return reading->in_body;
}

static size_t on_body_bytes(void *context, const char *bytes, size_t len)
{
    struct reading *reading = context;
    assert_true(reading->in_body && len > 0);
    if (reading->slow) {
        reading->rest = !reading->rest;
        len = reading->rest ? 0 : 1;
    }
    add_bytes(&reading->out, bytes, len);
    return len;
}

static void begin(struct reading *reading, bool slow)
{
    struct imap_response_handlers handlers = {.context = reading,
                                              .on_response = on_response,
                                              .on_body_begin = on_body_begin,
                                              .on_body_bytes = on_body_bytes};
    *reading = (struct reading){.slow = slow};
    buf_init(&reading->out, 1 << 20);
    reading->reader = imap_response_new(&handlers, MAX_LITERAL_BYTES);
}

static void end(struct reading *reading)
{
    imap_response_free(reading->reader);
    buf_fini(&reading->out);
}

/* In memory of its own, as a session's buffer, which moves between two calls. */
static size_t feed_once(struct reading *reading, const char *bytes, size_t len)
{
    char *piece = mem_grow(NULL, len ? len : 1, 1);
    size_t used = 0;
    memcpy(piece, bytes, len);
    if (imap_response_feed(reading->reader, piece, len, &used, &reading->err) != 0) {
        reading->failed = true;
        buf_addf(&reading->out, "! %s", reading->err.text);
    }
    assert_true(used <= len);
    free(piece);
    return used;
}

static void feed(struct reading *reading, const char *bytes, size_t len)
{
    while (!reading->failed) {
        size_t used = feed_once(reading, bytes, len);
        bytes += used;
        len -= used;
        if (reading->failed || !imap_response_is_stopped(reading->reader))
            break;
        assert_true(reading->slow);
    }
    if (!reading->failed)
        assert_int_equal(len, 0);
}

static void check_cut(const struct one *one, size_t cut, bool slow)
{
    struct reading reading;
    begin(&reading, slow);
    feed(&reading, one->bytes, cut);
    feed(&reading, one->bytes + cut, one->len - cut);
    assert_string_equal(buf_data(&reading.out), one->responses);
    end(&reading);
}

static void check_bytes(const struct one *one, bool slow)
{
    struct reading reading;
    begin(&reading, slow);
    for (size_t i = 0; i < one->len; i++)
        feed(&reading, one->bytes + i, 1);
    assert_string_equal(buf_data(&reading.out), one->responses);
    end(&reading);
}

static void check_table(const struct one *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t cut = 0; cut <= table[i].len; cut++)
            check_cut(&table[i], cut, false);
        check_cut(&table[i], 0, true);
        check_bytes(&table[i], false);
        check_bytes(&table[i], true);
    }
}

#define TABLE_TEST(name)                                                                                     \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        check_table(name, sizeof(name) / sizeof(name[0]));                                                   \
    }

TABLE_TEST(conditions)
TABLE_TEST(plain)
TABLE_TEST(passed_over)
TABLE_TEST(lists)
TABLE_TEST(statuses)
TABLE_TEST(searches)
TABLE_TEST(fetches)
TABLE_TEST(bodies)

/* ---- sizes ---- */

struct sizes {
    size_t header_len, body_bytes, responses;
};

static int count_response(void *context, const struct imap_response *response, struct err *err)
{
    struct sizes *sizes = context;
    (void)err;
    sizes->responses++;
    if (response->kind == IMAP_RESPONSE_FETCH)
        sizes->header_len = response->fetch->header_len;
    return 0;
}

static int want_body(void *context, uint32_t uid, uint64_t size_bytes, struct err *err)
{
    (void)context, (void)uid, (void)size_bytes, (void)err;
    return 1;
}

static size_t count_bytes(void *context, const char *bytes, size_t len)
{
    struct sizes *sizes = context;
    (void)bytes;
    sizes->body_bytes += len;
    return len;
}

/* A line with a literal of `size` bytes in it; the error's text. */
static const char *read_literal(const char *before, size_t size, const char *after, struct sizes *sizes)
{
    static struct err err;
    struct imap_response_handlers handlers = {sizes, count_response, want_body, count_bytes};
    struct imap_response_reader *reader = imap_response_new(&handlers, MAX_LITERAL_BYTES);
    char *literal = mem_new(size), *head = str_format("%s{%zu}\r\n", before, size);
    size_t used;
    memset(literal, 'x', size);
    *sizes = (struct sizes){0};
    err_clear(&err);
    if (imap_response_feed(reader, head, strlen(head), &used, &err) == 0 &&
        imap_response_feed(reader, literal, size, &used, &err) == 0)
        imap_response_feed(reader, after, strlen(after), &used, &err);
    if (err.text[0])
        assert_int_equal(err.scope, ERR_MAILBOX);
    imap_response_free(reader);
    free(literal);
    free(head);
    return err.text;
}

static void test_long_literals(void **state)
{
    static const char *const values[] = {
        "* LIST () \"/\" ",         "* LIST () ",     "* STATUS ", "* CAPABILITY ",
        "* 1 FETCH (INTERNALDATE ", "* 1 FETCH (UID "};
    struct sizes sizes;
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        assert_non_null(strstr(read_literal(values[i], IMAP_RESPONSE_MAX_VALUE_BYTES + 1, "", &sizes),
                               "a literal that is far too long for what it stands for"));
    assert_string_equal(read_literal("* LIST () \"/\" ", IMAP_RESPONSE_MAX_VALUE_BYTES, "\r\n", &sizes), "");
    /* What is not kept may be as long as any message. */
    assert_string_equal(read_literal("* NEW ", MAX_LITERAL_BYTES, "\r\n", &sizes), "");
    assert_string_equal(read_literal("* 1 FETCH (X ", MAX_LITERAL_BYTES, ")\r\n", &sizes), "");
    assert_string_equal(read_literal("* 1 FETCH (BODYSTRUCTURE (", MAX_LITERAL_BYTES, "))\r\n", &sizes), "");
    assert_int_equal(sizes.responses, 1);
}

static void test_long_header_is_cut(void **state)
{
    struct sizes sizes;
    (void)state;
    assert_string_equal(
        read_literal("* 1 FETCH (BODY[HEADER] ", IMAP_RESPONSE_MAX_HEADER_BYTES + 7, ")\r\n", &sizes), "");
    assert_int_equal(sizes.header_len, IMAP_RESPONSE_MAX_HEADER_BYTES);
    assert_int_equal(sizes.body_bytes, 0);
}

static void test_body_is_no_value(void **state)
{
    struct sizes sizes;
    (void)state;
    assert_string_equal(read_literal("* 1 FETCH (BODY[] ", MAX_LITERAL_BYTES, ")\r\n", &sizes), "");
    assert_int_equal(sizes.body_bytes, MAX_LITERAL_BYTES);
}

static int refuse_response(void *context, const struct imap_response *response, struct err *err)
{
    (void)context, (void)response;
    return err_set(err, ERR_MAILBOX, ERR_RETRY_LATER, "enough");
}

static void test_handler_stops_reading(void **state)
{
    static const char *const lines[] = {"* 1 EXISTS\r\n", "m1 OK x\r\n",         "* ESEARCH ALL 1:2,5\r\n",
                                        "* SEARCH 1\r\n", "* LIST () NIL x\r\n", "* 1 FETCH (UID 1)\r\n"};
    struct imap_response_handlers handlers = {NULL, refuse_response, want_body, count_bytes};
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct imap_response_reader *reader = imap_response_new(&handlers, MAX_LITERAL_BYTES);
        struct err err = {0};
        size_t used;
        assert_int_equal(imap_response_feed(reader, lines[i], strlen(lines[i]), &used, &err), -1);
        assert_string_equal(err.text, "enough");
        imap_response_free(reader);
    }
    imap_response_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions),       cmocka_unit_test(test_plain),
        cmocka_unit_test(test_passed_over),      cmocka_unit_test(test_lists),
        cmocka_unit_test(test_statuses),         cmocka_unit_test(test_searches),
        cmocka_unit_test(test_fetches),          cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_long_literals),    cmocka_unit_test(test_long_header_is_cut),
        cmocka_unit_test(test_body_is_no_value), cmocka_unit_test(test_handler_stops_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
