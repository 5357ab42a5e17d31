/*
 * Sessions of one site that stay logged in between looks, for the mailboxes that changed most lately: such a look costs
 * no login. Up to a limit; a session that died is simply gone.
 */
#ifndef MIRROR_SCANNER_SCAN_KEPT_H
#define MIRROR_SCANNER_SCAN_KEPT_H

#include "access/access.h"

#include <stddef.h>
#include <stdint.h>

struct scan_kept;

struct scan_kept *scan_kept_new(uint32_t max);
/* All sessions leave. */
void scan_kept_free(struct scan_kept *kept);

/* The session kept for that mailbox, now the caller's; NULL: none. */
struct access_session *scan_kept_take(struct scan_kept *kept, const char *mailbox);

/* Takes the session (may be NULL): keeps it if there is room or if a kept one's mailbox changed longer ago; who has no
 * place leaves. `seconds_since_change` -1: never changed. */
void scan_kept_give(struct scan_kept *kept, const char *mailbox, int64_t seconds_since_change,
                    struct access_session *session);

/* Sends away what nobody asked for in `idle_ms` (a mailbox no longer subscribed) or what died. */
void scan_kept_tidy(struct scan_kept *kept, int64_t idle_ms);

size_t scan_kept_count(const struct scan_kept *kept);

#endif
