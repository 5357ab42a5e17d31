/*
 * A list of folders; see imap_list.h. Filled by imap_session_list.c.
 */
#include "imap/imap_list.h"

#include "base/str.h"
#include "imap/imap_folder.h"
#include "imap/imap_names.h"

#include <stdlib.h>
#include <string.h>

void imap_list_fini(struct imap_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->entries[i].name);
        free(list->entries[i].wire_name);
        imap_folder_status_fini(&list->entries[i].status);
    }
    free(list->entries);
    *list = (struct imap_list){0};
}

/* Doubles at each power of two, so that no capacity need be kept beside the count. */
static void grow(struct imap_list *list)
{
    size_t count = list->count;
    if ((count & (count - 1)) == 0)
        list->entries = mem_grow(list->entries, count ? count * 2 : 1, sizeof(*list->entries));
}

struct imap_list_entry *imap_list_add(struct imap_list *list, const char *wire_name, size_t len,
                                      char delimiter, struct err *err)
{
    char *name = imap_names_from_wire(wire_name, len, delimiter);
    struct imap_list_entry *entry;
    if (!name || list->count >= IMAP_LIST_MAX_ENTRIES) {
        free(name);
        err_set(err, ERR_MAILBOX, ERR_RETRY_LATER,
                name ? "LIST tells more than %d folders"
                     : "LIST tells a folder name that is empty, over %d bytes or holds NUL",
                name ? IMAP_LIST_MAX_ENTRIES : IMAP_NAME_MAX_BYTES);
        return NULL;
    }
    grow(list);
    entry = &list->entries[list->count++];
    *entry = (struct imap_list_entry){
        .name = name, .wire_name = str_copy_n(wire_name, len), .delimiter = delimiter};
    return entry;
}

static bool is_named(const struct imap_list_entry *entry, const char *wire_name)
{
    return strcmp(entry->wire_name, wire_name) == 0 ||
           (strcmp(entry->name, "INBOX") == 0 && str_equal_nocase(wire_name, "INBOX"));
}

struct imap_list_entry *imap_list_find_wire(struct imap_list *list, const char *wire_name, size_t *hint)
{
    for (size_t i = 0; i < list->count; i++) {
        size_t place = (*hint + i) % list->count;
        if (!is_named(&list->entries[place], wire_name))
            continue;
        *hint = place + 1;
        return &list->entries[place];
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

int imap_list_check(const struct imap_list *list, struct err *err)
{
    const char **names = mem_grow(NULL, list->count + 1, sizeof(*names));
    int result = 0;
    for (size_t i = 0; i < list->count; i++)
        names[i] = list->entries[i].name;
    qsort(names, list->count, sizeof(*names), by_name);
    for (size_t i = 1; i < list->count && result == 0; i++)
        if (strcmp(names[i], names[i - 1]) == 0)
            result = err_set(err, ERR_MAILBOX, ERR_RETRY_LATER, "LIST tells the folder %s twice", names[i]);
    free(names);
    return result;
}
