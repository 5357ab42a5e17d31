/*
 * One IMAP connection, logged in to one mailbox: commands pipelined, answers handed to callbacks, blocking helpers
 * for what every caller needs. libcurl connects and does TLS; the login and everything after are ours. APPEND: imap_append.h.
 *
 * Errors: a refused login is ERR_MAILBOX/LATER with is_login_refused() true; a server down, TLS failure, silence or
 * BYE is ERR_SITE/LATER before the login was accepted, after it ERR_MAILBOX/LATER; NO to a command is returned by the
 * command (ERR_FOLDER); nonsense from the server closes the session (ERR_MAILBOX/LATER). After ERR_MAILBOX or wider the session is not to be used further: free it. `side` is
 * set from the parameters; what ends a session names site and mailbox.
 */
#ifndef MIRROR_IMAP_SESSION_H
#define MIRROR_IMAP_SESSION_H

#include "base/config.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/secret.h"
#include "imap/imap_capability.h"
#include "imap/imap_flags.h"
#include "imap/imap_reactor.h"
#include "imap/imap_types.h"

struct imap_session;

enum imap_session_state { IMAP_SESSION_CONNECTING, IMAP_SESSION_READY, IMAP_SESSION_DEAD };

struct imap_session_params {
    struct imap_reactor *reactor;
    const struct config_site *site; /* host, TLS, login form, time limits, disabled capabilities */
    const struct secret *password;  /* trusted server's; borrowed during imap_session_start() only */
    const char *mailbox;
    enum err_side side; /* whose error it is when this session fails */
    bool
        list_early; /* ask for the folders with STATUS while logging in: imap_session_list() will want them */
};

/* Begins to connect and log in; state goes CONNECTING -> READY or DEAD within the site's time limits. */
struct imap_session *imap_session_start(const struct imap_session_params *params, struct err *err);
enum imap_session_state imap_session_state(const struct imap_session *session);
bool imap_session_is_login_refused(const struct imap_session *session);
/* Was the login accepted, whatever came after it? */
bool imap_session_is_let_in(const struct imap_session *session);
const struct err *imap_session_error(const struct imap_session *session); /* why it is DEAD */
/* Closes and frees; open commands end with -1 first. Not from a callback. Who wants to leave in order sends LOGOUT and
 * waits for its answer before. */
void imap_session_free(struct imap_session *session);
/* Closes the socket at once, without a word: what was on its way is cut off, open commands end with -1. Not from a
 * callback. */
void imap_session_cut(struct imap_session *session);

bool imap_session_has(const struct imap_session *session, enum imap_capability_id id);
const char *imap_session_mailbox(const struct imap_session *session);
/* Did both reach one address and port, whatever names led there? Not told where a proxy is in between. */
bool imap_session_is_same_server(const struct imap_session *a, const struct imap_session *b);
/* The whole server as it introduced itself (greeting and ID), for the site's fingerprint; may be empty; borrowed. */
const char *imap_session_server_words(const struct imap_session *session);

/* SHA-256 of the public key of its certificate, likewise. false: no TLS. */
bool imap_session_key_digest(const struct imap_session *session, uint8_t digest_out[DIGEST_BYTES]);

/* ---- commands, pipelined ---- */

/* One FETCH answer. Pointers are valid during the callback. */
struct imap_fetch {
    uint32_t seq, uid; /* uid 0: not told (unsolicited) */
    bool has_flags, has_date, has_size, has_modseq;
    struct imap_flags flags;
    struct imap_date date;
    uint64_t size_bytes;
    uint64_t modseq;
    const char *header; /* BODY[HEADER] when asked for (capped at 256 KiB; longer is cut), else NULL */
    size_t header_len;
};

struct imap_command;

