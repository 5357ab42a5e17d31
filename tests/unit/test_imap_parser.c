/*
 * The parser of server output in a table: bytes, and the tokens they make, written as one line of text. Each case is
 * fed whole, byte by byte, and cut in two at every place; the tokens must be the same.
 *
 *     atom   "string"   {literal}   (   )   [   ]   <text>   . for the end of a line   ! and what is wrong
 */
#include "imap/imap_parser.h"

#include "base/buf.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_LITERAL_BYTES = 100 };

/* A string with NUL bytes in it. */
#define BYTES(text) (text), sizeof(text) - 1

struct one {
    const char *bytes;
    size_t len;
    const char *tokens;
};

static const struct one words[] = {
    {BYTES("* 5 EXISTS\r\n"), "* 5 EXISTS ."},
    {BYTES("* 5 EXISTS\n"), "* 5 EXISTS ."},
    {BYTES("\r\n\r\n"), ". ."},
    {BYTES("  *   a  \r\n"), "* a ."},
    {BYTES("a b"), "a"},
    {BYTES("* FLAGS (\\Seen $Important \\*)\r\n"), "* FLAGS ( \\Seen $Important \\* ) ."},
    {BYTES("(a(b)c)(())\r\n"), "( a ( b ) c ) ( ( ) ) ."},
    {BYTES("NIL {}x\r\n"), "NIL !a literal's size that does not end its line"},
    {BYTES("a{1} a\"b\" c[d \xff\xfe\r\n"), "a{1} a\"b\" c[d \xff\xfe ."},
    {BYTES("BODY[] body[HEADER.FIELDS (A \"B\")]<0> x\r\n"), "BODY[] body[HEADER.FIELDS (A \"B\")]<0> x ."},
    {BYTES("XBODY[a b]\r\n"), "XBODY[a b] ."},
    {BYTES("BODY.PEEK[(\r\n"), "!a [ without its ]"},
    {BYTES("a\0b\r\n"), "!a NUL byte outside of a literal"},
    {BYTES("\0\r\n"), "!a NUL byte outside of a literal"},
    {BYTES("BODY[\0]\r\n"), "!a [ without its ]"},
    {BYTES("a\rb\r\n"), "a !a carriage return inside a line"},
    {BYTES("\r\r\n"), "!a carriage return inside a line"},
    {BYTES("(a\r\n"), "( a !a line ends inside parentheses"},
    {BYTES("a)\r\n"), "a !a ) without its ("},
    {BYTES("a) b\r\nc\r\n"), "a !a ) without its ("},
};

static const struct one strings[] = {
    {BYTES("\"\" \"a b\" \"(\"\r\n"), "\"\" \"a b\" \"(\" ."},
    {BYTES("\"a\\\"b\\\\c\\d\"\r\n"), "\"a\"b\\cd\" ."},
    {BYTES("\"{3}\"\"x\"y\r\n"), "\"{3}\" \"x\" y ."},
    {BYTES("\"\xc3\xa4\xff\"\r\n"), "\"\xc3\xa4\xff\" ."},
    {BYTES("\"a\r\n"), "!a line ends, or a NUL byte stands, inside a quoted string"},
    {BYTES("\"a\0\"\r\n"), "!a line ends, or a NUL byte stands, inside a quoted string"},
    {BYTES("\"a\\\r\n\"\r\n"), "!nonsense after a backslash in a quoted string"},
    {BYTES("\"a\\\0\"\r\n"), "!nonsense after a backslash in a quoted string"},
};

static const struct one literals[] = {
    {BYTES("{5}\r\nhello\r\n"), "{hello} ."},
    {BYTES("{5}\nhello\n"), "{hello} ."},
    {BYTES("({0}\r\n {3}\r\n\r\n) a)\r\n"), "( {} {\r\n)} a ) ."},
    {BYTES("{4+}\r\na\0\"(x\r\n"), "{a#\"(} x ."},
    {BYTES("{0003}\r\nabc"), "{abc}"},
    {BYTES("{3}\r\nab"), "{ab"},
    {BYTES("{0}\r\n"), "{}"},
    {BYTES("{100}\r\n"), "{"},
    {BYTES("{101}\r\n"), "!a literal of 101 bytes, over the limit of 100"},
    {BYTES("{4294967296}\r\n"), "!a literal of 4294967296 bytes, over the limit of 100"},
    {BYTES("{18446744073709551615}\r\n"), "!a literal of 18446744073709551615 bytes, over the limit of 100"},
    {BYTES("{18446744073709551616}\r\n"), "!a literal without a size"},
    {BYTES("{0000000000000000000000003}\r\n"), "!a literal without a size"},
    {BYTES("{}\r\n"), "!a literal without a size"},
    {BYTES("{+}\r\n"), "!a literal without a size"},
    {BYTES("{1+2}\r\n"), "!a literal without a size"},
    {BYTES("{1++}\r\n"), "!a literal without a size"},
    {BYTES("{-1}\r\n"), "!a literal without a size"},
    {BYTES("{ 1}\r\n"), "!a literal without a size"},
    {BYTES("{1\r\n}"), "!a literal without a size"},
    {BYTES("{1}x\r\n"), "!a literal's size that does not end its line"},
};

