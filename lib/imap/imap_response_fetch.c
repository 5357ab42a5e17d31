/*
 * The FETCH line: names and values in any order, once or more often; see imap_response.h. A body that comes before its
 * UID is passed on with UID 0; who streams it must compare when the line is over.
 */
#include "base/str.h"
#include "imap/imap_date.h"
#include "imap/imap_flags.h"
#include "imap/imap_response_private.h"

#include <string.h>

static const struct {
    const char *name;
    enum fetch_item item;
} items[] = {
    {"UID", FETCH_UID},          {"FLAGS", FETCH_FLAGS},          {"INTERNALDATE", FETCH_DATE},
    {"RFC822.SIZE", FETCH_SIZE}, {"MODSEQ", FETCH_MODSEQ},        {"BODY[HEADER]", FETCH_HEADER},
    {"BODY[]", FETCH_BODY},      {"RFC822.HEADER", FETCH_HEADER}, {"RFC822", FETCH_BODY},
};

void imap_response_fetch_clear(struct imap_response_reader *reader)
{
    imap_flags_fini(&reader->fetch.flags);
    reader->fetch = (struct imap_fetch){0};
    reader->item = FETCH_NAME;
    reader->has_header = reader->has_body = reader->body_wanted = false;
    reader->quoted_len = 0;
    buf_clear(&reader->header);
}

static enum literal_use use_for(const struct imap_response_reader *reader)
{
    if (reader->depth != 1)
        return LITERAL_SKIP;
    switch (reader->item) {
    case FETCH_HEADER:
        return LITERAL_HEADER;
    case FETCH_BODY:
        /* A second body in one answer is nobody's. */
        return reader->has_body ? LITERAL_SKIP : LITERAL_BODY;
    case FETCH_OTHER:
        return LITERAL_SKIP;
    default:
        return LITERAL_VALUE;
    }
}

static void take_name(struct imap_response_reader *reader, const struct imap_token *token)
{
    reader->item = FETCH_OTHER;
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
        if (imap_response_is_word(token, items[i].name))
            reader->item = items[i].item;
}

/* The list of FLAGS alone says that they were told: without it ("FLAGS NIL") a message has not lost them. */
static void open_list(struct imap_response_reader *reader)
{
    if (++reader->depth != 2 || reader->item != FETCH_FLAGS)
        return;
    imap_flags_fini(&reader->fetch.flags);
    reader->fetch.has_flags = true;
}

/* A body as quoted string: as literal, but all there already. NIL: there is none. */
static int take_body_word(struct imap_response_reader *reader, const struct imap_token *token,
                          struct err *err)
{
    if (token->kind == IMAP_TOKEN_LITERAL_END || reader->has_body || imap_response_is_word(token, "NIL"))
        return 0;
    if (token->kind != IMAP_TOKEN_STRING)
        return imap_response_nonsense(err, "a body that is no string");
    if (imap_response_fetch_begin_body(reader, token->len, err) != 0)
        return -1;
    reader->quoted = token->bytes;
    reader->quoted_len = token->len;
    return 0;
}

static void take_header(struct imap_response_reader *reader, const struct imap_token *token)
{
    if (imap_response_is_word(token, "NIL"))
        return;
    buf_clear(&reader->header);
    buf_add(&reader->header, token->bytes, token->len);
    reader->has_header = true;
}

static int take_value(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    struct imap_fetch *fetch = &reader->fetch;
    switch (reader->item) {
    case FETCH_UID:
        /* 0 is no UID: then the answer is as one without. */
        return str_to_u32(token->bytes, &fetch->uid) == 0 ? 0
                                                          : imap_response_nonsense(err, "a UID that is none");
    case FETCH_DATE:
        fetch->has_date = imap_date_parse(token->bytes, &fetch->date) == 0;
        return 0;
    case FETCH_SIZE:
        fetch->has_size = str_to_u64(token->bytes, &fetch->size_bytes) == 0;
        return 0;
    case FETCH_HEADER:
        take_header(reader, token);
        return 0;
    case FETCH_BODY:
        return take_body_word(reader, token, err);
    default:
        return 0;
    }
}

/* Inside a list that is a value: FLAGS (...) and MODSEQ (...) matter. */
static int take_inner(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    if (reader->depth != 2 || token->kind != IMAP_TOKEN_ATOM)
        return 0;
    if (reader->item == FETCH_MODSEQ)
        reader->fetch.has_modseq = str_to_u64(token->bytes, &reader->fetch.modseq) == 0;
    if (reader->item == FETCH_FLAGS && imap_flags_add(&reader->fetch.flags, token->bytes, token->len) != 0)
        return imap_response_nonsense(err,
                                      "a message with too many keywords, or one that cannot be written back");
    return 0;
}

static int end_fetch(struct imap_response_reader *reader, struct err *err)
{
    struct imap_response response = {.kind = IMAP_RESPONSE_FETCH,
                                     .fetch = &reader->fetch,
                                     .has_body = reader->has_body && reader->body_wanted};
    reader->fetch.seq = reader->number;
    if (reader->has_header) {
        reader->fetch.header = buf_data(&reader->header);
        reader->fetch.header_len = buf_len(&reader->header);
    }
    return imap_response_emit(reader, &response, err);
}

static int fetch_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    int result = 0;
    if (token->kind == IMAP_TOKEN_EOL)
        return end_fetch(reader, err);
    if (token->kind == IMAP_TOKEN_OPEN) {
        open_list(reader);
    } else if (token->kind == IMAP_TOKEN_CLOSE) {
        if (--reader->depth == 1)
            reader->item = FETCH_NAME;
    } else if (reader->depth == 0) {
        return imap_response_nonsense(err, "a FETCH without parentheses");
    } else if (reader->depth > 1) {
        result = take_inner(reader, token, err);
    } else if (reader->item == FETCH_NAME) {
        if (token->kind != IMAP_TOKEN_ATOM)
            return imap_response_nonsense(err, "a FETCH with a value without a name");
        take_name(reader, token);
    } else {
        result = take_value(reader, token, err);
        reader->item = FETCH_NAME;
    }
    reader->literal = use_for(reader);
    return result;
}

void imap_response_fetch_begin(struct imap_response_reader *reader)
{
    reader->line = fetch_line;
    reader->literal = LITERAL_SKIP;
}

int imap_response_fetch_begin_body(struct imap_response_reader *reader, uint64_t size_bytes, struct err *err)
{
    int wanted = reader->handlers.on_body_begin(reader->handlers.context, reader->fetch.uid, size_bytes, err);
    reader->has_body = true;
    reader->body_wanted = wanted > 0;
    return wanted < 0 ? -1 : 0;
}

size_t imap_response_fetch_body(struct imap_response_reader *reader, const char *bytes, size_t len)
{
    return reader->body_wanted ? reader->handlers.on_body_bytes(reader->handlers.context, bytes, len) : len;
}

bool imap_response_fetch_quoted(struct imap_response_reader *reader)
{
    size_t taken;
    if (reader->quoted_len == 0)
        return true;
    taken = imap_response_fetch_body(reader, reader->quoted, reader->quoted_len);
    reader->quoted += taken;
    reader->quoted_len -= taken;
    return reader->quoted_len == 0;
}
