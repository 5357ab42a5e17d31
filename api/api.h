/*
 * What the handlers of mirror-api work with: the process's context, a request that has passed the gate (path, method,
 * token, sizes), and the answer they fill. A handler runs to its end in one call and may block only in the store; what
 * takes longer (an import of 20,000 lines) returns a task, which is run in slices between other requests.
 */
#ifndef MIRROR_API_API_H
#define MIRROR_API_API_H

#include "daemon/daemon.h"
#include "store/store.h"

#include <cjson/cJSON.h>
#include <stdint.h>

struct api_wake;

struct api {
    struct daemon *daemon;
    const struct config *config; /* exchanged by a reload */
    struct store *store;         /* NULL: not open now; see api_store() */
    int64_t store_next_try_ms;   /* of clock_boot_ms(): not asked before */
    struct err store_error;      /* what it said when it went away */
    struct api_wake *wake;
};

enum { API_PARAM_BYTES = 65, API_MAX_QUERY = 8, API_TASK_SLICE_MS = 100 };

/* One "name=value" of the query, decoded. */
struct api_query {
    const char *name, *value;
};

struct api_request {
    const char *path;            /* decoded */
    char param[API_PARAM_BYTES]; /* what stands for {…} in the route's path; "" if it has none */
    struct api_query query[API_MAX_QUERY];
    size_t query_count;
    char *body; /* NUL-terminated, one byte more than body_len; never NULL */
    size_t body_len;
    char who[65]; /* for the audit: "token@127.0.0.1"; without a token the address only */
};

struct api_answer;

/* Work in slices. `run` works for about API_TASK_SLICE_MS; true: it is done and has filled the answer. `abandon`: this is
 * the last call, the program stops: fill the answer with what was done. */
struct api_task {
    bool (*run)(struct api *api, void *state, bool abandon, struct api_answer *answer);
    void (*free)(void *state);
    void *state;
};

struct api_answer {
    unsigned status;
    const char *type; /* of the body */
    char *body;       /* malloc'd; handed on to the server */
    size_t body_len;
    char location[128];
    char allow[64];
    bool challenge;               /* WWW-Authenticate: Bearer */
    unsigned retry_after_seconds; /* 0: not said */
    struct api_task task;         /* run != NULL: later */
};

typedef void api_handler(struct api *api, struct api_request *request, struct api_answer *answer);

/* Prints and deletes the document. */
void api_answer_json(struct api_answer *answer, unsigned status, cJSON *take);
void api_answer_fini(struct api_answer *answer);

/* The store, opened again if need be; NULL if it is away, with the error. While it is away it is asked again every two
 * seconds only, so that each request in between is answered at once. */
struct store *api_store(struct api *api, struct err *err);
/* After a failed call: a store that is away is remembered as such. */
void api_store_failed(struct api *api, const struct err *err);

/* The value of a parameter of the query, or NULL. */
const char *api_query(const struct api_request *request, const char *name);

#endif
