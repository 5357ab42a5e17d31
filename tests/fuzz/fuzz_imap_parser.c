/*
 * Any bytes as server output: the parser takes them all or says what is wrong, the caps hold, and the tokens are the same
 * however the bytes are cut. The first byte of the input says where.
 */
#include "imap/imap_parser.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_LITERAL_BYTES = 1 << 20, MAX_OUT_BYTES = 1 << 26 };

struct reading {
    struct imap_parser *parser;
    struct buf out;
    unsigned depth;
    uint64_t literal_left;
    bool in_literal, failed;
    size_t unread; /* every so many bytes of a literal, one is given back; 0: none */
};

static void check_literal(struct reading *reading, const struct imap_token *token)
{
    if (token->kind == IMAP_TOKEN_LITERAL) {
        ASSERT(!reading->in_literal && token->size <= MAX_LITERAL_BYTES);
        reading->in_literal = true;
        reading->literal_left = token->size;
    } else if (token->kind == IMAP_TOKEN_BYTES) {
        ASSERT(reading->in_literal && token->len > 0 && token->len <= reading->literal_left);
    } else if (token->kind == IMAP_TOKEN_LITERAL_END) {
        ASSERT(reading->in_literal && reading->literal_left == 0);
        reading->in_literal = false;
    } else {
        ASSERT(!reading->in_literal);
    }
}

static void check_token(struct reading *reading, const struct imap_token *token)
{
    check_literal(reading, token);
    switch (token->kind) {
    case IMAP_TOKEN_ATOM:
        ASSERT(token->len > 0 && !memchr(token->bytes, '\r', token->len));
        /* fall through */
    case IMAP_TOKEN_STRING:
    case IMAP_TOKEN_TEXT:
        ASSERT(strlen(token->bytes) == token->len && token->len <= IMAP_PARSER_MAX_TOKEN_BYTES);
        ASSERT(!strchr(token->bytes, '\n'));
        break;
    case IMAP_TOKEN_OPEN:
        ASSERT(++reading->depth <= IMAP_PARSER_MAX_DEPTH);
        break;
    case IMAP_TOKEN_CLOSE:
        ASSERT(reading->depth-- > 0);
        break;
    case IMAP_TOKEN_EOL:
        ASSERT(reading->depth == 0);
        break;
    default:
        break;
    }
}

/* Kind and bytes; the pieces of a literal run together. */
static void write_token(struct reading *reading, const struct imap_token *token)
{
    char kind = (char)('a' + token->kind);
    if (token->kind != IMAP_TOKEN_BYTES)
        buf_add(&reading->out, &kind, 1);
    if (token->kind == IMAP_TOKEN_ERROR)
        ASSERT(imap_parser_error(reading->parser)[0]);
    buf_add(&reading->out, token->bytes, token->len);
}

/* What is called on a status line by those who read one. */
static void ask_for_text(struct reading *reading, const struct imap_token *token)
{
    if (token->kind == IMAP_TOKEN_ATOM &&
        (str_equal_nocase(token->bytes, "OK") || str_equal(token->bytes, "+")))
        imap_parser_want_text(reading->parser);
}

/* How much of the token is given back. */
static size_t give_back(struct reading *reading, const struct imap_token *token)
{
    size_t back = 0;
    if (token->kind != IMAP_TOKEN_BYTES)
        return 0;
    if (reading->unread > 0 && token->len > reading->unread)
        back = token->len - reading->unread;
    if (back > 0)
        imap_parser_unread(reading->parser, back);
    reading->literal_left -= token->len - back;
    return back;
}

static void feed(struct reading *reading, const char *bytes, size_t len)
{
    while (!reading->failed) {
        size_t used;
        struct imap_token token = imap_parser_next(reading->parser, bytes, len, &used);
        ASSERT(used <= len);
        if (token.kind == IMAP_TOKEN_MORE) {
            ASSERT(used == len);
            return;
        }
        check_token(reading, &token);
        size_t back = give_back(reading, &token);
        token.len -= back;
        bytes += used - back;
        len -= used - back;
        write_token(reading, &token);
        ask_for_text(reading, &token);
        reading->failed = token.kind == IMAP_TOKEN_ERROR;
    }
    ASSERT(imap_parser_next(reading->parser, bytes, len, &len).kind == IMAP_TOKEN_ERROR);
}

static void read_in_pieces(struct reading *reading, const char *bytes, size_t len, size_t piece,
                           size_t unread)
{
    *reading = (struct reading){.parser = imap_parser_new(MAX_LITERAL_BYTES), .unread = unread};
    buf_init(&reading->out, MAX_OUT_BYTES);
    for (size_t at = 0; at < len && !reading->failed; at += piece)
        feed(reading, bytes + at, len - at < piece ? len - at : piece);
}

static void end(struct reading *reading)
{
    imap_parser_free(reading->parser);
    buf_fini(&reading->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole, pieces;
    if (size == 0)
        return 0;
    const char *bytes = (const char *)data + 1;
    read_in_pieces(&whole, bytes, size - 1, size, 0);
    read_in_pieces(&pieces, bytes, size - 1, data[0] % 16 + 1u, data[0] / 16);
    ASSERT(buf_len(&whole.out) == buf_len(&pieces.out));
    ASSERT(memcmp(buf_data(&whole.out), buf_data(&pieces.out), buf_len(&whole.out)) == 0);
    end(&whole);
    end(&pieces);
    return 0;
}
