/*
 * What STATUS, SELECT and EXAMINE tell of a folder, value by value. Pure.
 */
#ifndef MIRROR_IMAP_FOLDER_H
#define MIRROR_IMAP_FOLDER_H

#include "imap/imap_types.h"

/* imap_folder_status_fini() stands in imap_types.h. */

/* One pair of a STATUS answer ("MESSAGES", "231"); unknown names and nonsense values are passed over. */
void imap_folder_take_status(struct imap_folder_status *status, const char *name, const char *value);

/* The text of a response code seen while a folder is being opened ("UIDNEXT 17", "PERMANENTFLAGS (\Seen \*)",
 * "READ-ONLY"); others are passed over. */
void imap_folder_take_code(struct imap_folder_status *status, const char *code);

/* The untagged FLAGS, and the values before the first answer: what holds unless PERMANENTFLAGS says otherwise. */
void imap_folder_take_flags(struct imap_folder_status *status, const struct imap_flags *flags);
void imap_folder_begin(struct imap_folder_status *status);

#endif