/* The test asks for text after OK, NO and "+". */
static const struct one texts[] = {
    {BYTES("m1 OK done (really\r\n"), "m1 OK <done (really> ."},
    {BYTES("+\r\n"), "+ <> ."},
    {BYTES("+ \r\n"), "+ <> ."},
    {BYTES("+ go on\nx\n"), "+ <go on> . x ."},
    {BYTES("* OK\r\n* NO \r\n"), "* OK <> . * NO <> ."},
    {BYTES("* OK [UIDNEXT 17] next\r\n"), "* OK [ <UIDNEXT 17> ] <next> ."},
    {BYTES("* OK [ALERT]\r\n"), "* OK [ <ALERT> ] <> ."},
    {BYTES("* OK []x\r\n"), "* OK [ <> ] <x> ."},
    {BYTES("* OK [PERMANENTFLAGS (\\* a]b)] c]d\r\n"), "* OK [ <PERMANENTFLAGS (\\* a]b)> ] <c]d> ."},
    {BYTES("* OK [X (] y\r\n"), "* OK [ <X (> ] <y> ."},
    {BYTES("* OK [X )] y\r\n"), "* OK [ <X )> ] <y> ."},
    {BYTES("* OK [X \"half] y\r\n"), "* OK [ <X \"half> ] <y> ."},
    {BYTES("* OK [X {5}] y\r\n"), "* OK [ <X {5}> ] <y> ."},
    {BYTES("* NO [X y\r\nz\r\n"), "* NO <[X y> . z ."},
    {BYTES("* NO a [X] y\r\n"), "* NO <a [X] y> ."},
    {BYTES("* OK {5}\r\n"), "* OK <{5}> ."},
    {BYTES("* OK a\rb\r\r\n"), "* OK <a\rb\r> ."},
    {BYTES("* OK [a\0b] \0\xff\r\n"), "* OK [ <a?b> ] <?\xff> ."},
};

/* ---- tokens as text ---- */

struct reading {
    struct imap_parser *parser;
    struct buf out;
    bool failed, in_literal;
};

static void begin(struct reading *reading)
{
    *reading = (struct reading){.parser = imap_parser_new(MAX_LITERAL_BYTES)};
    buf_init(&reading->out, 1 << 20);
}

static void end(struct reading *reading)
{
    imap_parser_free(reading->parser);
    buf_fini(&reading->out);
}

static void add(struct reading *reading, const char *before, const struct imap_token *token,
                const char *after)
{
    if (buf_len(&reading->out) > 0 && token->kind != IMAP_TOKEN_LITERAL_END &&
        token->kind != IMAP_TOKEN_BYTES)
        buf_add_str(&reading->out, " ");
    buf_add_str(&reading->out, before);
    for (size_t i = 0; i < token->len; i++)
        buf_add(&reading->out, token->bytes[i] ? &token->bytes[i] : "#", 1);
    buf_add_str(&reading->out, after);
}

static void add_atom(struct reading *reading, const struct imap_token *token)
{
    static const char *const before_text[] = {"OK", "NO", "+"};
    add(reading, "", token, "");
    for (size_t i = 0; i < sizeof(before_text) / sizeof(before_text[0]); i++)
        if (strcmp(token->bytes, before_text[i]) == 0)
            imap_parser_want_text(reading->parser);
}

