/*
 * Lists in pages: the query's `limit` and `after`, and the answer's `next`.
 */
#ifndef MIRROR_API_PAGE_H
#define MIRROR_API_PAGE_H

#include "api/api.h"

enum { API_PAGE_DEFAULT = 200, API_PAGE_MAX = 1000 };

int api_page_limit(const struct api_request *request, uint32_t *limit_out, struct err *err);
int api_page_after(const struct api_request *request, uint64_t *after_out, struct err *err);
/* Where the next page begins, if there is one. */
void api_page_add_next(cJSON *document, bool more, uint64_t last_id);

#endif
