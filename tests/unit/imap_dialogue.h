/*
 * The server's side of an IMAP dialogue, for tests of the session: a thread that plays a script against one client on
 * loopback, in lines like these:
 *
 *     "S: * OK ready"    sends the line; "$" is the tag of the client's last line, "$1" that of the first one after "from
 *                        here", "$2" of the second, and so on
 *     "s: * 1 FETCH ("   sends just these bytes
 *     "S* 200000"        sends so many bytes 'x'
 *     "C: NOOP"          the client must send this line, with any tag before it
 *     "c: hello"         the client must send just these bytes
 *     "C* 200000"        the client must send so many bytes, whatever they are
 *     "bye"              closes the connection; also without it, once the client has closed its end
 *
 * A client that sends anything else, more, or nothing for some seconds has failed.
 */
#ifndef MIRROR_TESTS_IMAP_DIALOGUE_H
#define MIRROR_TESTS_IMAP_DIALOGUE_H

#include <stdint.h>

struct imap_dialogue;

/* `script` ends with NULL and is borrowed. NULL as script: nobody listens. */
struct imap_dialogue *imap_dialogue_start(const char *const *script, uint16_t *port_out);
/* Waits for the end. NULL if all went as written, else what did not, to be freed. */
char *imap_dialogue_end(struct imap_dialogue *dialogue);

#endif
