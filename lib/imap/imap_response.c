/*
 * From tokens to responses; see imap_response.h. One small handler per kind of line is fed with words; a literal becomes
 * a word once it is whole, unless it is a message's body, which is passed on as it comes. The FETCH line has a file of its
 * own (imap_response_fetch.c).
 */
#include "imap/imap_response.h"

#include "base/str.h"
#include "imap/imap_response_private.h"
#include "imap/imap_set.h"

#include <stdlib.h>
#include <string.h>

const char *imap_response_condition_name(enum imap_condition condition)
{
    static const char *const names[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
    return names[condition];
}

int imap_response_nonsense(struct err *err, const char *what)
{
    return err_set(err, ERR_MAILBOX, ERR_RETRY_LATER, "the server's answer makes no sense: %s", what);
}

int imap_response_emit(struct imap_response_reader *reader, const struct imap_response *response,
                       struct err *err)
{
    return reader->handlers.on_response(reader->handlers.context, response, err);
}

bool imap_response_is_word(const struct imap_token *token, const char *word)
{
    return token->kind == IMAP_TOKEN_ATOM && str_equal_nocase(token->bytes, word);
}

static bool is_string(const struct imap_token *token)
{
    return token->kind == IMAP_TOKEN_ATOM || token->kind == IMAP_TOKEN_STRING;
}

/* ---- lines that nobody asked for ---- */

static int skip_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    (void)reader;
    (void)token;
    (void)err;
    return 0;
}

/* ---- OK NO BAD BYE PREAUTH, tagged or not, and "+" ---- */

static int status_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    if (token->kind == IMAP_TOKEN_SECTION_OPEN) {
        reader->step = 1;
    } else if (token->kind == IMAP_TOKEN_TEXT) {
        struct buf *into = reader->step == 1 ? &reader->name : &reader->value;
        reader->step = 2;
        buf_add(into, token->bytes, token->len);
    } else if (token->kind == IMAP_TOKEN_EOL) {
        struct imap_response response = {
            .kind = reader->kind,
            .condition = reader->condition,
            .tag = reader->tag,
            .code = buf_data(&reader->name),
            .text = buf_data(&reader->value),
        };
        return imap_response_emit(reader, &response, err);
    }
    return 0;
}

static int begin_status(struct imap_response_reader *reader, enum imap_response_kind kind,
                        enum imap_condition condition)
{
    reader->kind = kind;
    reader->condition = condition;
    reader->line = status_line;
    imap_parser_want_text(reader->parser);
    return 0;
}

/* The condition that the word names, or -1. */
static int condition_of(const struct imap_token *token)
{
    for (int condition = IMAP_OK; condition <= IMAP_PREAUTH; condition++)
        if (imap_response_is_word(token, imap_response_condition_name((enum imap_condition)condition)))
            return condition;
    return -1;
}

static int tagged_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    int condition = condition_of(token);
    if (condition < IMAP_OK || condition > IMAP_BAD)
        return imap_response_nonsense(err, "a tag without OK, NO or BAD");
    return begin_status(reader, IMAP_RESPONSE_TAGGED, (enum imap_condition)condition);
}

/* ---- lists of words ---- */

static int capability_line(struct imap_response_reader *reader, const struct imap_token *token,
                           struct err *err)
{
    struct imap_response response = {.kind = IMAP_RESPONSE_CAPABILITY};
    if (token->kind == IMAP_TOKEN_EOL) {
        response.text = buf_data(&reader->value);
        return imap_response_emit(reader, &response, err);
    }
    if (is_string(token) &&
        (buf_add(&reader->value, token->bytes, token->len) != 0 || buf_add_str(&reader->value, " ") != 0))
        return imap_response_nonsense(err, "a CAPABILITY without end");
    return 0;
}

/* ("name" "Dovecot" "version" NIL): a name and its value in turn. */
static int id_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    struct imap_response response = {.kind = IMAP_RESPONSE_ID};
    if (token->kind == IMAP_TOKEN_EOL) {
        response.text = buf_data(&reader->value);
        return imap_response_emit(reader, &response, err);
    }
    if (!is_string(token) || token->kind != IMAP_TOKEN_STRING)
        return 0;
    if (buf_len(&reader->value) > 0)
        buf_add_str(&reader->value, reader->step % 2 ? " " : ", ");
    buf_add(&reader->value, token->bytes, token->len);
    reader->step++;
    return 0;
}

