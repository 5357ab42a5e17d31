/*
 * Signals of a daemon; see daemon_signals.h.
 */
#include "daemon/daemon_signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int daemon_signals_open(struct daemon_signals *signals, struct err *err)
{
    sigset_t set;
    *signals = (struct daemon_signals){.fd = -1};
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
        signals->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->fd < 0)
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "signals: %s", strerror(errno));
    return 0;
}

void daemon_signals_close(struct daemon_signals *signals)
{
    if (signals->fd >= 0)
        close(signals->fd);
    signals->fd = -1;
}

void daemon_signals_take(struct daemon_signals *signals)
{
    struct signalfd_siginfo info;
    while (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        signals->taken++;
        if (info.ssi_signo == SIGHUP)
            signals->reload = true;
        else
            signals->stop = true;
    }
}
