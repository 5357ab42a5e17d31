/*
 * Memory that cannot fail (declared in str.h), in every process: a program that is out of memory ends and is started
 * again, since its work can always be taken up by another.
 */
#include "base/str.h"

#include "base/err.h"

#include <stdlib.h>

void *mem_new(size_t bytes)
{
    void *memory = calloc(1, bytes > 0 ? bytes : 1);
    if (memory == NULL)
        BUG("out of memory");
    return memory;
}

void *mem_grow(void *old, size_t count, size_t item_bytes)
{
    if (count == 0 || item_bytes == 0)
        count = item_bytes = 1;
    void *memory = reallocarray(old, count, item_bytes);
    if (memory == NULL)
        BUG("out of memory");
    return memory;
}
