/*
 * Mailboxes with their mirrors as JSON: what list, show, sync and status are made of.
 */
#ifndef MIRROR_API_MIRROR_H
#define MIRROR_API_MIRROR_H

#include "api/api_judge.h"

#include <cjson/cJSON.h>

/* One mirror: state, messages here and there, lag, proof, errors, next try, sequence numbers. */
cJSON *api_mirror_json(const struct store_mirror_status *mirror, const struct config_route *route);

/* Collects the rows of store_mailbox_status(), which come ordered by mailbox, as mailboxes each with its mirrors. */
struct api_mirror_list {
    const struct config *config;
    cJSON *mailboxes; /* array */
    cJSON *last;      /* borrowed: the mailbox that the next row may belong to */
    uint32_t count;   /* mailboxes */
};

void api_mirror_list_add(void *list, const struct store_mirror_status *mirror);

#endif
