/*
 * Handlers of the directory: GET /api/v1/directory is {"routes": [...]}, how each route's subscribers and COS stand; GET
 * /api/v1/directory/{route}/entries lists them ({"entries", "next"}; query: kind (subscriber, cos), state (one of them, or
 * not-equal), number, after, limit), /troubles what cannot be mirrored at all, /differences what the last dry run found
 * ({"age_seconds", "differences", "next"}), /handovers the numbers that became another person's and where the former one's
 * messages are. POST /api/v1/directory/sync {"route", "full", "dry_run"} asks for a round; it tells
 * the numbers to wait for. No answer holds a secret: the store has none.
 */
#ifndef MIRROR_API_DIRECTORY_H
#define MIRROR_API_DIRECTORY_H

#include "api/api.h"

api_handler api_directory_list;
api_handler api_directory_entries;
api_handler api_directory_troubles;
api_handler api_directory_differences;
api_handler api_directory_handovers;
api_handler api_directory_sync;

/* For the status: [route...]; NULL and an error. */
cJSON *api_directory_summary(struct store *store, struct err *err);

#endif
