/*
 * Pages of lists; see api_page.h.
 */
#include "api/api_page.h"

#include "base/str.h"

int api_page_limit(const struct api_request *request, uint32_t *limit_out, struct err *err)
{
    const char *limit = api_query(request, "limit");
    *limit_out = API_PAGE_DEFAULT;
    if (limit && (str_to_u32(limit, limit_out) < 0 || *limit_out < 1 || *limit_out > API_PAGE_MAX))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "limit must be a number from 1 to %d",
                       API_PAGE_MAX);
    return 0;
}

int api_page_after(const struct api_request *request, uint64_t *after_out, struct err *err)
{
    const char *after = api_query(request, "after");
    *after_out = 0;
    if (after && str_to_u64(after, after_out) < 0)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                       "after must be the number that the page before told");
    return 0;
}

/* Where the next page begins, or null. */
void api_page_add_next(cJSON *document, bool more, uint64_t last_id)
{
    if (more)
        cJSON_AddNumberToObject(document, "next", (double)last_id);
    else
        cJSON_AddNullToObject(document, "next");
}
