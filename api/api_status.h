/*
 * Handlers of /api/v1/status and /health: how it stands as a whole.
 */
#ifndef MIRROR_API_STATUS_H
#define MIRROR_API_STATUS_H

#include "api/api.h"

api_handler
    api_status_show; /* routes with a summary of their mirrors, sites with their logins, workers, all mirrors */
api_handler api_status_live;  /* 200: this process answers */
api_handler api_status_ready; /* 200: and the store does; else 503 */

#endif
