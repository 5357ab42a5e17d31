/*
 * The log: an event with fields, one line each on stderr.
 *
 * Text for people ("2026-11-24T08:00:00.123Z info  copier[812] message copied mailbox=1001 folder=INBOX") or one
 * JSON object a line (log.format: json). Fields of the context (mirror, folder, ...) pushed with log_context_push()
 * come with every line until popped. Control characters are escaped; a struct secret cannot be passed as a field.
 */
#ifndef MIRROR_BASE_LOG_H
#define MIRROR_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

enum log_kind { LOG_KIND_END = 0, LOG_KIND_STRING, LOG_KIND_INTEGER, LOG_KIND_UNSIGNED, LOG_KIND_NUMBER };

struct log_field {
    const char *name;
    enum log_kind kind;
    union {
        const char *string; /* NULL prints as empty */
        int64_t integer;
        uint64_t number_unsigned;
        double number;
    } value;
};

#define LOG_STR(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_STRING, .value.string = (v)})
#define LOG_INT(n, v)                                                                                        \
    ((struct log_field){.name = (n), .kind = LOG_KIND_INTEGER, .value.integer = (int64_t)(v)})
#define LOG_UINT(n, v)                                                                                       \
    ((struct log_field){.name = (n), .kind = LOG_KIND_UNSIGNED, .value.number_unsigned = (uint64_t)(v)})
#define LOG_NUM(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_NUMBER, .value.number = (v)})

/* log_info("message copied", LOG_STR("folder", name), LOG_UINT("bytes", n)); fields are optional. */
#define log_debug(...) LOG_EVENT(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_EVENT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) LOG_EVENT(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) LOG_EVENT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_EVENT(level, event, ...)                                                                         \
    log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})

/* `program` is borrowed for the life of the process. */
void log_init(const char *program, enum log_level least, bool json);
void log_set_level(enum log_level least);
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* At most 8 deep; deeper ones are ignored. Name is borrowed, value copied (cut at 127 bytes). */
void log_context_push(const char *name, const char *value);
void log_context_pop(void);

#endif
