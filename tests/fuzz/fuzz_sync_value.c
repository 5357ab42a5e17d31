/*
 * Any bytes as the values of syncrepl's controls, which a server sends: refused, or read without going past their end.
 */
#include "base/err.h"
#include "ldapsync/sync_value.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_cookie(const struct berval *cookie, size_t size)
{
    ASSERT(cookie->bv_len <= size);
    if (cookie->bv_val)
        ASSERT(cookie->bv_val[cookie->bv_len] == '\0');
    ber_memfree(cookie->bv_val);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of just that size: whoever reads on is seen. */
    char *bytes = malloc(size ? size : 1);
    struct berval value = {.bv_val = bytes, .bv_len = size};
    struct sync_value_state state;
    struct sync_value_info info = {0};
    struct sync_value_done done = {0};
    if (!bytes)
        return 0;
    memcpy(bytes, data, size);
    sync_value_parse_state(&value, &state);
    if (sync_value_parse_info(&value, &info) == 0) {
        ASSERT(info.uuids <= size);
        check_cookie(&info.cookie, size);
    }
    if (sync_value_parse_done(&value, &done) == 0)
        check_cookie(&done.cookie, size);
    free(bytes);
    return 0;
}
