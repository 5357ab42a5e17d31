/*
 * The folders of a mailbox as LIST tells them, collected one by one: duplicates and names over the cap are errors,
 * since a listing that cannot be trusted is worse than none (I6). Pure.
 */
#ifndef MIRROR_IMAP_LIST_H
#define MIRROR_IMAP_LIST_H

#include "base/err.h"
#include "imap/imap_types.h"

enum { IMAP_LIST_MAX_ENTRIES = 100000 };

/* imap_list_fini() stands in imap_types.h. */

/* NULL and ERR_MAILBOX on a name that is empty, too long or holds NUL, or too many of them. Borrowed until the next. */
struct imap_list_entry *imap_list_add(struct imap_list *list, const char *wire_name, size_t len,
                                      char delimiter, struct err *err);
/* The entry of that wire name (INBOX in any case), or NULL. Servers tell STATUS in the order of LIST: `*hint` is where
 * to look first, and is moved on. */
struct imap_list_entry *imap_list_find_wire(struct imap_list *list, const char *wire_name, size_t *hint);
/* -1 and ERR_MAILBOX if two entries have one name. */
int imap_list_check(const struct imap_list *list, struct err *err);

#endif
