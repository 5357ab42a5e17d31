/*
 * APPEND (RFC 3501 section 6.3.11), streamed: one command of one message, or of several with MULTIAPPEND (RFC 3502):
 *
 *     imap_append_begin(); for each message { imap_append_message(); imap_append_bytes()...; } imap_append_end();
 *
 * Nothing blocks: imap_append_room() tells how many bytes of the current message can be given now (0: run the
 * reactor; without LITERAL+ also while the server's "+" is awaited). Exactly the announced bytes must be given.
 */
#ifndef MIRROR_IMAP_APPEND_H
#define MIRROR_IMAP_APPEND_H

#include "imap/imap_session.h"

struct imap_append;

struct imap_append *imap_append_begin(struct imap_session *session, const char *wire_name);
/* `date` may be NULL. Flags that the server cannot store must have been taken out before. -1 if the last message is
 * not complete or the session is dead. */
int imap_append_message(struct imap_append *append, const struct imap_flags *flags, const char *date,
                        uint64_t size_bytes, struct err *err);
size_t imap_append_room(const struct imap_append *append);
size_t imap_append_bytes(struct imap_append *append, const char *bytes, size_t len); /* how many were taken */
/* All messages given: asks for the tagged answer. */
int imap_append_end(struct imap_append *append, struct err *err);
enum imap_append_outcome { IMAP_APPEND_RUNNING, IMAP_APPEND_DONE, IMAP_APPEND_REFUSED, IMAP_APPEND_UNKNOWN };
/* DONE: tagged OK; REFUSED: tagged NO or BAD (nothing was stored), or NO in place of "+"; UNKNOWN: the session died
 * before the answer (I3: look, do not repeat). err is filled for REFUSED and UNKNOWN. */
enum imap_append_outcome imap_append_outcome(const struct imap_append *append, struct err *err);
/* APPENDUID (RFC 4315): count of UIDs, 0 if none was told or UIDPLUS is off; uids_out[i] for message i. */
size_t imap_append_uids(const struct imap_append *append, uint32_t *uidvalidity_out, uint32_t *uids_out,
                        size_t max);
void imap_append_free(struct imap_append *append);

#endif