static int flags_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    struct imap_response response = {.kind = IMAP_RESPONSE_FLAGS, .flags = &reader->fetch.flags};
    if (token->kind == IMAP_TOKEN_EOL)
        return imap_response_emit(reader, &response, err);
    /* Of a folder's list what can't be kept is left out: it is no message's state. */
    if (token->kind == IMAP_TOKEN_ATOM)
        (void)imap_flags_add(&reader->fetch.flags, token->bytes, token->len);
    return 0;
}

/* ---- LIST ---- */

enum { LIST_FLAGS, LIST_DELIMITER, LIST_NAME, LIST_REST };

static int end_list(struct imap_response_reader *reader, struct err *err)
{
    struct imap_response response = {
        .kind = IMAP_RESPONSE_LIST,
        .name = buf_data(&reader->name),
        .name_len = buf_len(&reader->name),
        .delimiter = reader->delimiter,
        .no_select = reader->no_select,
    };
    if (reader->step != LIST_REST)
        return imap_response_nonsense(err, "a LIST without a name");
    return imap_response_emit(reader, &response, err);
}

/* Names are cut apart at it, and escaped where it stands inside a level: a byte that is no letter of any text would make
 * names that are none. */
static int take_delimiter(struct imap_response_reader *reader, const struct imap_token *token,
                          struct err *err)
{
    reader->delimiter = 0;
    if (imap_response_is_word(token, "NIL") || token->len == 0)
        return 0;
    if (token->len > 1 || token->bytes[0] <= ' ' || token->bytes[0] > '~')
        return imap_response_nonsense(err, "a LIST with a delimiter that is none");
    reader->delimiter = token->bytes[0];
    return 0;
}

static int list_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    if (token->kind == IMAP_TOKEN_EOL)
        return end_list(reader, err);
    if (reader->step == LIST_REST || token->kind == IMAP_TOKEN_OPEN)
        return 0;
    if (reader->step == LIST_FLAGS) {
        if (imap_response_is_word(token, "\\Noselect") || imap_response_is_word(token, "\\NonExistent"))
            reader->no_select = true;
        if (token->kind == IMAP_TOKEN_CLOSE)
            reader->step = LIST_DELIMITER;
        return 0;
    }
    if (!is_string(token))
        return imap_response_nonsense(err, "a LIST in which no name stands where one must");
    if (reader->step++ == LIST_DELIMITER)
        return take_delimiter(reader, token, err);
    buf_add(&reader->name, token->bytes, token->len);
    return 0;
}

/* ---- STATUS ---- */

enum { STATUS_NAME, STATUS_KEY, STATUS_VALUE, STATUS_REST };

static int end_status(struct imap_response_reader *reader, struct err *err)
{
    struct imap_response response = {
        .kind = IMAP_RESPONSE_STATUS,
        .name = buf_data(&reader->name),
        .name_len = buf_len(&reader->name),
        .status = &reader->status,
    };
    if (reader->step == STATUS_NAME)
        return imap_response_nonsense(err, "a STATUS without a name");
    return imap_response_emit(reader, &response, err);
}

static int status_answer_line(struct imap_response_reader *reader, const struct imap_token *token,
                              struct err *err)
{
    if (token->kind == IMAP_TOKEN_EOL)
        return end_status(reader, err);
    if (!is_string(token))
        return 0;
    if (reader->step == STATUS_NAME) {
        buf_add(&reader->name, token->bytes, token->len);
        reader->step = STATUS_KEY;
    } else if (reader->step == STATUS_KEY) {
        buf_clear(&reader->value);
        buf_add(&reader->value, token->bytes, token->len);
        reader->step = STATUS_VALUE;
    } else {
        imap_folder_take_status(&reader->status, buf_data(&reader->value), token->bytes);
        reader->step = STATUS_KEY;
    }
    return 0;
}

/* ---- SEARCH and ESEARCH ---- */

static int search_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    struct imap_response response = {.kind = IMAP_RESPONSE_SEARCH};
    uint32_t uid;
    /* "(MODSEQ 917162500)" at its end is no UID. */
    if (token->kind == IMAP_TOKEN_OPEN)
        reader->line = skip_line;
    if (token->kind != IMAP_TOKEN_ATOM)
        return 0;
    if (str_to_u32(token->bytes, &uid) != 0 || uid == 0)
        return imap_response_nonsense(err, "a SEARCH with something else than UIDs");
    response.first = response.last = uid;
    return imap_response_emit(reader, &response, err);
}

