/*
 * Access: the door to a mailbox. Opens a logged-in IMAP session on a site within the budget that all workers of all
 * hosts share (a row for each session, logins per second, the gate for wrong secrets), and gives it back.
 *
 * Holds the secret of each site it was asked for (read on first use, again after access_reload()).
 */
#ifndef MIRROR_ACCESS_ACCESS_H
#define MIRROR_ACCESS_ACCESS_H

#include "base/config.h"
#include "base/err.h"
#include "imap/imap_session.h"
#include "store/store.h"

struct access;

struct access_params {
    struct store *store; /* borrowed, as all here */
    struct imap_reactor *reactor;
    const char *owner;        /* daemon_owner() */
    const char *purpose;      /* "copier", "scanner" */
    uint32_t session_seconds; /* a session's row lives this long unless renewed: the lease's length */
};

struct access *access_new(const struct access_params *params);
void access_free(struct access *access);
/* Secrets are read again on next use. */
void access_reload(struct access *access);

struct access_session;

/*
 * Non-blocking: begins to open; access_session_poll() moves it on (call it in each round of the reactor) until it is
 * READY or FAILED. While the site has no session or login free it is WAITING, without holding anything.
 */
enum access_state { ACCESS_WAITING, ACCESS_CONNECTING, ACCESS_READY, ACCESS_FAILED };

struct access_session *access_session_start(struct access *access, const struct config_site *site,
                                            const char *mailbox, enum err_side side);
enum access_state access_session_poll(struct access_session *session);
/* WAITING: may others not be kept waiting for this? The site could not be asked a moment ago; `err` says why. */
bool access_session_is_hopeless(const struct access_session *session, struct err *err);
/* At most `most_ms`; less where WAITING is to be asked again sooner. */
int access_session_wait_ms(const struct access_session *session, int most_ms);
const struct err *access_session_error(const struct access_session *session); /* FAILED */
struct imap_session *access_session_imap(struct access_session *session);     /* READY; borrowed */

/* The same, waiting up to wait_ms for a free session (ERR_SITE/LATER "no session free" when over). */
struct access_session *access_session_open(struct access *access, const struct config_site *site,
                                           const char *mailbox, enum err_side side, int wait_ms,
                                           struct err *err);

/* Renews the rows of the sessions that are open, when half their life is over; call it at every tick. -1: the store
 * is away or a row was lost: the session must not be used further (access_session_poll() then says FAILED). */
int access_renew(struct access *access, struct err *err);

/* LOGOUT, awaited for at most 500 ms, and release; a cut or dead one counts until its grace time is over. NULL is
 * fine. Not from a callback of the engine. */
void access_session_free(struct access_session *session);
/* The same without waiting: takes the session; access_step() sees to the rest. */
void access_session_leave(struct access_session *session);
/* Moves on what access_session_leave() began; call it in each round of the reactor. Is any still leaving? */
bool access_step(struct access *access);
/* Cuts the connection at once (half a literal was sent). */
void access_session_cut(struct access_session *session);

#endif
