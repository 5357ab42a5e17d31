/*
 * Inside of a session: what imap_session*.c, imap_append.c and imap_reactor.c share.
 *
 *   CONNECT --> LOGIN --> PROXYAUTH --> CAPABILITY --> HELLO --> READY
 *     (LOGIN or AUTHENTICATE; PROXYAUTH where that is the form; CAPABILITY if the login did not tell; ID and ENABLE where
 *     offered, and the list of folders in one go with them where it was asked for)
 *   any of them --> OVER
 */
#ifndef MIRROR_IMAP_SESSION_PRIVATE_H
#define MIRROR_IMAP_SESSION_PRIVATE_H

#include "base/buf.h"
#include "imap/imap_connect.h"
#include "imap/imap_pipeline.h"
#include "imap/imap_session.h"

#define IMAP_SESSION_PHASES(X) X(CONNECT) X(LOGIN) X(PROXYAUTH) X(CAPABILITY) X(HELLO) X(READY) X(OVER)

enum imap_session_phase {
#define IMAP_SESSION_PHASE_ENUM(id) IMAP_PHASE_##id,
    IMAP_SESSION_PHASES(IMAP_SESSION_PHASE_ENUM)
#undef IMAP_SESSION_PHASE_ENUM
};

enum {
    IMAP_SESSION_OUT_BYTES = 256 * 1024, /* commands and message bytes not yet sent */
    IMAP_SESSION_IN_BYTES =
        IMAP_CONNECT_READ_BYTES,         /* read at once, and at most while a callback takes less */
    IMAP_SESSION_CHUNK_BYTES = 16 * 1024 /* one TLS record */
};

struct imap_append;
struct imap_listing;

struct imap_session {
    struct imap_session *next; /* the reactor's list */
    struct imap_reactor *reactor;
    const struct config_site *site;
    char *mailbox;
    enum err_side side;
    enum imap_session_phase phase;
    struct err error; /* in OVER */
    bool refused, let_in;
    bool doomed; /* `error` says why; ends as soon as the answer in hand is taken */

    struct imap_connect *connect; /* NULL in OVER */
    int fd;
    int64_t started_ms, progress_ms; /* CLOCK_BOOTTIME; the last byte that moved */
    int64_t window_ms;               /* since when window_bytes are counted */
    uint64_t window_bytes;           /* moved, while we waited and no command was answered */
    struct imap_response_reader *reader;
    struct buf in, out;
    bool unread; /* there may be bytes, in the socket or (decrypted) in libcurl: read before waiting */
    bool paused; /* a callback took less than it was given */
    bool in_callbacks;
    /* What curl_easy_send() was last given: TLS wants the very same bytes again after CURLE_AGAIN. */
    char chunk[IMAP_SESSION_CHUNK_BYTES];
    size_t chunk_len, chunk_sent;

    struct imap_pipeline pipeline;
    struct imap_append *append; /* whose command is being written now */
    uint64_t
        filler_bytes; /* still announced by an APPEND that was refused in the middle: the server waits for them */
    uint32_t capabilities; /* bits by imap_capability_id */
    uint32_t exists;
    bool has_exists;            /* told since the folder was opened */
    bool capabilities_told;     /* by the login */
    struct secret *password;    /* only until the login is over */
    char *words;                /* greeting and ID */
    bool list_early;            /* the list of folders is asked for with the last question of the login */
    struct imap_listing *early; /* that one, until somebody takes it */
};

/* ---- for the reactor ---- */

/* Events to wait for, 0 for none. `*at_once_out`: do not wait. */
short imap_session_events(const struct imap_session *session, bool *at_once_out);
/* Reads if there may be something, dispatches, looks at the clock. */
void imap_session_serve(struct imap_session *session);
void imap_session_connected(struct imap_session *session, CURLcode code);

/* ---- for the parts of the engine ---- */

/* Puts stars where the secret stands, in any of the forms in which the login sends it (I8): servers repeat what they
 * refuse. Only while the login is under way; later the secret is forgotten. imap_session_hello.c */
void imap_session_mask(const struct imap_session *session, char *text);
/* Ends the session; open commands end with -1. `err` is completed with site and mailbox. */
void imap_session_die(struct imap_session *session, const struct err *err);
/* The same out of a callback: as soon as the answer in hand is taken. */
void imap_session_doom(struct imap_session *session, const struct err *err);
/* As imap_session_send(), with all untagged answers; `line` is taken over. NULL if the session is over. */
struct imap_command *imap_session_add(struct imap_session *session, const struct imap_handlers *handlers,
                                      const struct imap_pipeline_extras *extras, char *line);
/* The login is through: asks what is still missing, then READY. imap_session_hello.c */
void imap_session_greet(struct imap_session *session);
/* Asks for all folders with STATUS before anybody wants them: the next imap_session_list_start() takes what comes. */
void imap_session_list_early(struct imap_session *session);
void imap_session_list_forget(
    struct imap_session *session); /* nobody took it; only once its commands have ended */
const char *imap_session_status_items(const struct imap_session *session); /* of STATUS, in parentheses */
void imap_session_enter(struct imap_session *session, enum imap_session_phase phase);
/* imap_session_examine(), with what `send_more` adds (extras.follows_opening) in the same round trip. imap_session_commands.c */
int imap_session_examine_and(struct imap_session *session, const char *wire_name,
                             struct imap_folder_status *status_out, void (*send_more)(void *context),
                             void *context, struct err *err);

/* imap_append.c, for the one in session->append: "+" came; there may be room in `out` again. */
void imap_append_on_continue(struct imap_append *append);
void imap_append_on_room(struct imap_append *append);
/* Does the server wait for bytes that we have not got yet? Then its silence is no fault of its. */
bool imap_append_is_hungry(const struct imap_append *append);

#endif
