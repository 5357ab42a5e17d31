/*
 * Deletions on production, followed on the target under the brakes (I5, I6): at the end of a turn, what is recorded as gone
 * is looked for once more, judged, and removed or held. What is on hold for a person is carried out when it was allowed,
 * again only what is still gone.
 */
#ifndef MIRROR_COPIER_DELETIONS_H
#define MIRROR_COPIER_DELETIONS_H

#include "copier/folders.h"

/* After all folders had their pass. Corrects turn->figures. A folder's own error is kept (turn_keep_folder_error()), and
 * nothing of that folder is removed. */
int deletions_follow(struct turn *turn, const struct folders_work *work, struct err *err);

#endif
