/*
 * The ventilator: binds the job pipe and deals out wake-ups for due mirrors, takes the results (each makes room for the
 * next at once) and the requests of the API. The truth stands in the store; what is lost here costs seconds.
 */
#ifndef MIRROR_SCANNER_SCAN_VENTILATOR_H
#define MIRROR_SCANNER_SCAN_VENTILATOR_H

#include "scanner/scan_base.h"

#include <poll.h>

struct scan_ventilator;

enum { SCAN_VENTILATOR_FDS = 2 };

struct scan_ventilator *scan_ventilator_new(struct scan_base *base, struct err *err);
void scan_ventilator_free(struct scan_ventilator *ventilator);

/* What the reactor shall poll along. */
void scan_ventilator_fds(const struct scan_ventilator *ventilator, struct pollfd fds[SCAN_VENTILATOR_FDS]);

/* Takes all messages that are there. true: something was asked for that the sites must hear of. */
bool scan_ventilator_receive(struct scan_ventilator *ventilator);
/* Pushes what is due, as far as there is room. */
void scan_ventilator_push(struct scan_ventilator *ventilator);

#endif
