/*
 * Values of syncrepl's controls; see sync_value.h.
 */
#include "ldapsync/sync_value.h"

#include <ldap.h>

enum { UUID_BYTES = 16 };

int sync_value_print_request(const struct berval *cookie, struct berval *value_out)
{
    BerElement *ber = ber_alloc_t(LBER_USE_DER);
    int result = -1;
    if (!ber)
        return -1;
    if ((cookie ? ber_printf(ber, "{eO}", (ber_int_t)LDAP_SYNC_REFRESH_ONLY, cookie)
                : ber_printf(ber, "{e}", (ber_int_t)LDAP_SYNC_REFRESH_ONLY)) != -1 &&
        ber_flatten2(ber, value_out, 1) == 0)
        result = 0;
    ber_free(ber, 1);
    return result;
}

/* NULL: none. liblber crashes over one without a byte. */
static BerElement *read_value(const struct berval *value)
{
    return value->bv_val && value->bv_len > 0 ? ber_init((struct berval *)(uintptr_t)value) : NULL;
}

int sync_value_parse_state(const struct berval *value, struct sync_value_state *state_out)
{
    BerElement *ber = read_value(value);
    struct berval uuid;
    ber_int_t state = -1;
    int result = -1;
    if (!ber)
        return -1;
    if (ber_scanf(ber, "{em", &state, &uuid) != LBER_ERROR && uuid.bv_len == UUID_BYTES &&
        state >= LDAP_SYNC_PRESENT && state <= LDAP_SYNC_DELETE) {
        state_out->state = (int)state;
        result = 0;
    }
    ber_free(ber, 1);
    return result;
}

static int with_cookie(int result, struct berval *cookie)
{
    if (result != 0) {
        ber_memfree(cookie->bv_val);
        *cookie = (struct berval){0};
    }
    return result;
}

/* "[cookie] [boolean]" inside a sequence that was entered; both may be missing. */
static int parse_cookie_and_flag(BerElement *ber, struct berval *cookie, ber_tag_t cookie_tag,
                                 ber_int_t *flag)
{
    ber_len_t len;
    if (ber_peek_tag(ber, &len) == cookie_tag && ber_scanf(ber, "o", cookie) == LBER_ERROR)
        return -1;
    if (ber_peek_tag(ber, &len) == LBER_BOOLEAN && ber_scanf(ber, "b", flag) == LBER_ERROR)
        return -1;
    return 0;
}

static int count_uuids(BerElement *ber, uint64_t *count)
{
    ber_len_t len;
    char *end = NULL;
    struct berval uuid;
    ber_tag_t tag = ber_first_element(ber, &len, &end);
    for (; tag != LBER_DEFAULT; tag = ber_next_element(ber, &len, end)) {
        if (ber_scanf(ber, "m", &uuid) == LBER_ERROR || uuid.bv_len != UUID_BYTES)
            return -1;
        (*count)++;
    }
    return 0;
}

static int parse_phase(BerElement *ber, struct sync_value_info *info, bool present)
{
    ber_int_t refresh_done = 1;
    info->ends_present = present;
    return ber_scanf(ber, "{") == LBER_ERROR
               ? -1
               : parse_cookie_and_flag(ber, &info->cookie, LBER_OCTETSTRING, &refresh_done);
}

static int parse_id_set(BerElement *ber, struct sync_value_info *info)
{
    ber_int_t deletes = 0;
    if (ber_scanf(ber, "{") == LBER_ERROR ||
        parse_cookie_and_flag(ber, &info->cookie, LBER_OCTETSTRING, &deletes) != 0)
        return -1;
    info->are_deletes = deletes != 0;
    return count_uuids(ber, &info->uuids);
}

int sync_value_parse_info(const struct berval *value, struct sync_value_info *info_out)
{
    BerElement *ber = read_value(value);
    ber_len_t len;
    int result = -1;
    if (!ber)
        return -1;
    switch (ber_peek_tag(ber, &len)) {
    case LDAP_TAG_SYNC_NEW_COOKIE:
        result = ber_scanf(ber, "o", &info_out->cookie) == LBER_ERROR ? -1 : 0;
        break;
    case LDAP_TAG_SYNC_REFRESH_DELETE:
        result = parse_phase(ber, info_out, false);
        break;
    case LDAP_TAG_SYNC_REFRESH_PRESENT:
        result = parse_phase(ber, info_out, true);
        break;
    case LDAP_TAG_SYNC_ID_SET:
        result = parse_id_set(ber, info_out);
        break;
    default:
        break;
    }
    ber_free(ber, 1);
    return with_cookie(result, &info_out->cookie);
}

int sync_value_parse_done(const struct berval *value, struct sync_value_done *done_out)
{
    BerElement *ber = read_value(value);
    ber_int_t deletes = 0;
    int result = -1;
    if (!ber)
        return -1;
    if (ber_scanf(ber, "{") != LBER_ERROR &&
        parse_cookie_and_flag(ber, &done_out->cookie, LBER_OCTETSTRING, &deletes) == 0) {
        done_out->refresh_deletes = deletes != 0;
        result = 0;
    }
    ber_free(ber, 1);
    return with_cookie(result, &done_out->cookie);
}
