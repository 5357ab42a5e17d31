/*
 * Errors over HTTP: problem documents (RFC 9457).
 */
#ifndef MIRROR_API_PROBLEM_H
#define MIRROR_API_PROBLEM_H

#include "api/api.h"

/* {"type":"about:blank","title":<the status in words>,"status":…,"detail":<formatted>} */
void api_problem(struct api_answer *answer, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The status by the error's scope: the store away or too slow 503, anything else `otherwise`. */
void api_problem_from(struct api *api, struct api_answer *answer, const struct err *err, unsigned otherwise);

/* "Not Found", ... for the statuses that this program uses. */
const char *api_problem_title(unsigned status);

#endif
