/*
 * Strings: copies that cannot fail (out of memory is BUG()), and numbers parsed strictly.
 */
#ifndef MIRROR_BASE_STR_H
#define MIRROR_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_new(size_t bytes);                                /* zeroed; never NULL */
void *mem_grow(void *old, size_t count, size_t item_bytes); /* like reallocarray; never NULL */
char *str_copy(const char *text);                           /* NULL gives NULL */
char *str_copy_n(const char *bytes, size_t len);
char *str_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whole string must be decimal digits and fit; no sign, no blanks. Returns 0 or -1. */
int str_to_u32(const char *text, uint32_t *value_out);
int str_to_u64(const char *text, uint64_t *value_out);

bool str_equal(const char *a, const char *b);        /* NULL-safe */
bool str_equal_nocase(const char *a, const char *b); /* ASCII */
bool str_is_utf8(const char *bytes, size_t len);
size_t str_utf8_step(const char *bytes,
                     size_t len); /* length of the character at the start; 0: none that is valid */
void str_make_plain(char *text);  /* in place: control characters and bytes that are no UTF-8 become '?' */
bool str_is_mailbox_number(
    const char *text); /* 1 to 64 of digits, letters, '.', '_', '-', '@', '+'; not leading '-' */

/* Cuts to fit (never inside a UTF-8 character), always terminates. NULL is the empty string. Returns dst. */
char *str_into(char *dst, size_t size, const char *src);

#endif
