/*
 * Sockets of the bus over libzmq. Sends never block; what does not fit is dropped and counted, since every message
 * is a wake-up or a report whose truth stands in the store. Messages are single frames of at most BUS_MAX_BYTES.
 */
#ifndef MIRROR_BUS_BUS_H
#define MIRROR_BUS_BUS_H

#include "base/err.h"
#include "bus/pipes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BUS_MAX_BYTES = 16 * 1024 };

struct bus;
struct bus_socket;

/* `run_dir`: the private directory of ipc sockets. */
struct bus *bus_new(const char *run_dir, struct err *err);
void bus_free(struct bus *bus); /* closes what is open; bounded linger (200 ms) */

/* `instance`: number of the binder where several of a program run (scanner 0, 1, ...), else 0. A stale socket file
 * of a dead binder is replaced; one of a living binder is an error. Messages from a file another user owns: refused. */
struct bus_socket *bus_bind(struct bus *bus, enum pipe_id pipe, unsigned instance, struct err *err);
struct bus_socket *bus_connect(struct bus *bus, enum pipe_id pipe, unsigned instance, struct err *err);
/* Adds one more endpoint to a connected socket (a copier pulls from every scanner). */
int bus_connect_more(struct bus_socket *socket, unsigned instance, struct err *err);
void bus_socket_free(struct bus_socket *socket);

/* The endpoint of a bound socket ("ipc://..."), for jobs that say where results go; borrowed. */
const char *bus_endpoint(const struct bus_socket *socket);

/* The pipe's name, for people. */
const char *bus_pipe(const struct bus_socket *socket);

/* true if taken over by the socket, false if it did not fit (counted). */
bool bus_send(struct bus_socket *socket, const char *bytes, size_t len);

/* Length of the message put into `buffer`, 0 if none is there, -1 for one over size (dropped, counted). */
int bus_receive(struct bus_socket *socket, char *buffer, size_t size);

/* Edge-triggered descriptor (ZMQ_FD): after it became readable, call bus_receive() until it gives 0; call it also
 * once before each wait. */
int bus_fd(const struct bus_socket *socket);

uint64_t bus_dropped(const struct bus_socket *socket);

#endif
