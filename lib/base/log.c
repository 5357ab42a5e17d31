/*
 * The log; see log.h. Used by every process; single-threaded like them.
 *
 * A line is put together in a fixed buffer and handed over in one write(2), so that lines of several processes on one
 * pipe don't mix (up to PIPE_BUF, 4 KiB). What does not fit is left out field by field, and the line says so.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 4096, TAIL_BYTES = 24, VALUE_BYTES = 1200, CONTEXT_DEPTH = 8, CONTEXT_BYTES = 128 };

struct line {
    char bytes[LINE_BYTES];
    size_t len;
    bool full; /* something was left out since the last look at it */
};

static struct {
    const char *program;
    enum log_level least;
    bool json;
    size_t context_depth; /* counts the ignored ones as well, so that pops match pushes */
    struct {
        const char *name;
        char value[CONTEXT_BYTES];
    } context[CONTEXT_DEPTH];
} state = {.program = "mirror", .least = LOG_LEVEL_INFO};

static void add_bytes(struct line *line, const char *bytes, size_t len)
{
    if (len > LINE_BYTES - TAIL_BYTES - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void add(struct line *line, const char *text)
{
    add_bytes(line, text, strlen(text));
}

/* One character of a value, as it stands in both formats: a JSON escape where one is needed. */
static size_t escape(const char *text, size_t len, char out[16], size_t *used_out)
{
    unsigned char c = (unsigned char)*text;
    size_t step = str_utf8_step(text, len);
    *used_out = step ? step : 1;
    if (step == 0)
        return (size_t)snprintf(out, 16, "\\ufffd");
    if (c == '"' || c == '\\')
        return (size_t)snprintf(out, 16, "\\%c", c);
    if (c == '\n' || c == '\r' || c == '\t')
        return (size_t)snprintf(out, 16, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    if (c < 0x20 || c == 0x7f)
        return (size_t)snprintf(out, 16, "\\u%04x", c);
    if (c == 0xc2 && (unsigned char)text[1] < 0xa0)
        return (size_t)snprintf(out, 16, "\\u%04x", (unsigned char)text[1]);
    memcpy(out, text, step);
    return step;
}

static void add_escaped(struct line *line, const char *text)
{
    size_t left = strlen(text), written = 0, used;
    char one[16];
    while (left > 0) {
        size_t len = escape(text, left, one, &used);
        if (written + len > VALUE_BYTES) {
            add(line, "…");
            return;
        }
        add_bytes(line, one, len);
        written += len;
        text += used;
        left -= used;
    }
}

static bool needs_quotes(const char *text)
{
    if (*text == 0)
        return true;
    for (; *text; text++)
        if ((unsigned char)*text <= 0x20 || strchr("\"\\=", *text) || *text == 0x7f)
            return true;
    return false;
}

static void add_string(struct line *line, const char *text)
{
    text = text == NULL ? "" : text;
    bool quotes = state.json || needs_quotes(text);
    if (quotes)
        add(line, "\"");
    add_escaped(line, text);
    if (quotes)
        add(line, "\"");
}

static void add_value(struct line *line, const struct log_field *field)
{
    char text[64] = "";
    switch (field->kind) {
    case LOG_KIND_STRING:
        add_string(line, field->value.string);
        return;
    case LOG_KIND_INTEGER:
        snprintf(text, sizeof(text), "%lld", (long long)field->value.integer);
        break;
    case LOG_KIND_UNSIGNED:
        snprintf(text, sizeof(text), "%llu", (unsigned long long)field->value.number_unsigned);
        break;
    case LOG_KIND_NUMBER:
        if (isfinite(field->value.number))
            snprintf(text, sizeof(text), "%.10g", field->value.number);
        else
            snprintf(text, sizeof(text), "null");
        break;
    case LOG_KIND_END:
        break;
    }
    add(line, text);
}

/* A field is there whole or not at all: a half one would break the JSON. Returns whether it is. */
static bool add_field(struct line *line, const struct log_field *field)
{
    size_t before = line->len;
    line->full = false;
    add(line, state.json ? ",\"" : " ");
    add(line, field->name);
    add(line, state.json ? "\":" : "=");
    add_value(line, field);
    if (line->full)
        line->len = before;
    return !line->full;
}

static void add_head(struct line *line, enum log_level level, const char *event)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    static const char *const padded[] = {"debug", "info ", "warn ", "error"};
    char time[32], head[256];
    clock_format_utc(clock_wall_us(), time);
    snprintf(head, sizeof(head),
             state.json ? "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%.64s\",\"pid\":%d,\"event\":"
                        : "%s %s %.64s[%d] ",
             time, state.json ? names[level] : padded[level], state.program, (int)getpid());
    add(line, head);
    if (state.json)
        add_string(line, event);
    else
        add_escaped(line, event);
}

static void add_tail(struct line *line, bool cut)
{
    char tail[TAIL_BYTES + 1];
    int len = state.json ? snprintf(tail, sizeof(tail), "%s}\n", cut ? ",\"cut\":true" : "")
                         : snprintf(tail, sizeof(tail), "%s\n", cut ? " cut=true" : "");
    memcpy(line->bytes + line->len, tail, (size_t)len);
    line->len += (size_t)len;
}

/* A log that cannot be written must not stop the work. */
static void write_line(const struct line *line)
{
    size_t at = 0;
    while (at < line->len) {
        ssize_t wrote = write(STDERR_FILENO, line->bytes + at, line->len - at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return;
        at += (size_t)wrote;
    }
}

static bool add_context(struct line *line)
{
    bool whole = true;
    for (size_t i = 0; i < state.context_depth && i < CONTEXT_DEPTH; i++)
        whole &= add_field(line, &LOG_STR(state.context[i].name, state.context[i].value));
    return whole;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    struct line line;
    if (level < state.least || level > LOG_LEVEL_ERROR)
        return;
    int saved = errno;
    line.len = 0;
    line.full = false;
    add_head(&line, level, event);
    bool whole = add_context(&line);
    for (; fields->kind != LOG_KIND_END; fields++)
        whole &= add_field(&line, fields);
    add_tail(&line, !whole);
    write_line(&line);
    errno = saved;
}

void log_init(const char *program, enum log_level least, bool json)
{
    state.program = program;
    state.least = least;
    state.json = json;
}

void log_set_level(enum log_level least)
{
    state.least = least;
}

void log_context_push(const char *name, const char *value)
{
    if (state.context_depth < CONTEXT_DEPTH) {
        state.context[state.context_depth].name = name;
        str_into(state.context[state.context_depth].value, CONTEXT_BYTES, value);
    }
    state.context_depth++;
}

void log_context_pop(void)
{
    if (state.context_depth > 0)
        state.context_depth--;
}
