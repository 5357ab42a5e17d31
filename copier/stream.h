/*
 * One batch on its way: FETCHes pipelined on production, each body streamed into APPEND on the target, both sockets
 * served at once, memory bounded. Decides nothing: copy.c says what goes and what an outcome means.
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
    /* filled by stream_run() */
    enum stream_fate fate;
    uint32_t target_uid;
    struct digest_pair pair; /* STORED */
    struct err refusal;      /* REFUSED: in the server's words */
    enum err_side suspect;   /* after -1: the side that was lost over this item, it seems; else ERR_SIDE_US */
};

struct stream_options {
    bool multi; /* all in one MULTIAPPEND */
    bool bare;  /* without keywords: the target refused the message with them */
};

/* 0: every item has its fate. -1: a side failed; an APPEND may be under way, its intents stay open. If production failed
 * in mid-literal, the target's connection was cut: nothing is padded. */
int stream_run(struct pass *pass, struct stream_item *items, size_t count,
               const struct stream_options *options, struct err *err);

#endif