static int take_found_set(struct imap_response_reader *reader, const char *set, struct err *err)
{
    struct imap_response response = {.kind = IMAP_RESPONSE_SEARCH, .extended = true};
    int found;
    while ((found = imap_set_next(&set, &response.first, &response.last)) > 0)
        if (imap_response_emit(reader, &response, err) != 0)
            return -1;
    return found == 0 ? 0 : imap_response_nonsense(err, "an ESEARCH with a set that is none");
}

enum { ESEARCH_KEY, ESEARCH_ALL, ESEARCH_OTHER };

/* (TAG "m7") UID ALL 4:9 COUNT 6: the tag in parentheses is passed over, since one SEARCH runs at a time. */
static int esearch_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    if (token->kind == IMAP_TOKEN_OPEN)
        reader->depth++;
    else if (token->kind == IMAP_TOKEN_CLOSE && --reader->depth == 0)
        reader->step = ESEARCH_KEY;
    if (reader->depth > 0 || !is_string(token))
        return 0;
    if (reader->step == ESEARCH_ALL) {
        reader->step = ESEARCH_KEY;
        return take_found_set(reader, token->bytes, err);
    }
    if (reader->step == ESEARCH_OTHER)
        reader->step = ESEARCH_KEY;
    else if (imap_response_is_word(token, "ALL"))
        reader->step = ESEARCH_ALL;
    else if (!imap_response_is_word(token, "UID"))
        reader->step = ESEARCH_OTHER;
    return 0;
}

/* ---- the first words of a line ---- */

static int number_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    struct imap_response response = {.first = reader->number};
    reader->line = skip_line;
    if (imap_response_is_word(token, "FETCH")) {
        imap_response_fetch_begin(reader);
        return 0;
    }
    if (imap_response_is_word(token, "EXISTS"))
        response.kind = IMAP_RESPONSE_EXISTS;
    else if (imap_response_is_word(token, "EXPUNGE"))
        response.kind = IMAP_RESPONSE_EXPUNGE;
    else
        return 0;
    return imap_response_emit(reader, &response, err);
}

static const struct {
    const char *word;
    imap_response_line *line;
} untagged[] = {
    {"LIST", list_line},       {"STATUS", status_answer_line}, {"SEARCH", search_line},
    {"ESEARCH", esearch_line}, {"FLAGS", flags_line},          {"CAPABILITY", capability_line},
    {"ID", id_line},
};

static int untagged_line(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    int condition = condition_of(token);
    if (token->kind != IMAP_TOKEN_ATOM)
        return imap_response_nonsense(err, "an untagged answer without a word");
    if (condition >= 0)
        return begin_status(reader, IMAP_RESPONSE_CONDITION, (enum imap_condition)condition);
    if (token->bytes[0] >= '0' && token->bytes[0] <= '9') {
        if (str_to_u32(token->bytes, &reader->number) != 0)
            return imap_response_nonsense(err, "a number that is none");
        reader->line = number_line;
        return 0;
    }
    reader->line = skip_line;
    for (size_t i = 0; i < sizeof(untagged) / sizeof(untagged[0]); i++)
        if (imap_response_is_word(token, untagged[i].word))
            reader->line = untagged[i].line;
    return 0;
}

static int first_word(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    if (token->kind == IMAP_TOKEN_EOL)
        return 0; /* an empty line: some servers send one after a literal */
    if (token->kind != IMAP_TOKEN_ATOM || token->len >= sizeof(reader->tag))
        return imap_response_nonsense(err, "a line that begins with neither *, + nor a tag");
    if (str_equal(token->bytes, "+"))
        return begin_status(reader, IMAP_RESPONSE_CONTINUE, IMAP_OK);
    str_into(reader->tag, sizeof(reader->tag), token->bytes);
    reader->line = str_equal(token->bytes, "*") ? untagged_line : tagged_line;
    return 0;
}

/* ---- feeding ---- */

static void begin_line(struct imap_response_reader *reader)
{
    reader->line = first_word;
    reader->step = reader->depth = 0;
    reader->no_select = false;
    reader->delimiter = 0;
    reader->literal = LITERAL_VALUE;
    buf_clear(&reader->name);
    buf_clear(&reader->value);
    imap_folder_status_fini(&reader->status);
    imap_response_fetch_clear(reader);
}

