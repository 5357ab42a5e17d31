/*
 * Reconcile: one folder of a mirror made equal to production, level-triggered. What is gone from production is
 * noted here; deletions.h follows it once all folders had their pass.
 */
#ifndef MIRROR_COPIER_RECONCILE_H
#define MIRROR_COPIER_RECONCILE_H

#include "copier/folders.h"

/* Adds to turn->figures. turn->yielded is set if the turn was over before the folder was done. An error up to
 * ERR_FOLDER is this folder's own: the turn goes on with the next. */
int reconcile_folder(struct turn *turn, const struct folders_pair *pair, struct err *err);

/* For a folder that is gone from production and has open intents or ghosts: what came true on the target gets its row, so
 * that it is removed with the others; the rest is over in its time. */
int reconcile_gone_folder(struct turn *turn, struct store_folder *folder, struct err *err);

#endif
