/*
 * Inside of the response reader: what imap_response.c and imap_response_fetch.c share.
 */
#ifndef MIRROR_IMAP_RESPONSE_PRIVATE_H
#define MIRROR_IMAP_RESPONSE_PRIVATE_H

#include "base/buf.h"
#include "imap/imap_folder.h"
#include "imap/imap_parser.h"
#include "imap/imap_response.h"

struct imap_response_reader;

/* Takes one word of its kind of line, EOL included; a whole literal comes as STRING. */
typedef int imap_response_line(struct imap_response_reader *reader, const struct imap_token *token,
                               struct err *err);

/* What is done with a literal. */
enum literal_use { LITERAL_VALUE, LITERAL_SKIP, LITERAL_HEADER, LITERAL_BODY };

/* The value that comes next in a FETCH. */
enum fetch_item {
    FETCH_NAME, /* none: a name */
    FETCH_UID,
    FETCH_FLAGS,
    FETCH_DATE,
    FETCH_SIZE,
    FETCH_MODSEQ,
    FETCH_HEADER,
    FETCH_BODY,
    FETCH_OTHER,
};

struct imap_response_reader {
    struct imap_response_handlers handlers;
    struct imap_parser *parser;
    imap_response_line *line;
    int step;
    int depth;
    /* status lines */
    enum imap_response_kind kind;
    enum imap_condition condition;
    char tag[32];
    uint32_t number;
    struct buf name, value;
    /* LIST, STATUS */
    char delimiter;
    bool no_select;
    struct imap_folder_status status;
    /* FETCH */
    enum fetch_item item;
    struct imap_fetch fetch;
    struct buf header;
    bool has_header, has_body, body_wanted;
    const char *quoted; /* a body in quotes, not yet passed on; in the parser's buffer */
    size_t quoted_len;
    /* literals */
    enum literal_use literal, use; /* for the next one; of the current one */
    struct buf collected;
    bool stopped;
};

int imap_response_nonsense(struct err *err, const char *what);
int imap_response_emit(struct imap_response_reader *reader, const struct imap_response *response,
                       struct err *err);
bool imap_response_is_word(const struct imap_token *token, const char *word);

void imap_response_fetch_begin(struct imap_response_reader *reader);
void imap_response_fetch_clear(struct imap_response_reader *reader);
int imap_response_fetch_begin_body(struct imap_response_reader *reader, uint64_t size_bytes, struct err *err);
size_t imap_response_fetch_body(struct imap_response_reader *reader, const char *bytes, size_t len);
/* Passes on a body in quotes; false: not all was taken. */
bool imap_response_fetch_quoted(struct imap_response_reader *reader);

#endif
