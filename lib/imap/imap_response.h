/*
 * Server output as responses: on top of the parser, bytes in, one call per response, bodies as a stream. No socket, no
 * log. Fuzzed (tests/fuzz/fuzz_imap_response.c).
 *
 * What we never ask for (VANISHED, NAMESPACE, ENABLED, ...) is read and passed over, whatever it holds.
 */
#ifndef MIRROR_IMAP_RESPONSE_H
#define MIRROR_IMAP_RESPONSE_H

#include "imap/imap_session.h"

enum {
    IMAP_RESPONSE_MAX_HEADER_BYTES = 256 * 1024, /* BODY[HEADER]: the rest is cut off */
    IMAP_RESPONSE_MAX_VALUE_BYTES = 64 * 1024,   /* any other string that is kept: more is nonsense */
};

enum imap_response_kind {
    IMAP_RESPONSE_CONTINUE,   /* "+": text */
    IMAP_RESPONSE_TAGGED,     /* tag, condition, code, text */
    IMAP_RESPONSE_CONDITION,  /* untagged OK, NO, BAD, BYE, PREAUTH: condition, code, text */
    IMAP_RESPONSE_CAPABILITY, /* text: the words */
    IMAP_RESPONSE_ID,         /* text: "name Dovecot, version 2" */
    IMAP_RESPONSE_LIST,       /* name, delimiter, no_select */
    IMAP_RESPONSE_STATUS,     /* name, status */
    IMAP_RESPONSE_SEARCH,     /* first, last: a range found; extended: by ESEARCH */
    IMAP_RESPONSE_FLAGS,      /* flags */
    IMAP_RESPONSE_EXISTS,     /* first: the number */
    IMAP_RESPONSE_EXPUNGE,
    IMAP_RESPONSE_FETCH, /* fetch; has_body: its body was streamed just before */
};

enum imap_condition { IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_BYE, IMAP_PREAUTH };

/* Pointers are valid during the call. */
struct imap_response {
    enum imap_response_kind kind;
    enum imap_condition condition;
    const char *tag, *code, *text; /* code and text may be "" */
    const char *name;
    size_t name_len;
    char delimiter;
    bool no_select, extended, has_body;
    uint32_t first, last;
    struct imap_folder_status *status;
    const struct imap_flags *flags;
    const struct imap_fetch *fetch;
};

struct imap_response_handlers {
    void *context;
    /* -1: stop reading for good. */
    int (*on_response)(void *context, const struct imap_response *response, struct err *err);
    /* The body of one message starts; uid 0: not told yet. 1: stream it, 0: pass it over, -1: stop for good. */
    int (*on_body_begin)(void *context, uint32_t uid, uint64_t size_bytes, struct err *err);
    /* How many were taken; fewer than len: feed() returns, and is called again when there is room. */
    size_t (*on_body_bytes)(void *context, const char *bytes, size_t len);
};

struct imap_response_reader;

struct imap_response_reader *imap_response_new(const struct imap_response_handlers *handlers,
                                               uint64_t max_literal_bytes);
void imap_response_free(struct imap_response_reader *reader);

/* 0: all was used (`*used_out` == len), or a body handler took less: feed the rest again later, also if it is of length
 * 0. -1: nonsense (ERR_MAILBOX) or a handler's -1; no way back. */
int imap_response_feed(struct imap_response_reader *reader, const char *bytes, size_t len, size_t *used_out,
                       struct err *err);
/* A body handler took less than it was given. */
bool imap_response_is_stopped(const struct imap_response_reader *reader);

const char *imap_response_condition_name(enum imap_condition condition);

#endif
