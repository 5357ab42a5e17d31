/*
 * Where the next question for changes begins, of COS and of subscribers: two marks, kept in one (store_mark), since they
 * are stored together, after all that both cover is settled.
 */
#ifndef MIRROR_LDAPSYNC_CHANGE_MARKS_H
#define MIRROR_LDAPSYNC_CHANGE_MARKS_H

#include "store/store_directory.h"

struct change_marks {
    struct store_mark of[2]; /* by enum store_kind */
};

/* -1: they do not fit together (cookies of more than some 900 bytes). */
int change_marks_pack(const struct change_marks *marks, struct store_mark *packed_out);
/* What is not understood is no mark: all is compared then. */
void change_marks_unpack(const struct store_mark *packed, struct change_marks *marks_out);

#endif
