/*
 * CSV as people's programs write it (RFC 4180): quotes, "" in quotes, CRLF or LF, a byte order mark, and ';' for ',' when
 * the header line has it (Excel with a German system), or when a first line "sep=;" says so. One bad record never
 * harms the next: reading goes on at the line after the one where it began.
 */
#ifndef MIRROR_API_CSV_H
#define MIRROR_API_CSV_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { API_CSV_MAX_FIELDS = 64, API_CSV_MAX_RECORD_BYTES = 64 * 1024 };

struct api_csv {
    char *at, *end;
    uint32_t line; /* of `at`, from 1 */
    char separator;
};

struct api_csv_record {
    char *fields
        [API_CSV_MAX_FIELDS]; /* in the given bytes; NUL-terminated, blanks around unquoted ones cut off */
    size_t count;
    uint32_t line;       /* where it begins, from 1 */
    const char *problem; /* API_CSV_BAD: why, in words */
};

enum api_csv_result { API_CSV_END, API_CSV_RECORD, API_CSV_BAD };

/* `bytes` is worked on in place and must hold one byte more than `len`. -1: the whole file can't be read (UTF-16, empty). */
int api_csv_init(struct api_csv *csv, char *bytes, size_t len, struct err *err);

/* The next record that is not a blank line. */
enum api_csv_result api_csv_next(struct api_csv *csv, struct api_csv_record *record_out);

/* ---- the columns of an import ---- */
#define API_CSV_COLUMNS(X)                                                                                   \
    X(MAILBOX, "mailbox")                                                                                    \
    X(NAME, "name")                                                                                          \
    X(COS, "cos")                                                                                            \
    X(PRIORITY, "priority")                                                                                  \
    X(ROUTES, "routes")

enum api_csv_column {
#define API_CSV_COLUMN_ENUM(id, name) API_CSV_##id,
    API_CSV_COLUMNS(API_CSV_COLUMN_ENUM)
#undef API_CSV_COLUMN_ENUM
        API_CSV_COLUMN_COUNT
};

struct api_csv_header {
    size_t place[API_CSV_COLUMN_COUNT]; /* of each column; API_CSV_MAX_FIELDS: not there */
    size_t count;                       /* fields of the header line */
    char ignored[256];                  /* names of unknown columns, ", " between; "" if none */
};

/* Reads the header line. -1: none, without `mailbox`, or a column twice. */
int api_csv_header(struct api_csv *csv, struct api_csv_header *header_out, struct err *err);

/* The field, or NULL if it is not there or empty: not given. */
char *api_csv_field(const struct api_csv_header *header, const struct api_csv_record *record,
                    enum api_csv_column column);

#endif
