/*
 * Handlers of held plans: GET /api/v1/held lists them ({"held": [plan…], "next"}; query: mailbox, route, all=true for
 * decided ones too, after, limit), GET /api/v1/held/{id} is one with its messages, or its entries of a directory ("list",
 * "next"; query: after, limit), POST /api/v1/held/{id}/allow and /refuse decide it, with {"reason": "…"}: once, for ever on
 * record, and no other plan.
 */
#ifndef MIRROR_API_HELD_H
#define MIRROR_API_HELD_H

#include "api/api.h"

api_handler api_held_list;
api_handler api_held_show;
api_handler api_held_allow;
api_handler api_held_refuse;

/* For the status: {"plans", "messages", "entries" (of directories), "breakers": [plan…]}; NULL and an error. */
cJSON *api_held_summary(struct store *store, struct err *err);

#endif
