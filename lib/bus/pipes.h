/*
 * Every pipe of the bus: who owns (binds) it, which pattern, what it carries. Whoever reads an inbox binds it, save
 * the job pipes, which the scanner, their ventilator, binds.
 *
 *  pipe         pattern      from -> to                 carries
 *  jobs.mirror  PUSH->PULL   scanner -> copiers         mirror, verify (wake-ups: the truth is the mirror's row)
 *  results      PUSH->PULL   copiers -> scanner         outcome, so that the next job follows at once
 *  requests     PUSH->PULL   api -> scanner             look now, verify now, pause
 *  events       PUB->SUB     all -> api                 what happens now; may be lost
 *  pulse        PUSH->PULL   all -> their supervisor    heartbeat; a silent child is killed and restarted
 */
#ifndef MIRROR_BUS_PIPES_H
#define MIRROR_BUS_PIPES_H

/* name, file in <data_dir>/run (with the binder's instance number where several may bind), socket of the binder,
 * socket of the connector, high-water mark in messages */
#define PIPES(X)                                                                                             \
    X(JOBS_MIRROR, "jobs.mirror", ZMQ_PUSH, ZMQ_PULL, 1)                                                     \
    X(RESULTS, "results", ZMQ_PULL, ZMQ_PUSH, 1000)                                                          \
    X(REQUESTS, "requests", ZMQ_PULL, ZMQ_PUSH, 1000)                                                        \
    X(EVENTS, "events", ZMQ_SUB, ZMQ_PUB, 1000)                                                              \
    X(PULSE, "pulse", ZMQ_PULL, ZMQ_PUSH, 1000)

enum pipe_id {
#define PIPE_ENUM(id, name, bind, connect, mark) PIPE_##id,
    PIPES(PIPE_ENUM)
#undef PIPE_ENUM
        PIPE_COUNT
};

#endif