struct imap_response_reader *imap_response_new(const struct imap_response_handlers *handlers,
                                               uint64_t max_literal_bytes)
{
    struct imap_response_reader *reader = mem_new(sizeof(*reader));
    reader->handlers = *handlers;
    reader->parser = imap_parser_new(max_literal_bytes);
    buf_init(&reader->name, IMAP_RESPONSE_MAX_VALUE_BYTES);
    buf_init(&reader->value, IMAP_RESPONSE_MAX_VALUE_BYTES);
    buf_init(&reader->collected, IMAP_RESPONSE_MAX_HEADER_BYTES);
    buf_init(&reader->header, IMAP_RESPONSE_MAX_HEADER_BYTES);
    begin_line(reader);
    return reader;
}

void imap_response_free(struct imap_response_reader *reader)
{
    if (!reader)
        return;
    begin_line(reader);
    imap_parser_free(reader->parser);
    buf_fini(&reader->name);
    buf_fini(&reader->value);
    buf_fini(&reader->collected);
    buf_fini(&reader->header);
    free(reader);
}

bool imap_response_is_stopped(const struct imap_response_reader *reader)
{
    return reader->stopped;
}

static int take_word(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    if (reader->line(reader, token, err) != 0)
        return -1;
    if (token->kind == IMAP_TOKEN_EOL)
        begin_line(reader);
    return 0;
}

static int begin_literal(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    buf_clear(&reader->collected);
    reader->use = reader->line == skip_line ? LITERAL_SKIP : reader->literal;
    if (reader->use == LITERAL_VALUE && token->size > IMAP_RESPONSE_MAX_VALUE_BYTES)
        return imap_response_nonsense(err, "a literal that is far too long for what it stands for");
    if (reader->use == LITERAL_BODY)
        return imap_response_fetch_begin_body(reader, token->size, err);
    return 0;
}

/* Only as much of a header as is kept. */
static void collect(struct imap_response_reader *reader, const char *bytes, size_t len)
{
    size_t room = buf_room(&reader->collected);
    buf_add(&reader->collected, bytes, len < room ? len : room);
}

static int end_literal(struct imap_response_reader *reader, struct err *err)
{
    struct imap_token word = {
        .kind = IMAP_TOKEN_STRING, .bytes = buf_data(&reader->collected), .len = buf_len(&reader->collected)};
    if (reader->use == LITERAL_SKIP && reader->line == skip_line)
        return 0;
    if (reader->use == LITERAL_BODY)
        word.kind = IMAP_TOKEN_LITERAL_END; /* the value is there, and was passed on */
    return take_word(reader, &word, err);
}

static size_t take_bytes(struct imap_response_reader *reader, const struct imap_token *token)
{
    if (reader->use == LITERAL_BODY)
        return imap_response_fetch_body(reader, token->bytes, token->len);
    if (reader->use != LITERAL_SKIP)
        collect(reader, token->bytes, token->len);
    return token->len;
}

static int take_token(struct imap_response_reader *reader, const struct imap_token *token, struct err *err)
{
    switch (token->kind) {
    case IMAP_TOKEN_ERROR:
        return imap_response_nonsense(err, imap_parser_error(reader->parser));
    case IMAP_TOKEN_LITERAL:
        return begin_literal(reader, token, err);
    case IMAP_TOKEN_LITERAL_END:
        return end_literal(reader, err);
    default:
        return take_word(reader, token, err);
    }
}

int imap_response_feed(struct imap_response_reader *reader, const char *bytes, size_t len, size_t *used_out,
                       struct err *err)
{
    *used_out = 0;
    reader->stopped = !imap_response_fetch_quoted(reader);
    while (!reader->stopped) {
        size_t used;
        struct imap_token token = imap_parser_next(reader->parser, bytes + *used_out, len - *used_out, &used);
        *used_out += used;
        if (token.kind == IMAP_TOKEN_MORE)
            break;
        if (token.kind == IMAP_TOKEN_BYTES) {
            size_t taken = take_bytes(reader, &token);
            if (taken == token.len)
                continue;
            imap_parser_unread(reader->parser, token.len - taken);
            *used_out -= token.len - taken;
            reader->stopped = true;
        } else if (take_token(reader, &token, err) != 0) {
            return -1;
        } else {
            reader->stopped = !imap_response_fetch_quoted(reader);
        }
    }
    return 0;
}
