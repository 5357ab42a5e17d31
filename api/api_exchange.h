/*
 * One request and its answer, from the head's arrival to the last byte sent; and the connections that carry them, each
 * with a deadline. The access handler of the HTTP library ends here.
 */
#ifndef MIRROR_API_EXCHANGE_H
#define MIRROR_API_EXCHANGE_H

#include "api/api.h"
#include "base/secret.h"

#include <microhttpd.h>

struct api_connection;
struct api_exchange;

/* Shared by all exchanges of a server. */
struct api_exchanges {
    struct api *api;
    struct secret *token;
    struct api_connection *connections; /* list */
    struct api_exchange *later;         /* list of those whose task is to be run, first come first served */
    unsigned connection_count;
    unsigned open_count; /* requests whose answer is not sent yet */
    bool draining;       /* no new work */
    uint64_t refused;    /* without a good token, since the last line in the log */
    int64_t refused_logged_ms;
};

enum { API_EXCHANGE_MAX_CONNECTIONS = 128 };

/* Callbacks of the library; `cls` is the struct api_exchanges. */
enum MHD_Result api_exchange_on_request(void *cls, struct MHD_Connection *mhd, const char *path,
                                        const char *method, const char *version, const char *upload,
                                        size_t *upload_bytes, void **state);
void api_exchange_on_end(void *cls, struct MHD_Connection *mhd, void **state,
                         enum MHD_RequestTerminationCode code);
void api_exchange_on_connection(void *cls, struct MHD_Connection *mhd, void **state,
                                enum MHD_ConnectionNotificationCode code);
size_t api_exchange_unescape(void *cls, struct MHD_Connection *mhd, char *text);

/* Runs the first task for one slice. true: there was one. `abandon`: ends it. */
bool api_exchange_run_task(struct api_exchanges *exchanges, bool abandon);

/* Cuts the connections whose time is over. */
void api_exchange_cut_slow(struct api_exchanges *exchanges);

#endif
