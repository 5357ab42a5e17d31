/*
 * Inside of the reactor: what sessions need of it.
 */
#ifndef MIRROR_IMAP_REACTOR_PRIVATE_H
#define MIRROR_IMAP_REACTOR_PRIVATE_H

#include "imap/imap_reactor.h"
#include "imap/imap_session.h"

/* Takes part in every round from now on, its connection in libcurl's work. */
void imap_reactor_add(struct imap_reactor *reactor, struct imap_session *session);
/* Ends its connection. */
void imap_reactor_drop_connection(struct imap_reactor *reactor, struct imap_session *session);
void imap_reactor_remove(struct imap_reactor *reactor, struct imap_session *session);

#endif
