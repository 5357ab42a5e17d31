/*
 * One batch on its way: FETCHes pipelined on production, each body streamed into APPEND on the target, both sockets
 * served at once, memory bounded. The next batch may be begun before this one is through, so that neither side waits for
 * the other's answers. Decides nothing: copy.c says what goes and what an outcome means.
 */
#ifndef MIRROR_COPIER_STREAM_H
#define MIRROR_COPIER_STREAM_H

#include "copier/pass.h"

enum stream_fate {
    STREAM_NOT_SENT, /* production has it no more, or the batch ended before its turn */
    STREAM_STORED,   /* the target said OK; target_uid 0 if it did not say which UID */
    STREAM_REFUSED, /* the target said NO to it, or to the MULTIAPPEND that it was in, or production to its FETCH */
};

struct stream_item {
    const struct imap_message *message;
    size_t row; /* index of its row, or (size_t)PASS_NO_ROW */
    uint64_t intent_id;
    bool recorded, left; /* copy.c's own */
    /* filled here */
    enum stream_fate fate;
    uint32_t target_uid;
    struct digest_pair pair; /* STORED */
    char *refusal;           /* REFUSED: in the server's words */
    enum err_side suspect;   /* after -1: the side that was lost over this item, it seems; else ERR_SIDE_US */
};

void stream_item_refuse(struct stream_item *item, const char *words);
void stream_item_fini(struct stream_item *item);

struct stream_options {
    bool multi; /* many in one MULTIAPPEND */
    bool bare;  /* without keywords: the target refused the message with them */
};

struct stream;

/* Asks production for the bodies; nothing waits. `before`: the stream that is on its way already, or NULL; it has to be
 * ended first. `items` live until the end. */
struct stream *stream_begin(struct pass *pass, struct stream_item *items, size_t count,
                            struct stream_options options, struct stream *before);
/* Takes the stream. 0: every item has its fate. -1: a side failed; an APPEND may be under way, its intents stay open. If
 * production failed in mid-literal, the target's connection was cut: nothing is padded. */
int stream_end(struct stream **stream, struct err *err);

#endif
