/*
 * Passing lines on. A line is at most SAID_LINE_BYTES, which is PIPE_BUF: once poll() says that a pipe can be written
 * to, such a write is whole and does not block.
 */
#include "supervisor/forward.h"

#include "base/json.h"
#include "base/log.h"
#include "supervisor/said.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { WAIT_FOR_READER_MS = 50 };

static void write_line(const char *line, size_t len)
{
    static unsigned long dropped;
    struct pollfd reader = {.fd = STDERR_FILENO, .events = POLLOUT};
    char out[SAID_LINE_BYTES];

    /* Once one was dropped nobody seems to read: don't wait for each. */
    if (poll(&reader, 1, dropped > 0 ? 0 : WAIT_FOR_READER_MS) != 1 || (reader.revents & POLLOUT) == 0) {
        dropped++;
        return;
    }
    memcpy(out, line, len);
    out[len] = '\n';
    if (write(STDERR_FILENO, out, len + 1) < 0)
        dropped++;
    else if (dropped > 0) {
        unsigned long count = dropped;
        dropped = 0;
        log_warning("lines of children were dropped, nobody read them", LOG_UINT("lines", count));
    }
}

static bool is_json(const char *line, size_t len)
{
    struct err err;
    cJSON *object = json_parse_object(line, len, SAID_LINE_BYTES, &err);

    cJSON_Delete(object);
    return object != NULL;
}

void forward_own(const char *child, const char *line, size_t len, bool log_json)
{
    if (log_json && !is_json(line, len))
        log_warning("a child said", LOG_STR("child", child), LOG_STR("line", line));
    else
        write_line(line, len);
}

void forward_foreign(const char *child, const char *line)
{
    enum log_level level = LOG_LEVEL_DEBUG;

    if (strstr(line, "[ERROR]"))
        level = LOG_LEVEL_ERROR;
    else if (strstr(line, "[Warning]"))
        level = LOG_LEVEL_INFO; /* MariaDB warns of what is normal on a small host */
    log_write(level, "the database said",
              (const struct log_field[]){LOG_STR("child", child), LOG_STR("line", line), {0}});
}
