/*
 * Clocks: CLOCK_BOOTTIME for deadlines (goes on during suspend), the wall clock only for display.
 */
#ifndef MIRROR_BASE_CLOCK_H
#define MIRROR_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_boot_ms(void);
int64_t clock_wall_us(void); /* microseconds since 1970, UTC */

/* "2026-11-24T08:00:00.123Z"; `text` holds at least 32 bytes. */
char *clock_format_utc(int64_t wall_us, char text[32]);

/* What is left until `deadline_ms` (of clock_boot_ms), never below 0, capped at INT_MAX. */
int clock_left_ms(int64_t deadline_ms);

#endif
