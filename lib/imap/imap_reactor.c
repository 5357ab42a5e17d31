/*
 * One wait for everything; see imap_reactor.h. curl_multi_poll() waits for libcurl's connecting handles and for the
 * descriptors of the connected ones alike; a session stays added to the multi handle, since removing it would close its
 * connection.
 */
#include "imap/imap_reactor.h"

#include "base/clock.h"
#include "base/str.h"
#include "imap/imap_reactor_private.h"
#include "imap/imap_session_private.h"

#include <limits.h>
#include <stdlib.h>

enum { TICK_MS = 1000, LEAST_TICK_MS = 200 };

struct imap_reactor {
    CURLM *multi;
    struct imap_session *sessions;
    bool (*on_tick)(void *context);
    void *context;
    int64_t ticked_ms;
    bool going;
    struct curl_waitfd *fds;
    size_t fd_size;
};

struct imap_reactor *imap_reactor_new(bool (*on_tick)(void *context), void *context)
{
    struct imap_reactor *reactor = mem_new(sizeof(*reactor));
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(reactor->multi = curl_multi_init()))
        BUG("libcurl cannot be started");
    reactor->on_tick = on_tick;
    reactor->context = context;
    reactor->going = true;
    return reactor;
}

void imap_reactor_free(struct imap_reactor *reactor)
{
    if (!reactor)
        return;
    ASSERT(reactor->sessions == NULL);
    curl_multi_cleanup(reactor->multi);
    curl_global_cleanup();
    free(reactor->fds);
    free(reactor);
}

/* ---- sessions ---- */

void imap_reactor_add(struct imap_reactor *reactor, struct imap_session *session)
{
    /* It fails only for a handle that is no handle, or is added already. */
    if (curl_multi_add_handle(reactor->multi, imap_connect_handle(session->connect)) != CURLM_OK)
        BUG("libcurl takes no further connection");
    session->next = reactor->sessions;
    reactor->sessions = session;
}

void imap_reactor_drop_connection(struct imap_reactor *reactor, struct imap_session *session)
{
    imap_connect_cut(session->connect);
    curl_multi_remove_handle(reactor->multi, imap_connect_handle(session->connect));
    imap_connect_free(session->connect);
    session->connect = NULL;
}

void imap_reactor_remove(struct imap_reactor *reactor, struct imap_session *session)
{
    struct imap_session **link = &reactor->sessions;
    while (*link && *link != session)
        link = &(*link)->next;
    if (*link)
        *link = session->next;
}

/* ---- a round ---- */

static bool tick(struct imap_reactor *reactor)
{
    int64_t now_ms = clock_boot_ms();
    if (reactor->on_tick && (!reactor->going || now_ms - reactor->ticked_ms >= LEAST_TICK_MS)) {
        reactor->going = reactor->on_tick(reactor->context);
        reactor->ticked_ms = now_ms;
    }
    return reactor->going;
}

static size_t count_sessions(const struct imap_reactor *reactor)
{
    size_t count = 0;
    for (const struct imap_session *session = reactor->sessions; session; session = session->next)
        count++;
    return count;
}

/* The caller's descriptors come first. Returns how many all are. */
static unsigned fill_fds(struct imap_reactor *reactor, const struct pollfd *extra, size_t extra_count,
                         int *wait_ms)
{
    size_t most = extra_count + count_sessions(reactor);
    unsigned count = 0;
    if (most > reactor->fd_size) {
        reactor->fd_size = most * 2;
        reactor->fds = mem_grow(reactor->fds, reactor->fd_size, sizeof(*reactor->fds));
    }
    for (; count < extra_count; count++)
        reactor->fds[count] =
            (struct curl_waitfd){.fd = extra[count].fd,
                                 .events = (short)((extra[count].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                                                   (extra[count].events & POLLOUT ? CURL_WAIT_POLLOUT : 0))};
    for (const struct imap_session *session = reactor->sessions; session; session = session->next) {
        bool at_once = false;
        short events = imap_session_events(session, &at_once);
        if (at_once)
            *wait_ms = 0;
        if (events)
            reactor->fds[count++] = (struct curl_waitfd){.fd = session->fd, .events = events};
    }
    return count;
}

/* In the order of fill_fds(). */
static void take_events(struct imap_reactor *reactor, struct pollfd *extra, size_t extra_count)
{
    const struct curl_waitfd *fd = reactor->fds;
    for (size_t i = 0; i < extra_count; i++, fd++)
        extra[i].revents = (short)((fd->revents & CURL_WAIT_POLLIN ? POLLIN : 0) |
                                   (fd->revents & CURL_WAIT_POLLOUT ? POLLOUT : 0));
    for (struct imap_session *session = reactor->sessions; session; session = session->next) {
        bool at_once;
        if (imap_session_events(session, &at_once))
            session->unread |= (fd++)->revents != 0;
    }
}

static void wait_for_events(struct imap_reactor *reactor, struct pollfd *extra, size_t extra_count,
                            int timeout_ms)
{
    int wait_ms = timeout_ms < TICK_MS ? timeout_ms : TICK_MS, ready;
    unsigned count = fill_fds(reactor, extra, extra_count, &wait_ms);
    /* It fails if a descriptor is none any more, or for want of memory: both are our own bug. */
    if (curl_multi_poll(reactor->multi, reactor->fds, count, wait_ms, &ready) != CURLM_OK)
        BUG("libcurl cannot wait");
    take_events(reactor, extra, extra_count);
}

static void run_libcurl(struct imap_reactor *reactor)
{
    CURLMsg *message;
    int running, left;
    curl_multi_perform(reactor->multi, &running);
    while ((message = curl_multi_info_read(reactor->multi, &left))) {
        struct imap_session *session = NULL;
        CURLcode code = message->data.result; /* not valid any more once the handle is removed */
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&session);
        imap_session_connected(session, code);
    }
}

/* Returns whether there is nothing to do now but wait. */
static bool flush_all(struct imap_reactor *reactor)
{
    bool moved = false, ended = false, appending = false;
    for (struct imap_session *session = reactor->sessions; session; session = session->next) {
        int flushed = imap_session_flush(session);
        moved |= flushed > 0;
        ended |= flushed < 0;
        appending |= session->append != NULL;
    }
    /* Where bytes went, there is room again for whoever gives an APPEND's. */
    return !ended && !(moved && appending);
}

bool imap_reactor_run(struct imap_reactor *reactor, struct pollfd *extra, size_t extra_count, int timeout_ms)
{
    bool going = tick(reactor);
    /* Told to stop, nothing is written: what waits may be a command that we have no right to any more (I3). */
    bool must_wait = going && flush_all(reactor);
    wait_for_events(reactor, extra, extra_count, must_wait ? timeout_ms : 0);
    run_libcurl(reactor);
    for (struct imap_session *session = reactor->sessions; session; session = session->next)
        imap_session_serve(session);
    return going;
}
