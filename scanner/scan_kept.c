/* Runs in the scanner, one list a site; see the header. */
#include "scanner/scan_kept.h"

#include "base/clock.h"
#include "base/str.h"

#include <stdlib.h>

struct entry {
    char *mailbox;
    struct access_session *session;
    int64_t changed_ms; /* boot time of the mailbox's last change; INT64_MIN: never */
    int64_t used_ms;
};

struct scan_kept {
    struct entry *entries;
    size_t count, max;
};

struct scan_kept *scan_kept_new(uint32_t max)
{
    struct scan_kept *kept = mem_new(sizeof(*kept));

    kept->max = max;
    kept->entries = mem_new(((size_t)max + 1) * sizeof(*kept->entries));
    return kept;
}

/* Takes the entry out; the session is the caller's. */
static struct access_session *take_at(struct scan_kept *kept, size_t index)
{
    struct access_session *session = kept->entries[index].session;

    free(kept->entries[index].mailbox);
    kept->entries[index] = kept->entries[--kept->count];
    return session;
}

void scan_kept_free(struct scan_kept *kept)
{
    if (kept == NULL)
        return;
    while (kept->count > 0)
        access_session_leave(take_at(kept, kept->count - 1));
    free(kept->entries);
    free(kept);
}

struct access_session *scan_kept_take(struct scan_kept *kept, const char *mailbox)
{
    for (size_t i = 0; i < kept->count; i++) {
        if (str_equal(kept->entries[i].mailbox, mailbox))
            return take_at(kept, i);
    }
    return NULL;
}

static size_t longest_unchanged(const struct scan_kept *kept)
{
    size_t found = 0;

    for (size_t i = 1; i < kept->count; i++) {
        if (kept->entries[i].changed_ms < kept->entries[found].changed_ms)
            found = i;
    }
    return found;
}

void scan_kept_give(struct scan_kept *kept, const char *mailbox, int64_t seconds_since_change,
                    struct access_session *session)
{
    int64_t now_ms = clock_boot_ms();
    int64_t changed_ms = seconds_since_change < 0 ? INT64_MIN : now_ms - seconds_since_change * 1000;

    if (session == NULL)
        return;
    if (kept->count == kept->max) {
        size_t index = longest_unchanged(kept);

        if (kept->count == 0 || kept->entries[index].changed_ms >= changed_ms) {
            access_session_leave(session);
            return;
        }
        access_session_leave(take_at(kept, index));
    }
    kept->entries[kept->count++] = (struct entry){
        .mailbox = str_copy(mailbox), .session = session, .changed_ms = changed_ms, .used_ms = now_ms};
}

void scan_kept_tidy(struct scan_kept *kept, int64_t idle_ms)
{
    int64_t now_ms = clock_boot_ms();

    for (size_t i = kept->count; i > 0; i--) {
        struct entry *entry = &kept->entries[i - 1];

        if (access_session_poll(entry->session) != ACCESS_READY || now_ms - entry->used_ms > idle_ms)
            access_session_leave(take_at(kept, i - 1));
    }
}

size_t scan_kept_count(const struct scan_kept *kept)
{
    return kept->count;
}
