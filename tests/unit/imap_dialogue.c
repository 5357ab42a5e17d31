/*
 * The scripted server; see imap_dialogue.h.
 */
#include "imap_dialogue.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 8, LINE_BYTES = 4096, MAX_TAGS = 32, TAG_BYTES = 32 };

struct imap_dialogue {
    const char *const *script;
    int listener, fd;
    pthread_t thread;
    char tags[MAX_TAGS][TAG_BYTES];
    size_t tag_count;
    char *problem;
};

static bool fail(struct imap_dialogue *dialogue, const char *step, const char *what)
{
    dialogue->problem = str_format("at \"%s\": %s", step, what);
    return false;
}

/* ---- steps ---- */

static bool send_bytes(struct imap_dialogue *dialogue, const char *step, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(dialogue->fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return fail(dialogue, step, "the client takes nothing");
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* "$" or "$3" at `text`, which is moved behind it. */
static const char *take_tag(const struct imap_dialogue *dialogue, const char **text)
{
    size_t number = dialogue->tag_count;
    if (*++*text >= '1' && **text <= '9')
        number = (size_t)(*(*text)++ - '0');
    return number > 0 && number <= dialogue->tag_count ? dialogue->tags[number - 1] : "?";
}

/* With the tags in place of their numbers. */
static bool send_text(struct imap_dialogue *dialogue, const char *step, const char *text, const char *after)
{
    struct buf bytes;
    buf_init(&bytes, LINE_BYTES);
    while (*text) {
        size_t plain = strcspn(text, "$");
        buf_add(&bytes, text, plain);
        text += plain;
        if (*text)
            buf_add_str(&bytes, take_tag(dialogue, &text));
    }
    buf_add_str(&bytes, after);
    bool sent = send_bytes(dialogue, step, buf_data(&bytes), buf_len(&bytes));
    buf_fini(&bytes);
    return sent;
}

static bool send_many(struct imap_dialogue *dialogue, const char *step, size_t count)
{
    char *bytes = mem_new(count);
    memset(bytes, 'x', count);
    bool sent = send_bytes(dialogue, step, bytes, count);
    free(bytes);
    return sent;
}

static bool read_bytes(struct imap_dialogue *dialogue, const char *step, char *bytes, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t some = recv(dialogue->fd, bytes + got, len - got, 0);
        if (some <= 0)
            return fail(dialogue, step, some == 0 ? "the client closed" : "nothing came");
        got += (size_t)some;
    }
    return true;
}

static bool expect_bytes(struct imap_dialogue *dialogue, const char *step, const char *expected)
{
    char bytes[LINE_BYTES] = "";
    if (!read_bytes(dialogue, step, bytes, strlen(expected)))
        return false;
    return strcmp(bytes, expected) == 0 || fail(dialogue, step, bytes);
}

static bool expect_many(struct imap_dialogue *dialogue, const char *step, size_t count)
{
    char *bytes = mem_new(count);
    bool came = read_bytes(dialogue, step, bytes, count);
    free(bytes);
    return came;
}

static bool expect_line(struct imap_dialogue *dialogue, const char *step, const char *expected)
{
    char line[LINE_BYTES] = "";
    size_t len = 0;
    while (len < 2 || memcmp(line + len - 2, "\r\n", 2) != 0) {
        if (len + 1 == sizeof(line) || !read_bytes(dialogue, step, line + len, 1))
            return dialogue->problem ? false : fail(dialogue, step, "a line without end");
        len++;
    }
    line[len - 2] = 0;
    size_t tag = strcspn(line, " ");
    char *text = line[tag] ? line + tag + 1 : line + tag;
    if (strcmp(text, expected) != 0)
        return fail(dialogue, step, line);
    line[tag] = 0;
    ASSERT(dialogue->tag_count < MAX_TAGS);
    str_into(dialogue->tags[dialogue->tag_count++], TAG_BYTES, line);
    return true;
}

static bool play_step(struct imap_dialogue *dialogue, const char *step)
{
    const char *text = step + 3;
    size_t count = strtoul(text, NULL, 10);
    if (strcmp(step, "from here") == 0) {
        dialogue->tag_count = 0;
        return true;
    }
    if (strncmp(step, "S: ", 3) == 0)
        return send_text(dialogue, step, text, "\r\n");
    if (strncmp(step, "s: ", 3) == 0)
        return send_text(dialogue, step, text, "");
    if (strncmp(step, "S* ", 3) == 0)
        return send_many(dialogue, step, count);
    if (strncmp(step, "C: ", 3) == 0)
        return expect_line(dialogue, step, text);
    if (strncmp(step, "c: ", 3) == 0)
        return expect_bytes(dialogue, step, text);
    if (strncmp(step, "C* ", 3) == 0)
        return expect_many(dialogue, step, count);
    return fail(dialogue, step, "no such step");
}

/* ---- */

static void wait_for_close(struct imap_dialogue *dialogue)
{
    char bytes[LINE_BYTES] = "";
    ssize_t got = recv(dialogue->fd, bytes, sizeof(bytes) - 1, 0);
    if (got > 0)
        fail(dialogue, "(the end)", bytes);
}

static void play(struct imap_dialogue *dialogue)
{
    for (const char *const *step = dialogue->script; *step; step++) {
        if (strcmp(*step, "bye") == 0)
            return;
        if (!play_step(dialogue, *step))
            return;
    }
    wait_for_close(dialogue);
}

static void set_patience(int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    int at_once = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
}

static void *run(void *context)
{
    struct imap_dialogue *dialogue = context;
    dialogue->fd = accept4(dialogue->listener, NULL, NULL, SOCK_CLOEXEC);
    if (dialogue->fd < 0) {
        fail(dialogue, "(the beginning)", "nobody came");
        return NULL;
    }
    set_patience(dialogue->fd);
    play(dialogue);
    close(dialogue->fd);
    return NULL;
}

struct imap_dialogue *imap_dialogue_start(const char *const *script, uint16_t *port_out)
{
    struct imap_dialogue *dialogue = mem_new(sizeof(*dialogue));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    dialogue->script = script;
    dialogue->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(bind(dialogue->listener, (struct sockaddr *)&address, len) == 0);
    ASSERT(getsockname(dialogue->listener, (struct sockaddr *)&address, &len) == 0);
    *port_out = ntohs(address.sin_port);
    if (!script)
        return dialogue;
    set_patience(dialogue->listener);
    ASSERT(listen(dialogue->listener, 1) == 0);
    ASSERT(pthread_create(&dialogue->thread, NULL, run, dialogue) == 0);
    return dialogue;
}

char *imap_dialogue_end(struct imap_dialogue *dialogue)
{
    char *problem;
    if (dialogue->script)
        pthread_join(dialogue->thread, NULL);
    problem = dialogue->problem;
    close(dialogue->listener);
    free(dialogue);
    return problem;
}
