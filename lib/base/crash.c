/*
 * Crash points; see crash.h. Empty but in a build for tests.
 */
#include "base/crash.h"

#ifdef MM_CRASH_POINTS

#include "base/err.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CRASH_POINT_LINE(kind, name, text) #kind " " text "\n",
static const char *const lines[] = {CRASH_POINTS(CRASH_POINT_LINE)};

static void note(enum crash_name name)
{
    const char *path = getenv("MIRROR_CRASH_FILE");
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    ASSERT(write(fd, lines[name], strlen(lines[name])) == (ssize_t)strlen(lines[name]));
    close(fd);
}

void crash_point(enum crash_name name)
{
    static unsigned long reached;
    const char *at = getenv("MIRROR_CRASH_AT");
    note(name);
    reached++;
    if (at && strtoul(at, NULL, 10) == reached)
        kill(getpid(), getenv("MIRROR_CRASH_STOP") ? SIGSTOP : SIGKILL);
}

int crash_after(enum crash_name name, int result)
{
    if (result == 0)
        crash_point(name);
    return result;
}

#endif
