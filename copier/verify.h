/*
 * Verify: both sides of a mirror listed and compared, message by message, independent of the marks; deep: the bytes
 * too. Changes nothing on either side.
 */
#ifndef MIRROR_COPIER_VERIFY_H
#define MIRROR_COPIER_VERIFY_H

#include "copier/folders.h"

/* Fills turn->verify_report (a difference a line, the first 200) and turn->verify_differences. Folders that differ lose
 * their target's marks, so that the next pass lists them. *all_out false: the turn was over before the end. */
int verify_mirror(struct turn *turn, const struct folders_work *work, bool deep, bool *all_out,
                  struct err *err);

#endif
