/*
 * See the header.
 */
#include "store_gone.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_PROVEN = 2000 };

static void or_fail(int result, const struct err *err)
{
    if (result)
        fail_msg("%s", err->text);
}

static struct store_gone_work claim(struct store_fixture *fixture)
{
    struct store_gone_work work = {.fixture = fixture};
    struct err err = {0};
    or_fail(store_mirror_claim(fixture->store, &fixture->config, "host:copier:1:1:1", &work.claim, &err),
            &err);
    or_fail(store_folder_add(fixture->store, &work.claim.lease, "INBOX", "INBOX", &work.inbox, &err), &err);
    or_fail(
        store_folder_add(fixture->store, &work.claim.lease, "Greetings", "Greetings", &work.greetings, &err),
        &err);
    return work;
}

struct store_gone_work store_gone_begin(struct store_fixture *fixture, unsigned mailboxes)
{
    fixture->routes[0].deletions = (struct config_deletions){300, 30, 100, 0.5, 0.2, 0.05, 60};
    store_fixture_mailboxes(fixture, mailboxes, "dr");
    struct store_gone_work work = claim(fixture);
    store_fixture_sql(fixture, "UPDATE mirror SET left_messages = 12 WHERE mirror_id <> %llu",
                      (unsigned long long)work.claim.lease.mirror_id);
    return work;
}

struct store_gone_work store_gone_begin_next(const struct store_gone_work *work)
{
    return claim(work->fixture);
}

void store_gone_add(const struct store_gone_work *work, uint64_t folder_id, unsigned count, int gone_seconds)
{
    for (unsigned i = 0; i < count; i++)
        store_fixture_sql(
            work->fixture,
            "INSERT INTO message (folder_id, source_uid, target_uid, state, internal_date, size_bytes, "
            "flags_written, flags_refused, source_gone_at) SELECT %llu, 1 + COALESCE(MAX(source_uid), 0), "
            "1 + COALESCE(MAX(target_uid), 0), 'mirrored', UNIX_TIMESTAMP(), 100, '', '', "
            "IF(%d < 0, NULL, UTC_TIMESTAMP(6) - INTERVAL %d SECOND) FROM message WHERE folder_id = %llu",
            (unsigned long long)folder_id, gone_seconds, gone_seconds, (unsigned long long)folder_id);
}

static size_t collect_proven(const struct store_gone_work *work, int seconds, uint64_t proven[MOST_PROVEN])
{
    struct store_gone *gone;
    size_t gone_count, count = 0;
    struct err err = {0};
    or_fail(store_removal_list(work->fixture->store, work->claim.lease.mirror_id, &gone, &gone_count, &err),
            &err);
    for (size_t i = 0; i < gone_count && seconds >= 0 && count < MOST_PROVEN; i++)
        if (gone[i].removal == STORE_REMOVAL_NONE && gone[i].target_uid && gone[i].gone_seconds >= seconds)
            proven[count++] = gone[i].message_id;
    free(gone);
    return count;
}

int store_gone_try_ask(const struct store_gone_work *work, int proven_seconds,
                       struct store_removal_answer *answer_out, struct err *err)
{
    uint64_t proven[MOST_PROVEN];
    struct store_removal_request request = {.route = &work->fixture->routes[0],
                                            .greeting_folders = &work->greetings,
                                            .greeting_folder_count = 1,
                                            .proven = proven};
    request.proven_count = collect_proven(work, proven_seconds, proven);
    return store_removal_ask(work->fixture->store, &work->claim.lease, &request, answer_out, err);
}

struct store_removal_answer store_gone_ask(const struct store_gone_work *work, int proven_seconds)
{
    struct store_removal_answer answer;
    struct err err = {0};
    or_fail(store_gone_try_ask(work, proven_seconds, &answer, &err), &err);
    return answer;
}

void store_gone_assert(const struct store_gone_work *work, const char *want, const char *sql)
{
    char *text = store_fixture_text(work->fixture, "%s", sql);
    if (strcmp(text ? text : "NULL", want) != 0)
        fail_msg("%s gives %s, not %s", sql, text ? text : "NULL", want);
    free(text);
}
