/*
 * The values of syncrepl's controls (RFC 4533, 2), by liblber. Pure; bytes from a server.
 */
#ifndef MIRROR_LDAPSYNC_SYNC_VALUE_H
#define MIRROR_LDAPSYNC_SYNC_VALUE_H

#include <lber.h>
#include <stdbool.h>
#include <stdint.h>

/* refreshOnly; cookie NULL: from the beginning. The caller frees value_out->bv_val with ber_memfree(). */
int sync_value_print_request(const struct berval *cookie, struct berval *value_out);

struct sync_value_state {
    int state; /* LDAP_SYNC_PRESENT, _ADD, _MODIFY, _DELETE */
};
int sync_value_parse_state(const struct berval *value, struct sync_value_state *state_out);

struct sync_value_info {
    struct berval cookie; /* ber_memfree(bv_val) */
    uint64_t uuids;       /* of a syncIdSet */
    bool are_deletes;     /* what they are */
    bool ends_present;    /* the present phase is over: what was not named is gone */
};
int sync_value_parse_info(const struct berval *value, struct sync_value_info *info_out);

struct sync_value_done {
    struct berval cookie;
    bool refresh_deletes; /* deletions were told one by one */
};
int sync_value_parse_done(const struct berval *value, struct sync_value_done *done_out);

#endif
