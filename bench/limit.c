/*
 * The limit: what copying mailboxes from one IMAP server to another costs with no thinking at all. It logs in on both
 * sides, asks for everything with one FETCH, and passes each body on into MULTIAPPENDs of ten, whose answers it reads at
 * the end: no store, no digest, no comparison, no second look. A run of its own, started by bench/run; not installed.
 *
 *   bench-limit FROM_PORT TO_PORT TRUSTED PASSWORD MAILBOX...          one after the other, both on 127.0.0.1
 */
#include <arpa/inet.h>
#include <err.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 * 1024, AT_ONCE = 10 };

/* One connection; what was read and not used yet lies in bytes[start..end). */
struct side {
    int fd;
    size_t start, end;
    char bytes[BUFFER_BYTES + 1];
};

/* The APPENDs of one mailbox. */
struct appends {
    struct side *to;
    unsigned commands, messages; /* messages: in the command that is open; 0: none is */
};

/* ---- bytes ---- */

static void say(const struct side *side, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(side->fd, bytes, len);
        if (done <= 0)
            err(1, "write");
        bytes += done;
        len -= (size_t)done;
    }
}

static void read_more(struct side *side)
{
    ssize_t got;
    if (side->start > 0) {
        memmove(side->bytes, side->bytes + side->start, side->end - side->start);
        side->end -= side->start;
        side->start = 0;
    }
    if (side->end == BUFFER_BYTES)
        errx(1, "a line is too long");
    got = read(side->fd, side->bytes + side->end, BUFFER_BYTES - side->end);
    if (got < 0)
        err(1, "read");
    if (got == 0)
        errx(1, "the server closed the connection");
    side->end += (size_t)got;
}

/* The next line without its end; valid until the next call. */
static char *read_line(struct side *side)
{
    for (;;) {
        char *from = side->bytes + side->start, *newline = memchr(from, '\n', side->end - side->start);
        if (newline) {
            side->start += (size_t)(newline - from) + 1;
            if (newline > from && newline[-1] == '\r')
                newline--;
            *newline = '\0';
            return from;
        }
        read_more(side);
    }
}

static void pass_on(struct side *from, struct side *to, uint64_t left)
{
    while (left > 0) {
        size_t len = from->end - from->start;
        if (len == 0) {
            read_more(from);
            continue;
        }
        len = len < left ? len : (size_t)left;
        say(to, from->bytes + from->start, len);
        from->start += len;
        left -= len;
    }
}

/* ---- sessions ---- */

static void reach(struct side *side, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    side->start = side->end = 0;
    side->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (side->fd < 0 || connect(side->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        err(1, "port %s", port);
    setsockopt(side->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void expect_ok(struct side *side, const char *tag)
{
    size_t len = strlen(tag);
    const char *line;
    do
        line = read_line(side);
    while (strncmp(line, tag, len) != 0);
    if (strncmp(line + len, " OK", 3) != 0)
        errx(1, "%s", line);
}

static void send_login(struct side *side, const char *mailbox, char *const *trusted)
{
    char line[512];
    int len = snprintf(line, sizeof(line), "L LOGIN \"%s*%s\" \"%s\"\r\n", mailbox, trusted[0], trusted[1]);
    expect_ok(side, "*");
    say(side, line, (size_t)len);
}

/* ---- one mailbox ---- */

static void end_command(struct appends *appends)
{
    if (appends->messages > 0)
        say(appends->to, "\r\n", 2);
    appends->messages = 0;
}

/* `line`: "* 7 FETCH (UID 7 FLAGS (\Seen) INTERNALDATE "..." BODY[] {50000}", in the order in which it was asked for. */
static void copy_message(struct appends *appends, struct side *from, char *line)
{
    char head[1024], *flags = strstr(line, "FLAGS ("), *flags_end = flags ? strchr(flags, ')') : NULL;
    char *date = strstr(line, "INTERNALDATE \""), *literal = strrchr(line, '{');
    uint64_t size_bytes = literal ? strtoull(literal + 1, NULL, 10) : 0;
    int len = 0;
    if (!flags_end || !date || !literal)
        errx(1, "not understood: %.200s", line);
    if (appends->messages == 0)
        len = snprintf(head, sizeof(head), "A%u APPEND INBOX", ++appends->commands);
    /* \Recent is the server's own flag, and the last one named where it stands. */
    char *recent = strstr(flags, "\\Recent");
    if (recent && recent < flags_end)
        flags_end = recent;
    len += snprintf(head + len, sizeof(head) - (size_t)len, " (%.*s) %.28s {%" PRIu64 "+}\r\n",
                    (int)(flags_end - flags - 7), flags + 7, date + 13, size_bytes);
    say(appends->to, head, (size_t)len);
    pass_on(from, appends->to, size_bytes);
    if (++appends->messages == AT_ONCE)
        end_command(appends);
}

static void copy_all(struct side *from, struct side *to)
{
    struct appends appends = {.to = to};
    char tag[16];
    for (;;) {
        char *line = read_line(from);
        if (strstr(line, "BODY[] {"))
            copy_message(&appends, from, line);
        else if (strncmp(line, "F ", 2) == 0)
            break;
    }
    end_command(&appends);
    for (unsigned i = 1; i <= appends.commands; i++) {
        snprintf(tag, sizeof(tag), "A%u", i);
        expect_ok(to, tag);
    }
}

static void copy_mailbox(struct side *from, struct side *to, char *const *arguments, const char *mailbox)
{
    static const char ask[] = "E EXAMINE INBOX\r\nF UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])\r\n";
    reach(from, arguments[0]);
    reach(to, arguments[1]);
    send_login(from, mailbox, arguments + 2);
    send_login(to, mailbox, arguments + 2);
    expect_ok(from, "L");
    say(from, ask, sizeof(ask) - 1);
    expect_ok(to, "L");
    copy_all(from, to);
    close(from->fd);
    close(to->fd);
}

int main(int argc, char **argv)
{
    static struct side from, to;
    if (argc < 6)
        errx(2, "usage: bench-limit FROM_PORT TO_PORT TRUSTED PASSWORD MAILBOX...");
    for (int i = 5; i < argc; i++)
        copy_mailbox(&from, &to, argv + 1, argv[i]);
    return 0;
}
