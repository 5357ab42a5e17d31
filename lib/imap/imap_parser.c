/*
 * The parser; see imap_parser.h. A small state machine over bytes: a token that comes in pieces is collected in one
 * capped buffer, a literal is never collected at all.
 *
 *     START --(--> OPEN    --"--> QUOTED <-> ESCAPE     --{--> SIZE -> SIZE_END -> LITERAL
 *           --CR-> LINE_END --> LF                      --other--> ATOM <-> SECTION (BODY[...])
 *     TEXT is the rest of a line once imap_parser_want_text() was called; it may begin with a response code, whose
 *     inside is given as one text too: servers put anything there, also half a quoted string.
 */
#include "imap/imap_parser.h"

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum state {
    START,
    ATOM,
    SECTION,
    QUOTED,
    ESCAPE,
    SIZE,
    SIZE_END,
    LITERAL,
    LINE_END,
    TEXT,
    CODE_TEXT, /* the line is whole: the parts of its code and text are given out */
    CODE_CLOSE,
    REST_TEXT,
    REST_END,
    BROKEN,
};

struct imap_parser {
    enum state state;
    struct buf token;
    uint64_t max_literal_bytes, literal_left;
    unsigned depth;
    unsigned tokens; /* in this line */
    bool text_wanted;
    size_t code_len;   /* in TEXT: of the code, without brackets */
    size_t rest_start; /* where the text after it begins */
    char error[160];
};

struct imap_parser *imap_parser_new(uint64_t max_literal_bytes)
{
    struct imap_parser *parser = mem_new(sizeof(*parser));
    parser->max_literal_bytes = max_literal_bytes;
    buf_init(&parser->token, IMAP_PARSER_MAX_TOKEN_BYTES);
    return parser;
}

void imap_parser_free(struct imap_parser *parser)
{
    if (!parser)
        return;
    buf_fini(&parser->token);
    free(parser);
}

void imap_parser_want_text(struct imap_parser *parser)
{
    parser->text_wanted = true;
}

const char *imap_parser_error(const struct imap_parser *parser)
{
    return parser->error;
}

static struct imap_token fail(struct imap_parser *parser, const char *what)
{
    parser->state = BROKEN;
    str_into(parser->error, sizeof(parser->error), what);
    return (struct imap_token){.kind = IMAP_TOKEN_ERROR};
}

static struct imap_token give(struct imap_parser *parser, enum imap_token_kind kind)
{
    if (++parser->tokens > IMAP_PARSER_MAX_TOKENS)
        return fail(parser, "a line of more than a million words");
    return (struct imap_token){.kind = kind};
}

static struct imap_token more(void)
{
    return (struct imap_token){.kind = IMAP_TOKEN_MORE};
}

/* What was collected, as a token; the buffer keeps it until the next token begins. */
static struct imap_token give_collected(struct imap_parser *parser, enum imap_token_kind kind)
{
    struct imap_token token = give(parser, kind);
    parser->state = START;
    if (token.kind == IMAP_TOKEN_ERROR)
        return fail(parser, parser->error);
    token.bytes = buf_data(&parser->token);
    token.len = buf_len(&parser->token);
    return token;
}

static struct imap_token end_line(struct imap_parser *parser)
{
    if (parser->depth > 0)
        return fail(parser, "a line ends inside parentheses");
    parser->state = START;
    parser->tokens = 0;
    parser->text_wanted = false;
    return (struct imap_token){.kind = IMAP_TOKEN_EOL};
}

static bool ends_atom(char c)
{
    return c == ' ' || c == '(' || c == ')' || c == '\r' || c == '\n' || c == 0;
}

/* ---- one handler per state: consumes, returns true if it has a token ---- */

struct input {
    const char *bytes;
    size_t len, used;
};

static char peek(const struct input *input)
{
    return input->bytes[input->used];
}

static bool is_empty(const struct input *input)
{
    return input->used == input->len;
}

static struct imap_token open_or_close(struct imap_parser *parser, char c)
{
    if (c == '(' && ++parser->depth > IMAP_PARSER_MAX_DEPTH)
        return fail(parser, "parentheses nested too deeply");
    if (c == ')' && parser->depth-- == 0)
        return fail(parser, "a ) without its (");
    return give(parser, c == '(' ? IMAP_TOKEN_OPEN : IMAP_TOKEN_CLOSE);
}

/* Between tokens. */
static bool do_start(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    char c;
    while (!is_empty(input) && peek(input) == ' ')
        input->used++;
    if (is_empty(input))
        return false;
    buf_clear(&parser->token);
    if (parser->text_wanted) {
        parser->state = TEXT;
        return false;
    }
    c = peek(input);
    if (c == '(' || c == ')') {
        input->used++;
        *token = open_or_close(parser, c);
        return true;
    }
    parser->state = c == '\r' || c == '\n' ? LINE_END : c == '"' ? QUOTED : c == '{' ? SIZE : ATOM;
    if (parser->state == QUOTED || parser->state == SIZE)
        input->used++;
    return false;
}

