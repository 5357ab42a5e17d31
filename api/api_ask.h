/*
 * Handlers of what people ask for: sync, verify, pause, resume.
 *
 * Sync and verify take {"mailboxes": […]} (all when empty or left out; verify also "deep") and answer with the sequence
 * numbers to wait for: {"mirrors": [{"mailbox", "route", "wanted_seq", "verify_wanted_seq"}], "unknown": […]}.
 * Pause and resume take {"reason": "…"} or nothing.
 */
#ifndef MIRROR_API_ASK_H
#define MIRROR_API_ASK_H

#include "api/api.h"

api_handler api_ask_sync;
api_handler api_ask_verify;
api_handler api_ask_pause;
api_handler api_ask_resume;

#endif
