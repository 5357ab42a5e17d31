/*
 * Any bytes as an imported CSV: every record lies in the bytes, lines never go back, and reading comes to an end.
 */
#include "api/api_csv.h"
#include "base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const char *bytes, size_t size, const struct api_csv_record *record)
{
    ASSERT(record->count > 0 && record->count <= API_CSV_MAX_FIELDS);
    for (size_t i = 0; i < record->count; i++) {
        const char *field = record->fields[i];
        ASSERT(field >= bytes && field + strlen(field) <= bytes + size);
        ASSERT(str_is_utf8(field, strlen(field)));
        ASSERT(i == 0 || field > record->fields[i - 1]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct api_csv csv;
    struct api_csv_header header;
    struct api_csv_record record;
    char *bytes = mem_new(size + 1);
    memcpy(bytes, data, size);
    if (api_csv_init(&csv, bytes, size, &err) == 0 && api_csv_header(&csv, &header, &err) == 0) {
        uint32_t line = 0;
        enum api_csv_result result;
        while ((result = api_csv_next(&csv, &record)) != API_CSV_END) {
            ASSERT(record.line > line);
            line = record.line;
            if (result == API_CSV_BAD) {
                ASSERT(record.problem != NULL);
                continue;
            }
            check_record(bytes, size, &record);
            for (unsigned i = 0; i < API_CSV_COLUMN_COUNT; i++)
                api_csv_field(&header, &record, (enum api_csv_column)i);
        }
    } else {
        ASSERT(err.text[0] != '\0');
    }
    free(bytes);
    return 0;
}