static bool do_line_end(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    if (peek(input) == '\r' && buf_len(&parser->token) == 0) {
        input->used++;
        buf_add(&parser->token, "\r", 1);
        return false;
    }
    if (peek(input) != '\n') {
        *token = fail(parser, "a carriage return inside a line");
        return true;
    }
    input->used++;
    *token = end_line(parser);
    return true;
}

/* "BODY[" and its like: up to ']' all belongs to the name, blanks and parentheses too. */
static bool opens_section(const struct buf *atom)
{
    static const char *const names[] = {"BODY[", "BODY.PEEK[", "BINARY[", "BINARY.PEEK[", "BINARY.SIZE["};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (buf_len(atom) == strlen(names[i]) && strncasecmp(buf_data(atom), names[i], buf_len(atom)) == 0)
            return true;
    return false;
}

static bool do_atom(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    size_t start = input->used;
    char last = 0;
    while (!is_empty(input) && !ends_atom(peek(input)) && last != '[')
        last = input->bytes[input->used++];
    if (buf_add(&parser->token, input->bytes + start, input->used - start) != 0) {
        *token = fail(parser, "a word that is too long");
        return true;
    }
    if (last == '[' && opens_section(&parser->token)) {
        parser->state = SECTION;
        return false;
    }
    if (is_empty(input) || last == '[')
        return false;
    *token = peek(input) == 0 ? fail(parser, "a NUL byte outside of a literal")
                              : give_collected(parser, IMAP_TOKEN_ATOM);
    return true;
}

static bool do_section(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    size_t start = input->used;
    bool closed = false;
    while (!closed && !is_empty(input) && peek(input) != '\r' && peek(input) != '\n' && peek(input) != 0)
        closed = input->bytes[input->used++] == ']';
    if (buf_add(&parser->token, input->bytes + start, input->used - start) != 0) {
        *token = fail(parser, "a word that is too long");
        return true;
    }
    if (closed) {
        parser->state = ATOM;
        return false;
    }
    if (is_empty(input))
        return false;
    *token = fail(parser, "a [ without its ]");
    return true;
}

static bool do_quoted(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    size_t start = input->used;
    char c = 0;
    while (!is_empty(input)) {
        c = peek(input);
        if (c == '"' || c == '\\' || c == '\r' || c == '\n' || c == 0)
            break;
        input->used++;
    }
    if (buf_add(&parser->token, input->bytes + start, input->used - start) != 0) {
        *token = fail(parser, "a quoted string that is too long");
        return true;
    }
    if (is_empty(input))
        return false;
    input->used++;
    if (c == '\\') {
        parser->state = ESCAPE;
        return false;
    }
    *token = c == '"' ? give_collected(parser, IMAP_TOKEN_STRING)
                      : fail(parser, "a line ends, or a NUL byte stands, inside a quoted string");
    return true;
}

static bool do_escape(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    char c = peek(input);
    input->used++;
    parser->state = QUOTED;
    if (c != '\r' && c != '\n' && c != 0 && buf_add(&parser->token, &c, 1) == 0)
        return false;
    *token = fail(parser, "nonsense after a backslash in a quoted string");
    return true;
}

/* The announced size, once "}" was read; "{5+}" is a client's form that some servers send as well. */
static struct imap_token begin_literal(struct imap_parser *parser)
{
    struct imap_token token;
    uint64_t size = 0;
    size_t len = buf_len(&parser->token);
    char *digits = str_copy_n(buf_data(&parser->token), len);
    if (len > 1 && digits[len - 1] == '+')
        digits[len - 1] = 0;
    bool valid = str_to_u64(digits, &size) == 0;
    free(digits);
    if (!valid)
        return fail(parser, "a literal without a size");
    if (size > parser->max_literal_bytes) {
        fail(parser, "");
        snprintf(parser->error, sizeof(parser->error), "a literal of %llu bytes, over the limit of %llu",
                 (unsigned long long)size, (unsigned long long)parser->max_literal_bytes);
        return (struct imap_token){.kind = IMAP_TOKEN_ERROR};
    }
    token = give(parser, IMAP_TOKEN_LITERAL);
    token.size = parser->literal_left = size;
    if (parser->state != BROKEN)
        parser->state = LITERAL;
    return token;
}

static bool do_size(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    char c = peek(input);
    input->used++;
    if (c == '}') {
        parser->state = SIZE_END;
        return false;
    }
    if (((c >= '0' && c <= '9') || c == '+') && buf_len(&parser->token) < 24 &&
        buf_add(&parser->token, &c, 1) == 0)
        return false;
    *token = fail(parser, "a literal without a size");
    return true;
}

static bool do_size_end(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    char c = peek(input);
    input->used++;
    if (c == '\r')
        return false;
    *token = c == '\n' ? begin_literal(parser) : fail(parser, "a literal's size that does not end its line");
    return true;
}

