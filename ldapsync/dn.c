/*
 * Distinguished names; see dn.h.
 */
#include "ldapsync/dn.h"

#include "base/str.h"

#include <ctype.h>
#include <ldap.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- plain ones ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_letter_or_digit(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
}

static bool is_plain_in_value(const char *at, const char *begin)
{
    bool is_space_between = *at == ' ' && at > begin && at[-1] != ' ' && at[1] != ',' && at[1] != '\0';
    return is_letter_or_digit(*at) || is_space_between || (*at && strchr("._@/-", *at));
}

bool dn_is_plain(const char *dn)
{
    for (const char *at = dn;; at++) {
        if (!is_letter(*at))
            return false;
        while (is_letter_or_digit(*at) || *at == '-')
            at++;
        if (*at++ != '=')
            return false;
        const char *value = at;
        while (is_plain_in_value(at, value))
            at++;
        if (at == value || (*at && *at != ','))
            return false;
        if (!*at)
            return true;
    }
}

static int normalise_plain(const char *dn, char *text, size_t size)
{
    bool in_type = true;
    if (strlen(dn) >= size)
        return -1;
    for (; *dn; dn++) {
        in_type = (in_type && *dn != '=') || *dn == ',';
        *text++ = in_type ? (char)tolower((unsigned char)*dn) : *dn;
    }
    *text = '\0';
    return 0;
}

/* ---- all others ---- */

static void lower_types(LDAPDN parts)
{
    for (size_t i = 0; parts[i]; i++)
        for (size_t j = 0; parts[i][j]; j++)
            for (size_t k = 0; k < parts[i][j]->la_attr.bv_len; k++)
                parts[i][j]->la_attr.bv_val[k] = (char)tolower((unsigned char)parts[i][j]->la_attr.bv_val[k]);
}

static int print_normal(const char *dn, char *text, size_t size)
{
    LDAPDN parts = NULL;
    char *normal = NULL;
    int result = -1;
    if (ldap_str2dn(dn, &parts, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS || !parts)
        return -1;
    lower_types(parts);
    if (ldap_dn2str(parts, &normal, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS && normal &&
        strlen(normal) < size) {
        str_into(text, size, normal);
        result = 0;
    }
    ldap_memfree(normal);
    ldap_dnfree(parts);
    return result;
}

/* libldap prints some binary values in a form that it reads as others: such a DN could not be found again. */
static int normalise_any(const char *dn, char *text, size_t size)
{
    if (print_normal(dn, text, size) != 0)
        return -1;
    char *again = mem_new(size);
    bool is_stable = print_normal(text, again, size) == 0 && strcmp(text, again) == 0;
    free(again);
    return is_stable ? 0 : -1;
}

int dn_normalise(const char *dn, char *text, size_t size)
{
    int result = dn_is_plain(dn) ? normalise_plain(dn, text, size) : normalise_any(dn, text, size);
    if (result != 0)
        text[0] = '\0';
    return result;
}

/* ---- below another base ---- */

/* -1: too long. */
static int join(const char *head, size_t head_len, const char *base, char *moved, size_t size)
{
    size_t comma = head_len > 0;
    if (head_len + comma + strlen(base) >= size)
        return -1;
    memcpy(moved, head, head_len);
    if (comma)
        moved[head_len] = ',';
    str_into(moved + head_len + comma, size - head_len - comma, base);
    return 0;
}

static bool move_plain(const char *dn, const char *from_base, const char *to_base, char *moved, size_t size)
{
    size_t len = strlen(dn), base_len = strlen(from_base);
    if (len < base_len || strcasecmp(dn + len - base_len, from_base) != 0)
        return false;
    size_t head_len = len - base_len;
    if (head_len > 0 && dn[--head_len] != ',')
        return false;
    return !moved || join(dn, head_len, to_base, moved, size) == 0;
}

static bool same_part(LDAPAVA *a, LDAPAVA *b)
{
    return a && b && a->la_attr.bv_len == b->la_attr.bv_len && a->la_value.bv_len == b->la_value.bv_len &&
           strncasecmp(a->la_attr.bv_val, b->la_attr.bv_val, a->la_attr.bv_len) == 0 &&
           strncasecmp(a->la_value.bv_val, b->la_value.bv_val, a->la_value.bv_len) == 0;
}

static bool same_rdn(LDAPRDN a, LDAPRDN b)
{
    size_t i = 0;
    while (a[i] && b[i] && same_part(a[i], b[i]))
        i++;
    return !a[i] && !b[i];
}

static size_t count_parts(LDAPDN dn)
{
    size_t count = 0;
    while (dn && dn[count])
        count++;
    return count;
}

/* Its first so many parts before the base. */
static bool move_head(LDAPDN parts, size_t count, const char *base, char *moved, size_t size)
{
    char *head = NULL;
    LDAPRDN cut = parts[count];
    parts[count] = NULL;
    bool fits = ldap_dn2str(parts, &head, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS &&
                join(head ? head : "", head ? strlen(head) : 0, base, moved, size) == 0;
    parts[count] = cut;
    ldap_memfree(head);
    return fits;
}

static bool move_any(const char *dn, const char *from_base, const char *to_base, char *moved, size_t size)
{
    LDAPDN parts = NULL, base = NULL;
    bool is_below = false;
    if (ldap_str2dn(dn, &parts, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS &&
        ldap_str2dn(from_base, &base, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS && base) {
        size_t count = count_parts(parts), base_count = count_parts(base);
        is_below = count >= base_count;
        for (size_t i = 0; is_below && i < base_count; i++)
            is_below = same_rdn(parts[count - 1 - i], base[base_count - 1 - i]);
        if (is_below && moved)
            is_below = move_head(parts, count - base_count, to_base, moved, size);
    }
    ldap_dnfree(parts);
    ldap_dnfree(base);
    return is_below;
}

bool dn_move(const char *dn, const char *from_base, const char *to_base, char *moved, size_t size)
{
    return dn_is_plain(dn) && dn_is_plain(from_base) ? move_plain(dn, from_base, to_base, moved, size)
                                                     : move_any(dn, from_base, to_base, moved, size);
}
