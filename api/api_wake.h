/*
 * Wake-ups towards the scanners (pipe `requests`). Their truth stands in the store: one that is lost costs seconds.
 */
#ifndef MIRROR_API_WAKE_H
#define MIRROR_API_WAKE_H

#include "base/config.h"
#include "bus/bus.h"

struct api_wake;

/* Connects to each scanner of the configuration. */
struct api_wake *api_wake_new(struct bus *bus, const struct config *config, struct err *err);
void api_wake_free(struct api_wake *wake);

/* "Look at this mailbox now"; NULL: "the store changed, read it again". */
void api_wake_scanners(struct api_wake *wake, const char *mailbox);

#endif
