/*
 * Reading CSV, in mirror-api. A record is first measured without being touched, then cut into fields in place: so a
 * quote that is never closed costs its own line only, and reading goes on behind it.
 */
#include "api/api_csv.h"

#include "base/str.h"

#include <string.h>

static bool starts_with(const struct api_csv *csv, const char *prefix, size_t len)
{
    return (size_t)(csv->end - csv->at) >= len && memcmp(csv->at, prefix, len) == 0;
}

static char *line_end(const struct api_csv *csv, char *from)
{
    char *newline = memchr(from, '\n', (size_t)(csv->end - from));
    return newline ? newline : csv->end;
}

static void go_to_next_line(struct api_csv *csv)
{
    char *end = line_end(csv, csv->at);
    csv->at = end < csv->end ? end + 1 : end;
    csv->line++;
}

/* Excel's own hint about the separator, a line of its own. */
static bool take_separator_line(struct api_csv *csv)
{
    size_t len = (size_t)(line_end(csv, csv->at) - csv->at);
    if (len > 0 && csv->at[len - 1] == '\r')
        len--;
    if (len != 5 || !starts_with(csv, "sep=", 4) || (csv->at[4] != ';' && csv->at[4] != ','))
        return false;
    csv->separator = csv->at[4];
    go_to_next_line(csv);
    return true;
}

int api_csv_init(struct api_csv *csv, char *bytes, size_t len, struct err *err)
{
    *csv = (struct api_csv){.at = bytes, .end = bytes + len, .line = 1, .separator = ','};
    bytes[len] = '\0';
    if (starts_with(csv, "\xff\xfe", 2) || starts_with(csv, "\xfe\xff", 2))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "the file is UTF-16: save it as \"CSV UTF-8\"");
    if (starts_with(csv, "\xef\xbb\xbf", 3))
        csv->at += 3;
    if (csv->at == csv->end)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                       "the file is empty: its first line must name the columns, such as mailbox,name");
    if (!take_separator_line(csv)) {
        size_t first = (size_t)(line_end(csv, csv->at) - csv->at);
        if (memchr(csv->at, ';', first))
            csv->separator = ';';
    }
    return 0;
}

/* The closing quote of a field that begins with the quote at `from`, or NULL. */
static char *closing_quote(const struct api_csv *csv, char *from, const char *limit)
{
    for (char *at = from + 1; at < csv->end && at < limit; at++) {
        if (*at != '"')
            continue;
        if (at + 1 < csv->end && at[1] == '"')
            at++;
        else
            return at;
    }
    return NULL;
}

static char *skip_blanks(const struct api_csv *csv, char *at)
{
    while (at < csv->end && (*at == ' ' || *at == '\t') && *at != csv->separator)
        at++;
    return at;
}

static bool is_record_end(const struct api_csv *csv, const char *at)
{
    return at >= csv->end || *at == '\n' || (*at == '\r' && (at + 1 >= csv->end || at[1] == '\n'));
}

/* Where the field that begins at `at` ends (at its separator or the record's end), or NULL and *problem. */
static char *field_end(const struct api_csv *csv, char *at, const char *limit, const char **problem)
{
    char *first = skip_blanks(csv, at);
    if (first >= csv->end || *first != '"') {
        while (!is_record_end(csv, at) && *at != csv->separator)
            at++;
        return at;
    }
    char *quote = closing_quote(csv, first, limit);
    if (!quote) {
        *problem = "a quote (\") is never closed: close it, or take it out";
        return NULL;
    }
    at = skip_blanks(csv, quote + 1);
    if (!is_record_end(csv, at) && *at != csv->separator) {
        *problem = "text after a closing quote: a quote inside a quoted field is written twice (\"\")";
        return NULL;
    }
    return at;
}

/* Cuts at[0..end) to its content, in place. */
static char *unquote(const struct api_csv *csv, char *at, char *end)
{
    at = skip_blanks(csv, at);
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (at == end || *at != '"') {
        *end = '\0';
        return at;
    }
    char *to = at;
    for (const char *from = at + 1; from < end - 1; from++) {
        if (*from == '"')
            from++;
        *to++ = *from;
    }
    *to = '\0';
    return at;
}

