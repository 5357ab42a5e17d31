/*
 * Any bytes as a message of the bus: refused with words, or a job that survives being sent on.
 */
#include "base/err.h"
#include "base/str.h"
#include "bus/bus.h"
#include "bus/job.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct job job, again;
    struct err err = {0};
    if (job_decode((const char *)data, size, &job, &err) < 0) {
        ASSERT(err.scope == ERR_MESSAGE && strncmp(err.text, "job: ", 5) == 0);
        return 0;
    }
    char *text = job_encode(&job);
    ASSERT(strlen(text) <= BUS_MAX_BYTES);
    ASSERT(job_decode(text, strlen(text), &again, &err) == 0);
    char *text_again = job_encode(&again);
    ASSERT(str_equal(text, text_again));
    free(text);
    free(text_again);
    return 0;
}
