/*
 * POST /api/v1/import: a CSV of mailboxes, answered line by line.
 */
#ifndef MIRROR_API_IMPORT_H
#define MIRROR_API_IMPORT_H

#include "api/api.h"

api_handler api_import_csv;

#endif
