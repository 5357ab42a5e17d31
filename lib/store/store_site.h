/*
 * What all workers of all hosts share about a site: its sessions, its logins per second, and the gate that never tries
 * a wrong secret on every mailbox: two refusals in a row, then the last good or a test mailbox decides.
 */
#ifndef MIRROR_STORE_SITE_H
#define MIRROR_STORE_SITE_H

#include "store/store.h"

enum store_admission {
    STORE_ADMIT_GO, /* log in now; then store_site_login_result() */
    STORE_ADMIT_PROBE, /* log in now, but to `probe_mailbox`, to find out whether the site or the mailbox refuses */
    STORE_ADMIT_WAIT,   /* no session or login free: ask again after wait_ms */
    STORE_ADMIT_STOPPED /* the site is stopped until stopped_seconds are over or its secret changes */
};

struct store_admission_request {
    const struct config_site *site;
    const char *mailbox;
    const char *owner;        /* daemon_owner() */
    const char *purpose;      /* "copier", "scanner", "verify" */
    uint64_t secret_version;  /* from secret_read(): another one reopens a stopped site */
    uint32_t session_seconds; /* life of the session's row until renewed */
};

struct store_admission_answer {
    enum store_admission admission;
    uint64_t session_id; /* GO and PROBE: the slot, to be renewed and released */
    char probe_mailbox[65];
    uint32_t wait_ms;
    uint32_t stopped_seconds;
    char error
        [800]; /* STOPPED: what the site said; WAIT: why it could not be asked of late, "" if that is not so */
};

int store_site_admit(struct store *store, const struct store_admission_request *request,
                     struct store_admission_answer *answer_out, struct err *err);

struct store_login_result {
    const struct config_site *site;
    const char *owner;
    const char *mailbox; /* the one that was tried */
    bool probe;          /* the answer was STORE_ADMIT_PROBE */
    bool accepted;
    bool refused; /* by the login itself */
    bool
        postponed; /* answered, but not now, to this mailbox: proves nothing; none of the three: could not be asked */
    const char *words;        /* the server's words, for people */
    const char *server_words; /* greeting and ID; may be NULL */
};
/* `*stopped_out`: this refusal stopped the site (the caller logs it, once). */
int store_site_login_result(struct store *store, const struct store_login_result *result, bool *stopped_out,
                            struct err *err);

/* At a program's start: the gate that its dead predecessor holds at any site is free, for all, at once. */
int store_site_inherit(struct store *store, const char *owner, struct err *err);

/* Extends the rows of these sessions; false in *alive_out if one was lost (its owner was too slow). */
int store_site_session_renew(struct store *store, uint64_t session_id, uint32_t session_seconds,
                             bool *alive_out, struct err *err);
/* `clean`: after LOGOUT, free at once; else it counts until its grace time is over. */
int store_site_session_release(struct store *store, uint64_t session_id, bool clean, struct err *err);

struct store_site_status {
    char name[65];
    char login_state[16];
    char error[801];
    int64_t error_age_seconds; /* -1: none */
    uint32_t stopped_seconds;  /* 0: not stopped */
    uint32_t sessions;         /* in use by us, those in grace included */
};
/* One callback a site. */
int store_site_list(struct store *store, void (*on_site)(void *context, const struct store_site_status *site),
                    void *context, struct err *err);

#endif
