/*
 * Several entries under way at once; see writer.h. Production and target answer in their own order, and each answer goes to
 * the work that asked.
 */
#include "ldapsync/writer.h"

#include "base/crash.h"
#include "base/str.h"
#include "ldapsync/results.h"
#include "ldapsync/work.h"

#include <poll.h>
#include <stdlib.h>

/* An entry under way is held up to six times (both sides, as wanted, as it counts, the change, libldap's own). */
enum { AT_ONCE = 32, LEAST_AT_ONCE = 2, BATCH = 64, WAIT_MS = 500, BYTES_AT_ONCE = 12 << 20, COPIES = 6 };

struct writer {
    struct round *round;
    enum store_kind kind;
    struct work *works[AT_ONCE]; /* NULL: free */
    struct store_entry batch[BATCH];
    int batched, next;
    uint64_t after;
    bool exhausted;
    size_t allowed;   /* so many at once, by the size of the last ones */
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

static void allow_by(struct writer *writer, const struct work *work)
{
    size_t bytes = entry_bytes(&work->production.entry), fit;
    fit = BYTES_AT_ONCE / COPIES / (bytes ? bytes : 1);
    fit = fit > AT_ONCE ? AT_ONCE : fit < LEAST_AT_ONCE ? LEAST_AT_ONCE : fit;
    /* Down at once, up step by step. */
    writer->allowed = fit < writer->allowed ? fit : writer->allowed + (fit > writer->allowed);
}

static int end_work(struct writer *writer, size_t slot, struct err *err)
{
    struct work *work = writer->works[slot];
    writer->works[slot] = NULL;
    allow_by(writer, work);
    return results_add(writer->round->results, work, err);
}

static int start_one(struct writer *writer, size_t slot, struct err *err)
{
    const struct store_entry *entry = &writer->batch[writer->next++];
    writer->after = entry->entry_id;
    writer->works[slot] = mem_new(sizeof(struct work));
    if (work_start(writer->works[slot], writer->round, entry, err) != 0)
        return -1;
    return writer->works[slot]->state == WORK_DONE ? end_work(writer, slot, err) : 0;
}

static int fill(struct writer *writer, struct err *err)
{
    for (size_t slot = 0; slot < writer->allowed; slot++) {
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
        return result == 0 && work->state == WORK_DONE ? end_work(writer, slot, err) : result;
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

/* Those that are to be added are noted together: when nothing else comes, or half of all wait for it. */
static int add_noted(struct writer *writer, bool *moved, struct err *err)
{
    struct round *round = writer->round;
    struct store_entry_adding adding[AT_ONCE];
    struct work *works[AT_ONCE];
    size_t count = 0;
    for (size_t slot = 0; slot < AT_ONCE; slot++) {
        struct work *work = writer->works[slot];
        if (!work || work->state != WORK_TO_ADD)
            continue;
        works[count] = work;
        adding[count++] = (struct store_entry_adding){work->entry.entry_id, work->new_dn};
    }
    if (count == 0 || (*moved && count * 2 < writer->allowed))
        return 0;
    *moved = true;
    if (CRASH_AFTER(ADDING_NOTED,
                    store_entry_adding(round->tools->store, &round->claim->lease, adding, count, err)) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (work_add(works[i], err) != 0)
            return -1;
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
            drain(writer, round->target, &moved, err) != 0 || add_noted(writer, &moved, err) != 0)
            return -1;
        if (!connection_tick(round->target, err))
            return -1;
        if (moved)
            writer->quiet_ms = 0;
        else if (await(writer, err) != 0)
            return -1;
    }
}

/* What came to an end is recorded also if the rest did not. */
static int end(struct writer *writer, int result, struct err *err)
{
    struct round *round = writer->round;
    struct err later = {0};
    for (size_t slot = 0; slot < AT_ONCE; slot++)
        work_free(writer->works[slot]);
    int recorded = results_flush(round->results, result == 0 ? err : &later);
    results_free(round->results);
    round->results = NULL;
    return result == 0 ? recorded : result;
}

int writer_run(struct round *round, enum store_kind kind, struct err *err)
{
    struct writer *writer = mem_new(sizeof(*writer));
    writer->round = round;
    writer->kind = kind;
    writer->allowed = LEAST_AT_ONCE;
    round->results = results_new(round);
    int result = end(writer, run(writer, err), err);
    free(writer);
    return result;
}
