/*
 * For tests of the session: a session of its own against a scripted server (imap_dialogue.h), and what its commands
 * brought, as lines of text. Nothing waits longer than some seconds.
 */
#ifndef MIRROR_TESTS_IMAP_CLIENT_H
#define MIRROR_TESTS_IMAP_CLIENT_H

#include "base/buf.h"
#include "base/secret.h"
#include "imap/imap_session.h"

struct imap_dialogue;

struct imap_client {
    struct config_site site; /* may be changed before imap_client_open() */
    struct imap_reactor *reactor;
    struct secret *password;
    struct imap_session *session; /* NULL before imap_client_open() */
    struct imap_dialogue *dialogue;
    struct buf seen;
    struct imap_handlers handlers; /* write all they are told into `seen` */
    int64_t deadline_ms;
    const char **script; /* with the login's lines before it */
    char *logged_in;
};

/* A script as the one argument of a macro or a field. */
#define IMAP_SCRIPT(...)                                                                                     \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

/* The server begins to play; script NULL: nobody listens. */
void imap_client_begin(struct imap_client *client, const char *const *script);
/* Connects; returns in what state that ended. */
enum imap_session_state imap_client_open(struct imap_client *client);
void imap_client_assert_ready(struct imap_client *client);
/* All of that, for a server with just these capabilities ("" or "UIDPLUS LITERAL+"); the script goes on after the login. */
void imap_client_log_in(struct imap_client *client, const char *capabilities, const char *const *script);
/* A round of the reactor; false once patience is over. */
bool imap_client_run(struct imap_client *client);
/* Frees the session; the server must have seen all that its script says. */
void imap_client_end(struct imap_client *client);

#endif
