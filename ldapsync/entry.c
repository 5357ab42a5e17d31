/*
 * Entries of a directory; see entry.h.
 */
#include "ldapsync/entry.h"

#include "base/str.h"

#include <ctype.h>
#include <ldap.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- names ---- */

enum { OPTIONS_MAX = 16 };

struct option {
    const char *text;
    size_t len;
};

static size_t type_length(const char *name)
{
    return strcspn(name, ";");
}

static int compare_part(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = strncasecmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : a_len < b_len ? -1 : a_len > b_len;
}

static int compare_options(const void *a, const void *b)
{
    const struct option *left = a, *right = b;
    return compare_part(left->text, left->len, right->text, right->len);
}

static size_t split_options(const char *name, struct option options[OPTIONS_MAX])
{
    size_t count = 0;
    const char *at = name + type_length(name);
    while (*at == ';' && count < OPTIONS_MAX) {
        options[count].text = at + 1;
        options[count].len = strcspn(at + 1, ";");
        at += 1 + options[count++].len;
    }
    qsort(options, count, sizeof(*options), compare_options);
    return count;
}

int entry_name_compare(const char *a, const char *b)
{
    struct option of_a[OPTIONS_MAX], of_b[OPTIONS_MAX];
    int order = tolower((unsigned char)*a) - tolower((unsigned char)*b); /* most differ here */
    if (order != 0 || strcmp(a, b) == 0)
        return order;
    order = compare_part(a, type_length(a), b, type_length(b));
    if (order != 0)
        return order;
    size_t a_count = split_options(a, of_a), b_count = split_options(b, of_b);
    for (size_t i = 0; i < a_count && i < b_count; i++)
        if ((order = compare_options(&of_a[i], &of_b[i])) != 0)
            return order;
    return a_count < b_count ? -1 : a_count > b_count;
}

bool entry_name_is_of(const char *name, const char *type)
{
    return tolower((unsigned char)*name) == tolower((unsigned char)*type) &&
           compare_part(name, type_length(name), type, type_length(type)) == 0;
}

/* ---- values ---- */

size_t entry_bytes(const struct entry *entry)
{
    size_t bytes = 0;
    for (size_t i = 0; i < entry->count; i++)
        for (size_t j = 0; j < entry->attributes[i].count; j++)
            bytes += entry->attributes[i].values[j].bv_len;
    return bytes;
}

const struct attribute *entry_find(const struct entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->count; i++)
        if (entry_name_compare(entry->attributes[i].name, name) == 0)
            return &entry->attributes[i];
    return NULL;
}

static struct attribute *make(struct entry *entry, char *own_name)
{
    if (entry->count == entry->size) {
        entry->size = entry->size ? entry->size * 2 : 16;
        entry->attributes = mem_grow(entry->attributes, entry->size, sizeof(*entry->attributes));
    }
    struct attribute *attribute = &entry->attributes[entry->count++];
    *attribute = (struct attribute){.name = own_name};
    return attribute;
}

static void add_value(struct attribute *attribute, const void *bytes, size_t len)
{
    if (attribute->count == attribute->size) {
        attribute->size = attribute->size ? attribute->size * 2 : 1;
        attribute->values = mem_grow(attribute->values, attribute->size, sizeof(*attribute->values));
    }
    struct berval *value = &attribute->values[attribute->count++];
    value->bv_len = len;
    value->bv_val = str_copy_n(bytes, len);
}

void entry_add(struct entry *entry, const char *name, const void *bytes, size_t len)
{
    struct attribute *last = entry->count > 0 ? &entry->attributes[entry->count - 1] : NULL;
    if (!last || strcmp(last->name, name) != 0)
        last = (struct attribute *)(uintptr_t)entry_find(entry, name);
    add_value(last ? last : make(entry, str_copy(name)), bytes, len);
}

