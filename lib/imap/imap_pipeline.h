/*
 * The commands of one connection, in the order in which they were given: which may be sent now, and whose each answer
 * is. Pure: no socket.
 */
#ifndef MIRROR_IMAP_PIPELINE_H
#define MIRROR_IMAP_PIPELINE_H

#include "imap/imap_response.h"

struct imap_command;

/* Gets what is no FETCH and no SEARCH (LIST, STATUS, EXISTS, FLAGS, untagged OK, "+", ...) while its command is the
 * oldest that wants such. -1: nonsense, the connection ends. */
typedef int imap_pipeline_untagged(void *context, const struct imap_response *response, struct err *err);

struct imap_pipeline {
    struct imap_command *first, *last;
    uint32_t tags;
    bool literal_open;              /* an APPEND's bytes are on their way: nothing may come between them */
    struct imap_command *streaming; /* whose message body comes now */
    uint32_t streaming_uid;
};

struct imap_pipeline_extras {
    imap_pipeline_untagged *on_untagged;
    /* The line was written, but not its end: the command's giver goes on (APPEND). literal_open is set meanwhile. */
    void (*on_turn)(void *context);
    /* Reads from the folder that the EXAMINE before it opens: sent together with it. Its giver lets it count only if the
     * EXAMINE succeeded. */
    bool follows_opening;
};

/* `line` (no tag, no CRLF) is taken over. The command ends with on_done, and is freed then. */
struct imap_command *imap_pipeline_add(struct imap_pipeline *pipeline, const struct imap_handlers *handlers,
                                       const struct imap_pipeline_extras *extras, char *line);
/* Takes back a command that was not sent, without a word. */
void imap_pipeline_forget(struct imap_pipeline *pipeline, struct imap_command *command);

/* The next command to send, if it may be sent now; else NULL. */
struct imap_command *imap_pipeline_next(const struct imap_pipeline *pipeline);
/* It was written; false: its end was not, see on_turn. */
bool imap_pipeline_set_sent(struct imap_pipeline *pipeline, struct imap_command *command);
const char *imap_pipeline_tag(const struct imap_command *command);
const char *imap_pipeline_line(const struct imap_command *command);

bool imap_pipeline_is_empty(const struct imap_pipeline *pipeline);
bool imap_pipeline_is_waiting(const struct imap_pipeline *pipeline); /* for an answer to something sent */
bool imap_pipeline_is_leaving(const struct imap_pipeline *pipeline); /* LOGOUT was sent: a BYE is no error */

/* Hands a response to whom it belongs. -1: nobody can have asked for it (ERR_MAILBOX). */
int imap_pipeline_take(struct imap_pipeline *pipeline, const struct imap_response *response, struct err *err);
/* As imap_response_handlers: a body to the oldest FETCH that wants bodies. */
int imap_pipeline_body_begin(struct imap_pipeline *pipeline, uint32_t uid, uint64_t size_bytes);
size_t imap_pipeline_body_bytes(struct imap_pipeline *pipeline, const char *bytes, size_t len);

/* All commands end with -1 and `err`. */
void imap_pipeline_fail(struct imap_pipeline *pipeline, const struct err *err);

#endif
