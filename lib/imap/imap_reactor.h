/*
 * Waits for all IMAP sessions of a process at once: connecting ones (libcurl's multi interface), connected ones, and
 * further descriptors. One per process; single-threaded.
 */
#ifndef MIRROR_IMAP_REACTOR_H
#define MIRROR_IMAP_REACTOR_H

#include "base/err.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct imap_reactor;

/* `on_tick` is called at least once a second while waiting (pulse, lease renewal); when it returns false, blocking
 * calls of the engine end with ERR_PROCESS "stopped". May be NULL. */
struct imap_reactor *imap_reactor_new(bool (*on_tick)(void *context), void *context);
void imap_reactor_free(struct imap_reactor *reactor); /* all sessions must be closed */

/* One round: connects, reads, parses and dispatches, writes; waits at most timeout_ms if nothing is to do.
 * `extra` (may be NULL) are polled along; returns false if on_tick said stop. Errors of a session are kept in that
 * session (imap_session_error()). */
bool imap_reactor_run(struct imap_reactor *reactor, struct pollfd *extra, size_t extra_count, int timeout_ms);

#endif
