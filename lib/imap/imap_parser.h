/*
 * Incremental parser of server output: bytes in, tokens out; no socket, no log. Depth and sizes capped, literals as a
 * stream. Fuzzed (tests/fuzz/fuzz_imap_parser.c). RFC 3501 section 9, with the liberties that servers take.
 *
 * Feed bytes; each call consumes some and gives one token or asks for more. A response line is the tokens up to
 * IMAP_TOKEN_EOL.
 */
#ifndef MIRROR_IMAP_PARSER_H
#define MIRROR_IMAP_PARSER_H

#include <stddef.h>
#include <stdint.h>

enum {
    IMAP_PARSER_MAX_DEPTH = 32,
    IMAP_PARSER_MAX_TOKEN_BYTES = 64 * 1024, /* atom, quoted string, text of a response code */
    IMAP_PARSER_MAX_TOKENS = 1000000,        /* in one line */
};

enum imap_token_kind {
    IMAP_TOKEN_MORE,    /* all bytes consumed, nothing whole yet */
    IMAP_TOKEN_ATOM,    /* atom, number, flag with backslash, NIL, "+" and "*" at the start of a line */
    IMAP_TOKEN_STRING,  /* quoted string, unescaped */
    IMAP_TOKEN_LITERAL, /* a literal starts: `size` bytes will follow as IMAP_TOKEN_BYTES */
    IMAP_TOKEN_BYTES,   /* a piece of the literal, as it came: points into the fed bytes */
    IMAP_TOKEN_LITERAL_END,
    IMAP_TOKEN_OPEN,         /* ( */
    IMAP_TOKEN_CLOSE,        /* ) */
    IMAP_TOKEN_SECTION_OPEN, /* [ opening a response code after imap_parser_want_text(); a TEXT with all that stands
                               * between the brackets and a SECTION_CLOSE follow. In BODY[...] they are part of the atom */
    IMAP_TOKEN_SECTION_CLOSE, /* ] */
    IMAP_TOKEN_TEXT,          /* rest of line: human-readable text, given after imap_parser_want_text() */
    IMAP_TOKEN_EOL,
    IMAP_TOKEN_ERROR, /* protocol nonsense or over a cap; imap_parser_error() says which; no way back */
};

struct imap_token {
    enum imap_token_kind kind;
    const char *bytes; /* valid until the next call; NUL-terminated for ATOM, STRING, TEXT */
    size_t len;
    uint64_t size; /* LITERAL: its announced length */
};

struct imap_parser;

struct imap_parser *imap_parser_new(uint64_t max_literal_bytes);
void imap_parser_free(struct imap_parser *parser);

/* Consumes from `bytes`; `*used_out` is how many. */
struct imap_token imap_parser_next(struct imap_parser *parser, const char *bytes, size_t len,
                                   size_t *used_out);

/* The rest of the current line comes as one IMAP_TOKEN_TEXT (after OK/NO/BAD/BYE/+ and a response code). */
void imap_parser_want_text(struct imap_parser *parser);

/* Gives back the last `len` bytes of the BYTES token just returned: the caller feeds them again. */
void imap_parser_unread(struct imap_parser *parser, size_t len);

const char *imap_parser_error(const struct imap_parser *parser);

#endif