static void add_token(struct reading *reading, const struct imap_token *token)
{
    bool is_word =
        token->kind == IMAP_TOKEN_ATOM || token->kind == IMAP_TOKEN_STRING || token->kind == IMAP_TOKEN_TEXT;
    static const struct {
        const char *before, *after;
    } marks[] = {
        [IMAP_TOKEN_STRING] = {"\"", "\""},    [IMAP_TOKEN_LITERAL] = {"{", ""},
        [IMAP_TOKEN_BYTES] = {"", ""},         [IMAP_TOKEN_LITERAL_END] = {"}", ""},
        [IMAP_TOKEN_OPEN] = {"(", ""},         [IMAP_TOKEN_CLOSE] = {")", ""},
        [IMAP_TOKEN_SECTION_OPEN] = {"[", ""}, [IMAP_TOKEN_SECTION_CLOSE] = {"]", ""},
        [IMAP_TOKEN_TEXT] = {"<", ">"},        [IMAP_TOKEN_EOL] = {".", ""},
    };
    if (is_word)
        assert_int_equal(strlen(token->bytes), token->len);
    if (token->kind == IMAP_TOKEN_ATOM) {
        add_atom(reading, token);
    } else if (token->kind == IMAP_TOKEN_ERROR) {
        reading->failed = true;
        add(reading, "!", token, imap_parser_error(reading->parser));
    } else {
        add(reading, marks[token->kind].before, token, marks[token->kind].after);
    }
}

/* In memory of its own, so that a sanitizer sees a byte read too many. */
static void feed(struct reading *reading, const char *bytes, size_t len)
{
    char *piece = mem_new(len + 1);
    piece = mem_grow(piece, len ? len : 1, 1);
    memcpy(piece, bytes, len);
    for (size_t at = 0; !reading->failed;) {
        size_t used;
        struct imap_token token = imap_parser_next(reading->parser, piece + at, len - at, &used);
        assert_true(used <= len - at);
        at += used;
        if (token.kind == IMAP_TOKEN_MORE) {
            assert_int_equal(at, len);
            break;
        }
        add_token(reading, &token);
    }
    free(piece);
}

static void check_whole(const struct one *one)
{
    struct reading reading;
    begin(&reading);
    feed(&reading, one->bytes, one->len);
    assert_string_equal(buf_data(&reading.out), one->tokens);
    end(&reading);
}

static void check_cut(const struct one *one, size_t cut)
{
    struct reading reading;
    begin(&reading);
    feed(&reading, one->bytes, cut);
    feed(&reading, "", 0);
    feed(&reading, one->bytes + cut, one->len - cut);
    assert_string_equal(buf_data(&reading.out), one->tokens);
    end(&reading);
}

static void check_bytes(const struct one *one)
{
    struct reading reading;
    begin(&reading);
    for (size_t i = 0; i < one->len; i++)
        feed(&reading, one->bytes + i, 1);
    assert_string_equal(buf_data(&reading.out), one->tokens);
    end(&reading);
}

static void check_table(const struct one *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_whole(&table[i]);
        check_bytes(&table[i]);
        for (size_t cut = 0; cut <= table[i].len; cut++)
            check_cut(&table[i], cut);
    }
}

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void test_words(void **state)
{
    (void)state;
    check_table(words, COUNT(words));
}

static void test_strings(void **state)
{
    (void)state;
    check_table(strings, COUNT(strings));
}

static void test_literals(void **state)
{
    (void)state;
    check_table(literals, COUNT(literals));
}

static void test_texts(void **state)
{
    (void)state;
    check_table(texts, COUNT(texts));
}

/* ---- caps ---- */

/* `count` times `piece` between two texts, in one buffer that the caller frees. */
static char *repeated(const char *before, const char *piece, size_t count, const char *after)
{
    struct buf text;
    char *copy;
    buf_init(&text, 1 << 24);
    buf_add_str(&text, before);
    for (size_t i = 0; i < count; i++)
        buf_add_str(&text, piece);
    buf_add_str(&text, after);
    copy = str_copy(buf_data(&text));
    buf_fini(&text);
    return copy;
}

/* The error that the text runs into, or "". */
static void check_error(char *text, const char *error)
{
    struct imap_parser *parser = imap_parser_new(MAX_LITERAL_BYTES);
    size_t len = strlen(text), at = 0, used;
    struct imap_token token;
    do {
        token = imap_parser_next(parser, text + at, len - at, &used);
        at += used;
        if (token.kind == IMAP_TOKEN_ATOM && strcmp(token.bytes, "OK") == 0)
            imap_parser_want_text(parser);
    } while (token.kind != IMAP_TOKEN_MORE && token.kind != IMAP_TOKEN_ERROR);
    assert_string_equal(imap_parser_error(parser), error);
    assert_int_equal(token.kind, error[0] ? IMAP_TOKEN_ERROR : IMAP_TOKEN_MORE);
    imap_parser_free(parser);
    free(text);
}

