/*
 * Handler of /api/v1/mailboxes/{number}/why: each mirror's state explained, with the messages that can't be mirrored.
 */
#ifndef MIRROR_API_EXPLAIN_H
#define MIRROR_API_EXPLAIN_H

#include "api/api.h"

api_handler api_explain_mailbox;

#endif