/* Callbacks of one command; all optional. A callback may send further commands but not wait. */
struct imap_handlers {
    void *context;
    void (*on_fetch)(void *context, const struct imap_fetch *fetch);
    void (*on_search)(void *context, uint32_t first_uid, uint32_t last_uid); /* ranges; ESEARCH or SEARCH */
    /* BODY.PEEK[]: begin once (size known), then pieces, then end. on_body_bytes takes what it can and returns how
     * many; less than len stops reading from this session until imap_session_resume(). */
    void (*on_body_begin)(void *context, uint32_t uid, uint64_t size_bytes);
    size_t (*on_body_bytes)(void *context, const char *bytes, size_t len);
    void (*on_body_end)(void *context);
    /* Tagged answer: 0 OK; else -1 and err (ERR_FOLDER for NO, ERR_MAILBOX for BAD or a dead session). `code` is the
     * response code's text without brackets ("APPENDUID 1 5:7", "OVERQUOTA") or "". Called exactly once. */
    void (*on_done)(void *context, int result, const char *code, const struct err *err);
};

/* Sends one command line (no tag, no CRLF), e.g. "UID FETCH 1:* (FLAGS)". Strings that need quoting are made with
 * imap_session_quote(). Names in `wire` form. Returns NULL if the session is dead. The command is freed by the
 * engine after on_done. Only commands that pipeline safely may follow each other without waiting: the rule stands in
 * imap_pipeline.c. "LOGOUT" may be sent too: the BYE before its tagged OK is no error then, on_done tells whether it was
 * answered (access releases a session's slot as clean only after that). */
struct imap_command *imap_session_send(struct imap_session *session, const struct imap_handlers *handlers,
                                       const char *format, ...) __attribute__((format(printf, 3, 4)));
void imap_session_resume(struct imap_session *session);
/* Writes what can be written now, as each round of the reactor does. 1 if anything went, -1 if the session ended over it. */
int imap_session_flush(struct imap_session *session);
/* Waits until all commands sent so far are answered. -1 if the session died or was stopped. */
int imap_session_wait(struct imap_session *session, struct err *err);
/* As an IMAP quoted string. Writes into `text`; -1 if it does not fit or holds CR or LF. A name with 8-bit bytes goes as
 * it came: the server that lists such a name takes it. */
int imap_session_quote(const char *value, char *text, size_t size);

/* ---- blocking helpers ---- */

/* All folders, with STATUS of each selectable one (MESSAGES UIDNEXT UIDVALIDITY UNSEEN [HIGHESTMODSEQ]) when
 * `with_status`: LIST-STATUS, or LIST and pipelined STATUS. 0 only if every tagged answer was OK (a STATUS with NO
 * leaves that entry without has_status). Duplicate and over-long names are errors. */
int imap_session_list(struct imap_session *session, bool with_status, struct imap_list *list_out,
                      struct err *err);
/* The same without waiting (scanner: many sessions at once): on_done is called exactly once, on 0 with the list, which
 * is then the callee's to fini (moved out), on -1 with NULL and why. Returns -1 and calls nothing if the session is dead.
 * A session freed meanwhile calls on_done with -1. */
int imap_session_list_start(struct imap_session *session, bool with_status,
                            void (*on_done)(void *context, int result, struct imap_list *list,
                                            const struct err *err),
                            void *context, struct err *err);

/* EXAMINE or SELECT. Replaces *status_out (zeroed or fini'd by the caller). A folder already open with the same mode
 * is opened again (fresh figures). */
int imap_session_examine(struct imap_session *session, const char *wire_name,
                         struct imap_folder_status *status_out, struct err *err);
int imap_session_select(struct imap_session *session, const char *wire_name,
                        struct imap_folder_status *status_out, struct err *err);
int imap_session_status(struct imap_session *session, const char *wire_name,
                        struct imap_folder_status *status_out, struct err *err);
/* CREATE; a NO with [ALREADYEXISTS], or a folder that is there afterwards, is success. */
int imap_session_create(struct imap_session *session, const char *wire_name, struct err *err);
int imap_session_rename(struct imap_session *session, const char *from, const char *to, struct err *err);
int imap_session_delete(struct imap_session *session, const char *wire_name, struct err *err);

/* EXISTS of the open folder as last told, less what EXPUNGE announced since. */
uint32_t imap_session_exists(const struct imap_session *session);

#endif