static void fini_attribute(struct attribute *attribute)
{
    for (size_t i = 0; i < attribute->count; i++) {
        explicit_bzero(attribute->values[i].bv_val, attribute->values[i].bv_len);
        free(attribute->values[i].bv_val);
    }
    free(attribute->values);
    free(attribute->name);
}

void entry_drop(struct entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->count; i++) {
        if (entry_name_compare(entry->attributes[i].name, name) != 0)
            continue;
        fini_attribute(&entry->attributes[i]);
        memmove(&entry->attributes[i], &entry->attributes[i + 1],
                (--entry->count - i) * sizeof(*entry->attributes));
        return;
    }
}

void entry_fini(struct entry *entry)
{
    for (size_t i = 0; i < entry->count; i++)
        fini_attribute(&entry->attributes[i]);
    free(entry->attributes);
    free(entry->dn);
    *entry = (struct entry){0};
}

void entry_copy(const struct entry *entry, struct entry *copy_out)
{
    *copy_out = (struct entry){.dn = str_copy(entry->dn)};
    for (size_t i = 0; i < entry->count; i++) {
        struct attribute *attribute = make(copy_out, str_copy(entry->attributes[i].name));
        for (size_t j = 0; j < entry->attributes[i].count; j++)
            add_value(attribute, entry->attributes[i].values[j].bv_val,
                      entry->attributes[i].values[j].bv_len);
    }
}

/* ---- from a server ---- */

struct reading {
    struct entry *entry;
    size_t bytes, values;
};

static int take_attribute(struct reading *reading, const struct berval *name, struct berval *values,
                          struct err *err)
{
    if (reading->entry->count >= ENTRY_ATTRIBUTES_MAX || name->bv_len > 128)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "too many attributes, or too long a name of one");
    struct attribute *attribute = make(reading->entry, str_copy_n(name->bv_val, name->bv_len));
    for (size_t i = 0; values && values[i].bv_val; i++) {
        reading->bytes += values[i].bv_len;
        if (reading->bytes > ENTRY_BYTES_MAX || ++reading->values > ENTRY_VALUES_MAX)
            return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER,
                           "too big: more than %d bytes or %d values of one entry", ENTRY_BYTES_MAX,
                           ENTRY_VALUES_MAX);
        add_value(attribute, values[i].bv_val, values[i].bv_len);
    }
    return 0;
}

int entry_read(struct ldap *handle, struct ldapmsg *message, struct entry *entry_out, struct err *err)
{
    struct reading reading = {.entry = entry_out};
    struct berval dn, name, *values = NULL;
    BerElement *ber = NULL;
    *entry_out = (struct entry){0};
    int code = ldap_get_dn_ber(handle, message, &ber, &dn);
    if (code != LDAP_SUCCESS)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "an entry that cannot be read");
    entry_out->dn = str_copy_n(dn.bv_val, dn.bv_len);
    int result = 0;
    while (result == 0 &&
           (code = ldap_get_attribute_ber(handle, message, ber, &name, &values)) == LDAP_SUCCESS &&
           name.bv_val) {
        result = take_attribute(&reading, &name, values, err);
        ber_memfree(values);
        values = NULL;
    }
    ber_free(ber, 0);
    if (result == 0 && code != LDAP_SUCCESS)
        result = err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "an entry that cannot be read");
    return result;
}

size_t entry_value_count(const struct entry *entry, const char *type)
{
    const struct attribute *attribute = entry_find(entry, type);
    return attribute ? attribute->count : 0;
}

const char *entry_text(const struct entry *entry, const char *type, char *text, size_t size)
{
    const struct attribute *attribute = entry_find(entry, type);
    const struct berval *value = attribute && attribute->count > 0 ? &attribute->values[0] : NULL;
    text[0] = '\0';
    if (value && !memchr(value->bv_val, 0, value->bv_len) && str_is_utf8(value->bv_val, value->bv_len))
        str_into(text, size, value->bv_val);
    return text;
}
