/*
 * Clocks; see clock.h. Used by every process.
 */
#include "base/clock.h"

#include "base/err.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

int64_t clock_boot_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) < 0)
        BUG("CLOCK_BOOTTIME");
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_us(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        BUG("CLOCK_REALTIME");
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

char *clock_format_utc(int64_t wall_us, char text[32])
{
    int64_t seconds = wall_us / 1000000, rest = wall_us % 1000000;
    struct tm parts;
    if (rest < 0) {
        rest += 1000000;
        seconds--;
    }
    time_t when = (time_t)seconds;
    size_t len = gmtime_r(&when, &parts) == NULL ? 0 : strftime(text, 24, "%Y-%m-%dT%H:%M:%S", &parts);
    if (len == 0)
        snprintf(text, 32, "out of range");
    else
        snprintf(text + len, 32 - len, ".%03dZ", (int)(rest / 1000));
    return text;
}

int clock_left_ms(int64_t deadline_ms)
{
    int64_t now = clock_boot_ms();
    if (deadline_ms <= now)
        return 0;
    return deadline_ms - now > INT_MAX ? INT_MAX : (int)(deadline_ms - now);
}
