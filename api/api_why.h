/*
 * Why a mirror is as it is, in sentences for an administrator who is no mail expert: what, since when, whose fault, what
 * to do, when it is tried again, and what else is worth knowing. Pure: values in, sentences out.
 */
#ifndef MIRROR_API_WHY_H
#define MIRROR_API_WHY_H

#include "api/api_judge.h"

#include <stddef.h>

enum { API_WHY_BYTES = 1400, API_WHY_MAX_NOTES = 16 };

struct api_why {
    char what[API_WHY_BYTES];
    char since[200]; /* "" where there is nothing to say */
    char whose[300];
    char todo[API_WHY_BYTES];
    char next[200];
    char notes[API_WHY_MAX_NOTES][API_WHY_BYTES];
    size_t note_count;
};

/* `route`: NULL if the configuration has it no more. */
void api_why_explain(const struct store_mirror_status *mirror, const struct config_route *route,
                     struct api_why *why_out);

#endif
