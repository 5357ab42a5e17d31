/*
 * Which folders a turn works on: production's list, less what is not to be mirrored, paired with the recorded ones;
 * renamed ones recognised, new ones recorded, those gone from production noted: not listed, and refused by EXAMINE.
 */
#ifndef MIRROR_COPIER_FOLDERS_H
#define MIRROR_COPIER_FOLDERS_H

#include "copier/turn.h"
#include "store/store_folder.h"

struct folders_pair {
    const struct imap_list_entry *entry; /* production's, in turn->source_list */
    struct store_folder *folder;         /* recorded */
    bool failed;                         /* its pass did, in this turn */
};

struct folders_work {
    struct folders_pair *pairs; /* INBOX first */
    size_t count;
    struct store_folder *folders;
    size_t folder_count;
    bool *skipped; /* by index in turn->source_list: not in this turn, for an error of its own */
};

/* turn->source_list and the target's list must be there, each from a LIST that ended well. A folder's own error goes to
 * turn_keep_folder_error(), and that folder is left out. */
int folders_prepare(struct turn *turn, struct folders_work *work_out, struct err *err);
void folders_work_fini(struct folders_work *work);

/* A NO that says nothing of whether the folder is there: a server that is only busy (RFC 5530). */
bool folders_is_passing(const struct err *why);

/* The target's name of a folder by the route's folders.rename (the longest prefix of whole levels wins). The caller
 * frees. */
char *folders_target_name(const struct config_route *route, const char *name);

#endif
