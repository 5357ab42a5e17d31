/*
 * Inside deletions*.c: what its parts share.
 */
#ifndef MIRROR_COPIER_DELETIONS_PRIVATE_H
#define MIRROR_COPIER_DELETIONS_PRIVATE_H

#include "base/str.h"
#include "copier/deletions.h"
#include "store/store_removal.h"

#include <stdlib.h>

struct following {
    struct turn *turn;
    const struct folders_work *work;
    struct store_gone *gone; /* by folder and target UID */
    bool *proven;
    size_t count;
    uint32_t removed; /* from the folder that is worked on */
    bool doubted;     /* its recorded UIDs name others */
};

/* Message ids for one call of the store. */
struct ids {
    uint64_t *items;
    size_t count;
};

static inline void ids_init(struct ids *ids, size_t most)
{
    *ids = (struct ids){.items = mem_grow(NULL, most + 1, sizeof(*ids->items))};
}

static inline void ids_fini(struct ids *ids)
{
    free(ids->items);
}

/* May it go, if it is proven now? What is held waits for a person, what is kept stays; but neither needs a row once its
 * copy is gone. */
bool deletions_is_candidate(const struct following *following, const struct store_gone *gone);
/* NULL: it is not recorded any more; production does not list it. */
struct store_folder *deletions_find_folder(const struct following *following, uint64_t folder_id);
const struct folders_pair *deletions_find_pair(const struct following *following, uint64_t folder_id);
/* Of those from `first` on, behind the last of the same folder. */
size_t deletions_end_of_folder(const struct following *following, size_t first);

/* What is begun, and what is gone without a copy. A folder's own error is kept, and the others go on. */
int deletions_remove_begun(struct following *following, struct err *err);
/* Folders that are gone, with nothing of them recorded any more. */
int deletions_drop_folders(struct following *following, struct err *err);

#endif
