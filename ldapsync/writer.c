/*
 * Several entries under way at once; see writer.h. Production and target answer in their own order, and each answer goes to
 * the work that asked.
 */
#include "ldapsync/writer.h"

#include "base/str.h"
#include "ldapsync/work.h"

#include <poll.h>
#include <stdlib.h>

enum { AT_ONCE = 8, BATCH = 64, WAIT_MS = 500 };

struct writer {
    struct round *round;
    enum store_kind kind;
    struct work *works[AT_ONCE]; /* NULL: free */
    struct store_entry batch[BATCH];
    int batched, next;
    uint64_t after;
    bool exhausted;
    int64_t quiet_ms; /* nothing came for so long */
};

static int refill(struct writer *writer, struct err *err)
{
    struct round *round = writer->round;
    bool all = round->dry || round->claim->wanted; /* a person who asks waits for no delay */
    writer->next = 0;
    writer->batched = store_entry_todo(round->tools->store, &round->claim->lease, writer->kind, all,
                                       writer->after, writer->batch, BATCH, err);
    writer->exhausted = writer->batched == 0;
    return writer->batched < 0 ? -1 : 0;
}

static void end_work(struct writer *writer, size_t slot)
{
    struct work *work = writer->works[slot];
    work_fini(work);
    free(work);
    writer->works[slot] = NULL;
}

static int start_one(struct writer *writer, size_t slot, struct err *err)
{
    const struct store_entry *entry = &writer->batch[writer->next++];
    writer->after = entry->entry_id;
    writer->works[slot] = mem_new(sizeof(struct work));
    int result = work_start(writer->works[slot], writer->round, entry, err);
    if (result == 0 && writer->works[slot]->state == WORK_DONE)
        end_work(writer, slot);
    return result;
}

static int fill(struct writer *writer, struct err *err)
{
    for (size_t slot = 0; slot < AT_ONCE; slot++) {
        if (writer->works[slot] || writer->exhausted)
            continue;
        if (writer->next == writer->batched && refill(writer, err) != 0)
            return -1;
        if (!writer->exhausted && start_one(writer, slot, err) != 0)
            return -1;
    }
    return 0;
}

static bool is_busy(const struct writer *writer)
{
    for (size_t slot = 0; slot < AT_ONCE; slot++)
        if (writer->works[slot])
            return true;
    return false;
}

static int deal(struct writer *writer, struct connection *connection, LDAPMessage *message, struct err *err)
{
    int id = ldap_msgid(message);
    for (size_t slot = 0; slot < AT_ONCE; slot++) {
        struct work *work = writer->works[slot];
        if (!work || !work_is_for(work, connection, id))
            continue;
        int result = work_answer(work, connection, message, err);
        if (result == 0 && work->state == WORK_DONE)
            end_work(writer, slot);
        return result;
    }
    return 0; /* an answer to what was given up */
}

/* All that has come from this side. */
static int drain(struct writer *writer, struct connection *connection, bool *moved_out, struct err *err)
{
    for (;;) {
        LDAPMessage *message = NULL;
        if (!connection_is_open(connection))
            return err_set(err, ERR_SITE, ERR_RETRY_LATER, "connection lost");
        if (connection_any(connection, 0, &message, err) != 0)
            return -1;
        if (!message)
            return 0;
        *moved_out = true;
        int result = deal(writer, connection, message, err);
        ldap_msgfree(message);
        if (result != 0)
            return -1;
    }
}

static int await(struct writer *writer, struct err *err)
{
    struct connection *sides[] = {writer->round->production, writer->round->target};
    struct pollfd fds[] = {{.fd = connection_fd(sides[0]), .events = POLLIN},
                           {.fd = connection_fd(sides[1]), .events = POLLIN}};
    if (poll(fds, 2, WAIT_MS) == 0)
        writer->quiet_ms += WAIT_MS;
    for (size_t i = 0; i < 2; i++)
        if (writer->quiet_ms > 1000 * (int64_t)connection_answer_seconds(sides[i]))
            return connection_is_silent(sides[i], err);
    return 0;
}

static int run(struct writer *writer, struct err *err)
{
    struct round *round = writer->round;
    for (;;) {
        bool moved = false;
        if (fill(writer, err) != 0)
            return -1;
        if (!is_busy(writer))
            return 0;
        if (drain(writer, round->production, &moved, err) != 0 ||
            drain(writer, round->target, &moved, err) != 0)
            return -1;
        if (!connection_tick(round->target, err))
            return -1;
        if (moved)
            writer->quiet_ms = 0;
        else if (await(writer, err) != 0)
            return -1;
    }
}

int writer_run(struct round *round, enum store_kind kind, struct err *err)
{
    struct writer *writer = mem_new(sizeof(*writer));
    writer->round = round;
    writer->kind = kind;
    int result = run(writer, err);
    for (size_t slot = 0; slot < AT_ONCE; slot++)
        if (writer->works[slot])
            end_work(writer, slot);
    free(writer);
    return result;
}