/* Measures the record at csv->at: the fields' ends into `ends`. 0, or -1 and the problem. */
static int measure(const struct api_csv *csv, struct api_csv_record *record, char **ends)
{
    const char *limit = csv->at + API_CSV_MAX_RECORD_BYTES;
    char *at = csv->at;
    for (;;) {
        char *end = field_end(csv, at, limit, &record->problem);
        if (!end)
            return -1;
        if (end > limit || record->count == API_CSV_MAX_FIELDS) {
            record->problem =
                "over 64 KiB or 64 fields in one record: is a quote (\") missing, or is this no CSV?";
            return -1;
        }
        record->fields[record->count] = at;
        ends[record->count++] = end;
        if (is_record_end(csv, end))
            return 0;
        at = end + 1;
    }
}

static bool is_blank_line(const struct api_csv *csv)
{
    const char *at = csv->at;
    while (at < csv->end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at >= csv->end || *at == '\n';
}

static const char *content_problem(const char *bytes, size_t len)
{
    if (memchr(bytes, '\0', len))
        return "a NUL byte: save the file as \"CSV UTF-8\"";
    return str_is_utf8(bytes, len) ? NULL : "not UTF-8: save the file as \"CSV UTF-8\"";
}

enum api_csv_result api_csv_next(struct api_csv *csv, struct api_csv_record *record_out)
{
    while (csv->at < csv->end && is_blank_line(csv))
        go_to_next_line(csv);
    *record_out = (struct api_csv_record){.line = csv->line};
    if (csv->at >= csv->end)
        return API_CSV_END;

    char *ends[API_CSV_MAX_FIELDS];
    int bad = measure(csv, record_out, ends);
    char *record_end = bad ? line_end(csv, csv->at) : ends[record_out->count - 1];
    if (!bad)
        record_out->problem = content_problem(csv->at, (size_t)(record_end - csv->at));
    char *start = csv->at;
    uint32_t line = csv->line;
    csv->at = record_end;
    go_to_next_line(csv);
    for (const char *at = start; at < record_end; at++)
        csv->line += *at == '\n';
    record_out->line = line;
    if (record_out->problem)
        return API_CSV_BAD;
    for (size_t i = 0; i < record_out->count; i++)
        record_out->fields[i] = unquote(csv, record_out->fields[i], ends[i]);
    return API_CSV_RECORD;
}

static enum api_csv_column column_of(const char *name)
{
    static const char *const names[] = {
#define API_CSV_COLUMN_NAME(id, name) name,
        API_CSV_COLUMNS(API_CSV_COLUMN_NAME)
#undef API_CSV_COLUMN_NAME
    };
    for (unsigned i = 0; i < API_CSV_COLUMN_COUNT; i++)
        if (str_equal_nocase(names[i], name))
            return (enum api_csv_column)i;
    return API_CSV_COLUMN_COUNT;
}

static void note_ignored(struct api_csv_header *header, const char *name)
{
    size_t used = strlen(header->ignored);
    if (used + strlen(name) + 3 > sizeof header->ignored)
        return;
    if (used > 0) {
        str_into(header->ignored + used, sizeof header->ignored - used, ", ");
        used += 2;
    }
    str_into(header->ignored + used, sizeof header->ignored - used, name);
}

int api_csv_header(struct api_csv *csv, struct api_csv_header *header_out, struct err *err)
{
    *header_out = (struct api_csv_header){0};
    for (size_t i = 0; i < API_CSV_COLUMN_COUNT; i++)
        header_out->place[i] = API_CSV_MAX_FIELDS;
    struct api_csv_record record;
    enum api_csv_result result = api_csv_next(csv, &record);
    if (result == API_CSV_BAD)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "line %u, the header: %s", record.line,
                       record.problem);
    header_out->count = record.count;
    for (size_t i = 0; i < record.count; i++) {
        enum api_csv_column column = column_of(record.fields[i]);
        if (column == API_CSV_COLUMN_COUNT)
            note_ignored(header_out, record.fields[i]);
        else if (header_out->place[column] != API_CSV_MAX_FIELDS)
            return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                           "the header has the column '%.64s' twice: leave one out", record.fields[i]);
        else
            header_out->place[column] = i;
    }
    if (header_out->place[API_CSV_MAILBOX] == API_CSV_MAX_FIELDS)
        return err_set(
            err, ERR_MAILBOX, ERR_RETRY_NEVER,
            "the first line must name the columns: mailbox,name,cos,priority,routes (only mailbox is "
            "required)");
    return 0;
}

char *api_csv_field(const struct api_csv_header *header, const struct api_csv_record *record,
                    enum api_csv_column column)
{
    size_t place = header->place[column];
    if (place >= record->count || record->fields[place][0] == '\0')
        return NULL;
    return record->fields[place];
}