static void test_depth(void **state)
{
    (void)state;
    check_error(repeated("", "(", IMAP_PARSER_MAX_DEPTH, "x"), "");
    check_error(repeated("", "(", IMAP_PARSER_MAX_DEPTH + 1, "x"), "parentheses nested too deeply");
    check_error(repeated("", "()", 10000, "\r\n"), "");
}

static void test_token_bytes(void **state)
{
    enum { MOST = IMAP_PARSER_MAX_TOKEN_BYTES };
    (void)state;
    check_error(repeated("", "a", MOST, "\r\n"), "");
    check_error(repeated("", "a", MOST + 1, "\r\n"), "a word that is too long");
    check_error(repeated("\"", "a", MOST, "\"\r\n"), "");
    check_error(repeated("\"", "a", MOST + 1, "\"\r\n"), "a quoted string that is too long");
    check_error(repeated("BODY[", "a", MOST, "]\r\n"), "a word that is too long");
    check_error(repeated("OK ", "a", MOST, "\n"), "");
    check_error(repeated("OK ", "a", MOST + 1, "\n"), "a line of text that is too long");
    check_error(repeated("OK [", "a", MOST, "]\r\n"), "a line of text that is too long");
}

static void test_tokens_in_a_line(void **state)
{
    (void)state;
    check_error(repeated("", "a ", IMAP_PARSER_MAX_TOKENS, "\r\n"), "");
    check_error(repeated("", "a ", IMAP_PARSER_MAX_TOKENS + 1, "\r\n"),
                "a line of more than a million words");
    check_error(repeated("", "()", IMAP_PARSER_MAX_TOKENS / 2 + 1, "\r\n"),
                "a line of more than a million words");
    check_error(repeated("", "a\r\n", IMAP_PARSER_MAX_TOKENS + 1, ""), "");
}

static void test_no_way_back(void **state)
{
    struct imap_parser *parser = imap_parser_new(MAX_LITERAL_BYTES);
    size_t used;
    (void)state;
    assert_int_equal(imap_parser_next(parser, ")", 1, &used).kind, IMAP_TOKEN_ERROR);
    for (size_t len = 0; len < 4; len++)
        assert_int_equal(imap_parser_next(parser, "a\r\n", len, &used).kind, IMAP_TOKEN_ERROR);
    assert_string_equal(imap_parser_error(parser), "a ) without its (");
    imap_parser_free(parser);
    imap_parser_free(NULL);
}

/* ---- giving back ---- */

/* The literal taken by at most `most` bytes a call, the rest given back. */
static void take_slowly(const char *bytes, size_t len, size_t most, struct buf *taken)
{
    struct imap_parser *parser = imap_parser_new(MAX_LITERAL_BYTES);
    struct imap_token token;
    size_t at = 0, used;
    do {
        token = imap_parser_next(parser, bytes + at, len - at, &used);
        at += used;
        if (token.kind != IMAP_TOKEN_BYTES)
            continue;
        size_t rest = token.len > most ? token.len - most : 0;
        buf_add(taken, token.bytes, token.len - rest);
        imap_parser_unread(parser, rest);
        at -= rest;
    } while (token.kind != IMAP_TOKEN_EOL && token.kind != IMAP_TOKEN_ERROR);
    assert_int_equal(token.kind, IMAP_TOKEN_EOL);
    assert_int_equal(at, len);
    imap_parser_free(parser);
}

static void test_unread(void **state)
{
    static const char line[] = "({11}\r\nhello\r\n{3}\0 x)\r\n";
    (void)state;
    for (size_t most = 1; most < 13; most++) {
        struct buf taken;
        buf_init(&taken, MAX_LITERAL_BYTES);
        take_slowly(line, sizeof(line) - 1, most, &taken);
        assert_int_equal(buf_len(&taken), 11);
        assert_memory_equal(buf_data(&taken), "hello\r\n{3}\0", 11);
        buf_fini(&taken);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_token_bytes),
        cmocka_unit_test(test_tokens_in_a_line),
        cmocka_unit_test(test_no_way_back),
        cmocka_unit_test(test_unread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
