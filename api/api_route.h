/*
 * The table of routes: every method and path that this program answers. A newcomer who reads it knows the API.
 */
#ifndef MIRROR_API_ROUTE_H
#define MIRROR_API_ROUTE_H

#include "api/api.h"

#include <stdbool.h>

enum api_body { API_BODY_NONE, API_BODY_JSON, API_BODY_CSV };

struct api_route {
    const char *method;
    const char *path;   /* "{…}" stands for one segment: a mailbox number or a name */
    enum api_body body; /* a body of JSON may be left out, and counts as {} */
    size_t max_bytes;   /* of the body */
    bool is_open;       /* answered without a token */
    api_handler *handler;
};

extern const struct api_route api_route_table[];

enum api_match { API_MATCH, API_MATCH_NO_PATH, API_MATCH_NO_METHOD };

/* Finds the route; *route_out is one of the path's where only the method is wrong, and `allow` then names its methods. */
enum api_match api_route_find(const char *method, const char *path, const struct api_route **route_out,
                              char param[API_PARAM_BYTES], char allow[64]);

#endif