static bool do_literal(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    size_t len = input->len - input->used;
    if (parser->literal_left == 0) {
        *token = (struct imap_token){.kind = IMAP_TOKEN_LITERAL_END};
        parser->state = START;
        return true;
    }
    if (len == 0)
        return false;
    if (len > parser->literal_left)
        len = (size_t)parser->literal_left;
    *token = (struct imap_token){.kind = IMAP_TOKEN_BYTES, .bytes = input->bytes + input->used, .len = len};
    input->used += len;
    parser->literal_left -= len;
    return true;
}

/* ---- the rest of a status line ---- */

/* Where the code that begins with '[' ends: the first ']' outside of parentheses (a keyword may hold one), else the
 * first at all, else nowhere. */
static const char *end_of_code(const char *text)
{
    int depth = 0;
    for (const char *c = text; *c; c++) {
        depth += (*c == '(') - (*c == ')');
        if (*c == ']' && depth <= 0)
            return c;
    }
    return strchr(text, ']');
}

static struct imap_token split_text(struct imap_parser *parser)
{
    const char *text = buf_data(&parser->token), *end = text[0] == '[' ? end_of_code(text) : NULL;
    if (!end) {
        parser->rest_start = 0;
        parser->state = REST_END;
        return (struct imap_token){.kind = IMAP_TOKEN_TEXT, .bytes = text, .len = buf_len(&parser->token)};
    }
    parser->code_len = (size_t)(end - text) - 1;
    parser->rest_start = (size_t)(end - text) + 1 + strspn(end + 1, " ");
    parser->state = CODE_TEXT;
    return (struct imap_token){.kind = IMAP_TOKEN_SECTION_OPEN};
}

static bool do_text(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    const char *bytes = input->bytes + input->used, *end = memchr(bytes, '\n', input->len - input->used);
    size_t len = end ? (size_t)(end - bytes) : input->len - input->used;
    char *text;
    if (buf_add(&parser->token, bytes, len) != 0) {
        *token = fail(parser, "a line of text that is too long");
        return true;
    }
    input->used += len;
    if (!end)
        return false;
    input->used++;
    /* For people only: bytes that would end it early are made harmless. */
    text = parser->token.bytes ? parser->token.bytes + parser->token.start : NULL;
    len = buf_len(&parser->token);
    for (size_t i = 0; i < len; i++)
        if (text[i] == 0)
            text[i] = '?';
    if (len > 0 && text[len - 1] == '\r') {
        text[len - 1] = 0;
        parser->token.len--;
    }
    *token = split_text(parser);
    return true;
}

/* The parts of a whole line, one a call. */
static struct imap_token next_part(struct imap_parser *parser)
{
    char *text = parser->token.bytes + parser->token.start;
    switch (parser->state) {
    case CODE_TEXT:
        parser->state = CODE_CLOSE;
        text[1 + parser->code_len] = 0;
        return (struct imap_token){.kind = IMAP_TOKEN_TEXT, .bytes = text + 1, .len = parser->code_len};
    case CODE_CLOSE:
        parser->state = REST_TEXT;
        return (struct imap_token){.kind = IMAP_TOKEN_SECTION_CLOSE};
    case REST_TEXT:
        parser->state = REST_END;
        return (struct imap_token){.kind = IMAP_TOKEN_TEXT,
                                   .bytes = text + parser->rest_start,
                                   .len = buf_len(&parser->token) - parser->rest_start};
    default:
        return end_line(parser);
    }
}

/* ---- */

static bool step(struct imap_parser *parser, struct input *input, struct imap_token *token)
{
    switch (parser->state) {
    case START:
        return do_start(parser, input, token);
    case ATOM:
        return do_atom(parser, input, token);
    case SECTION:
        return do_section(parser, input, token);
    case QUOTED:
        return do_quoted(parser, input, token);
    case ESCAPE:
        return do_escape(parser, input, token);
    case SIZE:
        return do_size(parser, input, token);
    case SIZE_END:
        return do_size_end(parser, input, token);
    case LITERAL:
        return do_literal(parser, input, token);
    case LINE_END:
        return do_line_end(parser, input, token);
    case TEXT:
        return do_text(parser, input, token);
    default:
        *token = fail(parser, parser->error);
        return true;
    }
}

struct imap_token imap_parser_next(struct imap_parser *parser, const char *bytes, size_t len,
                                   size_t *used_out)
{
    struct input input = {.bytes = bytes, .len = len};
    struct imap_token token = {.kind = IMAP_TOKEN_ERROR};
    *used_out = 0;
    if (parser->state >= CODE_TEXT && parser->state <= REST_END)
        return next_part(parser);
    /* An empty literal ends without a byte of input. */
    while (!is_empty(&input) || (parser->state == LITERAL && parser->literal_left == 0)) {
        bool found = step(parser, &input, &token);
        *used_out = input.used;
        if (found)
            return token;
    }
    return parser->state == BROKEN ? token : more();
}

void imap_parser_unread(struct imap_parser *parser, size_t len)
{
    parser->state = LITERAL;
    parser->literal_left += len;
}
