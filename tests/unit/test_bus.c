/*
 * Sockets of the bus in a private directory: delivery, what is full, absent, dead, foreign, too big or too long.
 */
#include "bus/bus.h"

#include "base/clock.h"
#include "base/str.h"
#include "bus/job_inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000 };

static char directory[32];
static struct bus *bus;

static int set_up(void **state)
{
    (void)state;
    str_into(directory, sizeof(directory), "/tmp/mirror-bus-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    bus = bus_new(directory, NULL);
    return bus == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    bus_free(bus);
    char *command = str_format("rm -r %s", directory);
    int result = system(command);
    free(command);
    return result;
}

static struct bus_socket *bound(enum pipe_id pipe, unsigned instance)
{
    struct err err = {0};
    struct bus_socket *socket = bus_bind(bus, pipe, instance, &err);
    if (socket == NULL)
        fail_msg("%s", err.text);
    return socket;
}

static struct bus_socket *connected(enum pipe_id pipe, unsigned instance)
{
    struct err err = {0};
    struct bus_socket *socket = bus_connect(bus, pipe, instance, &err);
    if (socket == NULL)
        fail_msg("%s", err.text);
    return socket;
}

/* Tries until the peer is there. */
static void send_to(struct bus_socket *socket, const char *text)
{
    int64_t deadline = clock_boot_ms() + PATIENCE_MS;
    while (!bus_send(socket, text, strlen(text))) {
        assert_true(clock_boot_ms() < deadline);
        poll(NULL, 0, 5);
    }
}

/* The way that bus.h tells: receive until nothing is left, wait for the descriptor, receive again. */
static int wait_for(struct bus_socket *socket, char *text, size_t size)
{
    int64_t deadline = clock_boot_ms() + PATIENCE_MS;
    int len;
    while ((len = bus_receive(socket, text, size - 1)) == 0) {
        struct pollfd fd = {.fd = bus_fd(socket), .events = POLLIN};
        assert_true(clock_boot_ms() < deadline);
        poll(&fd, 1, clock_left_ms(deadline));
    }
    text[len > 0 ? len : 0] = 0;
    return len;
}

static void expect(struct bus_socket *socket, const char *expected)
{
    char text[128];
    wait_for(socket, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void test_delivery_both_directions(void **state)
{
    struct bus_socket *jobs = bound(PIPE_JOBS_MIRROR, 0), *results = bound(PIPE_RESULTS, 0);
    struct bus_socket *worker = connected(PIPE_JOBS_MIRROR, 0), *back = connected(PIPE_RESULTS, 0);
    char text[8], *endpoint = str_format("ipc://%s/results.0", directory);
    (void)state;
    assert_string_equal(bus_endpoint(results), endpoint);
    send_to(jobs, "job");
    expect(worker, "job");
    send_to(back, "result");
    expect(results, "result");
    assert_int_equal(bus_receive(worker, text, sizeof(text)), 0);
    free(endpoint);
    bus_socket_free(worker);
    bus_socket_free(jobs);
    bus_socket_free(NULL);
    /* What is still open is closed by bus_free(). */
}

static void test_connect_before_bind(void **state)
{
    struct bus_socket *sender = connected(PIPE_REQUESTS, 0);
    (void)state;
    assert_false(bus_send(sender, "early", 5));
    assert_int_equal(bus_dropped(sender), 1);
    struct bus_socket *inbox = bound(PIPE_REQUESTS, 0);
    send_to(sender, "late");
    expect(inbox, "late");
}

static void test_several_scanners(void **state)
{
    struct bus_socket *first = bound(PIPE_JOBS_MIRROR, 0), *second = bound(PIPE_JOBS_MIRROR, 63);
    struct bus_socket *worker = connected(PIPE_JOBS_MIRROR, 0);
    (void)state;
    assert_int_equal(bus_connect_more(worker, 63, NULL), 0);
    send_to(first, "first");
    expect(worker, "first");
    send_to(second, "second");
    expect(worker, "second");
}

static void test_events_reach_their_reader(void **state)
{
    struct bus_socket *reader = bound(PIPE_EVENTS, 0), *one = connected(PIPE_EVENTS, 0),
                      *two = connected(PIPE_EVENTS, 0);
    char text[16];
    int64_t deadline = clock_boot_ms() + PATIENCE_MS;
    bool seen_one = false, seen_two = false;
    (void)state;
    while (!seen_one || !seen_two) {
        assert_true(clock_boot_ms() < deadline);
        bus_send(one, "one", 3);
        bus_send(two, "two", 3);
        poll(NULL, 0, 5);
        int len;
        while ((len = bus_receive(reader, text, sizeof(text))) > 0) {
            seen_one |= len == 3 && memcmp(text, "one", 3) == 0;
            seen_two |= len == 3 && memcmp(text, "two", 3) == 0;
        }
    }
}

/* Nobody reads: sends go on without waiting, and are counted. */
static void test_full(void **state)
{
    struct bus_socket *jobs = bound(PIPE_JOBS_MIRROR, 0), *worker = connected(PIPE_JOBS_MIRROR, 0);
    char text[1000];
    unsigned sent = 0;
    (void)state;
    memset(text, 'x', sizeof(text));
    send_to(jobs, "one");
    uint64_t before = bus_dropped(jobs);
    int64_t begin = clock_boot_ms();
    for (int i = 0; i < 5000; i++)
        sent += bus_send(jobs, text, sizeof(text));
    assert_true(clock_boot_ms() - begin < 5000);
    assert_true(sent < 5000);
    assert_int_equal(bus_dropped(jobs) - before, 5000 - sent);
    expect(worker, "one");
}

static pid_t forked_binder(enum pipe_id pipe)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct bus *own = bus_new(directory, NULL);
        if (own == NULL || bus_bind(own, pipe, 0, NULL) == NULL || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void kill_child(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* A killed binder leaves its file; the next one takes its place, and connected peers find it by themselves. */
static void test_binder_dies(void **state)
{
    struct err err = {0};
    struct stat status;
    char *file = str_format("%s/requests.0", directory);
    pid_t child = forked_binder(PIPE_REQUESTS);
    struct bus_socket *sender = connected(PIPE_REQUESTS, 0);
    (void)state;
    send_to(sender, "to the first");
    assert_null(bus_bind(bus, PIPE_REQUESTS, 0, &err));
    assert_non_null(strstr(err.text, "another process serves it already"));
    kill_child(child);
    assert_int_equal(lstat(file, &status), 0);
    struct bus_socket *inbox = bound(PIPE_REQUESTS, 0);
    int64_t deadline = clock_boot_ms() + PATIENCE_MS;
    char text[32];
    while (bus_receive(inbox, text, sizeof(text)) == 0) {
        assert_true(clock_boot_ms() < deadline);
        bus_send(sender, "to the second", 13);
        poll(NULL, 0, 20);
    }
    assert_memory_equal(text, "to the second", 13);
    free(file);
}

static void test_dead_reader_costs_nothing(void **state)
{
    pid_t child = forked_binder(PIPE_PULSE);
    struct bus_socket *sender = connected(PIPE_PULSE, 0);
    int64_t deadline = clock_boot_ms() + PATIENCE_MS;
    (void)state;
    send_to(sender, "x");
    kill_child(child);
    while (bus_send(sender, "x", 1)) {
        assert_true(clock_boot_ms() < deadline);
        poll(NULL, 0, 5);
    }
    int64_t begin = clock_boot_ms();
    bus_socket_free(sender);
    bus_free(bus);
    assert_true(clock_boot_ms() - begin < 2000);
    bus = bus_new(directory, NULL);
    assert_non_null(bus);
}

static void test_bind_again_after_free(void **state)
{
    struct stat status;
    char *file = str_format("%s/pulse.0", directory);
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct bus_socket *inbox = bound(PIPE_PULSE, 0), *sender = connected(PIPE_PULSE, 0);
        send_to(sender, "hello");
        expect(inbox, "hello");
        bus_socket_free(inbox);
        bus_socket_free(sender);
        assert_int_equal(lstat(file, &status), -1);
    }
    free(file);
}

static void test_something_in_the_way(void **state)
{
    struct err err;
    char *file = str_format("%s/pulse.0", directory);
    (void)state;
    int fd = open(file, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_null(bus_bind(bus, PIPE_PULSE, 0, &err));
    assert_non_null(strstr(err.text, "is in the way: not a socket"));
    assert_null(bus_connect(bus, PIPE_PULSE, 0, &err));
    assert_int_equal(unlink(file), 0);
    if (geteuid() == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int foreign = socket(AF_UNIX, SOCK_STREAM, 0);
        str_into(address.sun_path, sizeof(address.sun_path), file);
        assert_int_equal(bind(foreign, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(chown(file, 65534, 65534), 0);
        assert_null(bus_bind(bus, PIPE_PULSE, 0, &err));
        assert_non_null(strstr(err.text, "belongs to another user"));
        assert_null(bus_connect(bus, PIPE_PULSE, 0, &err));
        close(foreign);
    }
    free(file);
}

static void test_directories(void **state)
{
    struct err err = {0};
    char longer[200];
    (void)state;
    assert_null(bus_new("/nowhere/at/all", &err));
    assert_string_equal(err.text, "bus: directory /nowhere/at/all: No such file or directory");
    assert_int_equal(chmod(directory, 0710), 0);
    assert_null(bus_new(directory, &err));
    assert_non_null(strstr(err.text, "others may enter it: chmod 700"));
    assert_int_equal(chmod(directory, 0700), 0);
    assert_null(bus_new("/proc/self/status", &err));
    assert_non_null(strstr(err.text, "is no directory"));
    memset(longer, 'x', sizeof(longer));
    memcpy(longer, "/tmp/", 5);
    longer[100] = 0;
    assert_null(bus_new(longer, &err));
    assert_non_null(
        strstr(err.text, "is 10 bytes too long for socket files (at most 107): choose a shorter data_dir"));
    longer[90] = 0;
    assert_null(bus_new(longer, &err));
    assert_non_null(strstr(err.text, "No such file or directory"));
    if (geteuid() == 0) {
        assert_int_equal(chown(directory, 65534, 65534), 0);
        assert_null(bus_new(directory, &err));
        assert_non_null(strstr(err.text, "belongs to another user"));
    }
}

/* What a peer sends that is not us: several frames, nothing, too much for the buffer, too much for the bus, far too much. */
static void test_hostile_messages(void **state)
{
    static char big[4 * BUS_MAX_BYTES + 1], room[2 * BUS_MAX_BYTES];
    struct bus_socket *inbox = bound(PIPE_REQUESTS, 0);
    void *context = zmq_ctx_new(), *peer = zmq_socket(context, ZMQ_PUSH);
    char text[64];
    int none = 0;
    (void)state;
    zmq_setsockopt(peer, ZMQ_LINGER, &none, sizeof(none));
    assert_int_equal(zmq_connect(peer, bus_endpoint(inbox)), 0);
    assert_int_equal(zmq_send(peer, "one", 3, ZMQ_SNDMORE), 3);
    assert_int_equal(zmq_send(peer, "two", 3, ZMQ_SNDMORE), 3);
    assert_int_equal(zmq_send(peer, "three", 5, 0), 5);
    assert_int_equal(wait_for(inbox, text, sizeof(text)), -1);
    assert_int_equal(zmq_send(peer, "", 0, 0), 0);
    assert_int_equal(wait_for(inbox, text, sizeof(text)), -1);
    assert_int_equal(zmq_send(peer, big, 65, 0), 65);
    assert_int_equal(wait_for(inbox, text, sizeof(text)), -1);
    assert_int_equal(zmq_send(peer, big, BUS_MAX_BYTES + 1, 0), BUS_MAX_BYTES + 1);
    assert_int_equal(wait_for(inbox, room, sizeof(room)), -1);
    assert_int_equal(bus_dropped(inbox), 4);
    assert_int_equal(zmq_send(peer, "fine", 4, 0), 4);
    expect(inbox, "fine");
    /* libzmq cuts such a peer off; it comes back, and what it says then counts. */
    assert_int_equal(zmq_send(peer, big, sizeof(big), 0), (int)sizeof(big));
    int64_t deadline = clock_boot_ms() + PATIENCE_MS;
    while (bus_receive(inbox, text, sizeof(text)) == 0) {
        assert_true(clock_boot_ms() < deadline);
        zmq_send(peer, "again", 5, ZMQ_DONTWAIT);
        poll(NULL, 0, 20);
    }
    assert_memory_equal(text, "again", 5);
    zmq_close(peer);
    zmq_ctx_term(context);
}

/* What belongs there is handed out, all else is dropped and counted, whatever it is. */
static void test_inbox(void **state)
{
    static const char *const bad[] = {"{",
                                      "\xff\xfe",
                                      "[[[[[[[[[[[[[[[[[[[[",
                                      "{\"type\":\"look\"}",
                                      "{\"type\":\"look\",\"version\":2,\"mailbox\":\"1\"}",
                                      "{\"type\":\"look\",\"version\":1,\"mailbox\":\"../etc\"}",
                                      "{\"type\":\"wake\",\"version\":1}"};
    const unsigned count = sizeof(bad) / sizeof(*bad), types = JOB_INBOX_TYPE(JOB_LOOK);
    struct job_inbox inbox = {.socket = bound(PIPE_REQUESTS, 0)};
    struct bus_socket *sender = connected(PIPE_REQUESTS, 0);
    struct job job;
    (void)state;
    assert_int_equal(job_inbox_take(&inbox, types, &job), JOB_INBOX_EMPTY);
    for (unsigned i = 0; i < count; i++)
        send_to(sender, bad[i]);
    send_to(sender, "{\"type\":\"look\",\"version\":1,\"mailbox\":\"1001\"}");
    int64_t deadline = clock_boot_ms() + PATIENCE_MS;
    while (job_inbox_take(&inbox, types, &job) != JOB_INBOX_JOB)
        assert_true(clock_boot_ms() < deadline);
    assert_string_equal(job.mailbox, "1001");
    assert_int_equal(inbox.bad, count);
    assert_int_equal(inbox.bad_said, 1);
}

static void test_garbage_on_the_socket(void **state)
{
    struct bus_socket *inbox = bound(PIPE_REQUESTS, 0), *sender = connected(PIPE_REQUESTS, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *file = str_format("%s/requests.0", directory);
    (void)state;
    str_into(address.sun_path, sizeof(address.sun_path), file);
    int raw = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(raw, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_true(send(raw, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL) > 0);
    send_to(sender, "still here");
    expect(inbox, "still here");
    close(raw);
    free(file);
}

static void test_own_limits(void **state)
{
    static char big[BUS_MAX_BYTES + 1], got[BUS_MAX_BYTES + 1];
    struct bus_socket *inbox = bound(PIPE_REQUESTS, 0), *sender = connected(PIPE_REQUESTS, 0);
    (void)state;
    memset(big, 'y', sizeof(big));
    send_to(sender, "first");
    expect(inbox, "first");
    uint64_t before = bus_dropped(sender);
    assert_false(bus_send(sender, big, sizeof(big)));
    assert_false(bus_send(sender, big, 0));
    assert_int_equal(bus_dropped(sender) - before, 2);
    assert_true(bus_send(sender, big, BUS_MAX_BYTES));
    assert_int_equal(wait_for(inbox, got, sizeof(got)), BUS_MAX_BYTES);
    assert_memory_equal(got, big, BUS_MAX_BYTES);
}

int main(void)
{
#define BUS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        BUS_TEST(test_delivery_both_directions),
        BUS_TEST(test_connect_before_bind),
        BUS_TEST(test_several_scanners),
        BUS_TEST(test_events_reach_their_reader),
        BUS_TEST(test_full),
        BUS_TEST(test_binder_dies),
        BUS_TEST(test_dead_reader_costs_nothing),
        BUS_TEST(test_bind_again_after_free),
        BUS_TEST(test_something_in_the_way),
        BUS_TEST(test_directories),
        BUS_TEST(test_hostile_messages),
        BUS_TEST(test_inbox),
        BUS_TEST(test_garbage_on_the_socket),
        BUS_TEST(test_own_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
