/*
 * Production's side of one folder; see source.h. Runs in the copier. The tricky part is when the short way (CONDSTORE)
 * may be taken: only from marks of a complete pass under the same UIDVALIDITY, and only if the counts add up after it.
 */
#include "copier/source.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>

/* The date never changes: another one under a known UID is another message. */
#define LOOKED_AT "FLAGS INTERNALDATE"
#define DETAILS "FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER]"

enum { NEWEST = 10 };

void source_view_fini(struct source_view *view)
{
    imap_folder_status_fini(&view->status);
    imap_messages_fini(&view->messages);
    imap_uids_fini(&view->uids);
    *view = (struct source_view){0};
}

static bool can_ask_for_changes(struct imap_session *session, const struct store_folder_marks *marks,
                                const struct imap_folder_status *status)
{
    return imap_session_has(session, IMAP_CAP_CONDSTORE) && marks->has_source && marks->has_source_modseq &&
           marks->source_highestmodseq > 0 && status->highestmodseq >= marks->source_highestmodseq &&
           status->uidvalidity == marks->source_uidvalidity && status->uidnext >= marks->source_uidnext;
}

static uint32_t count_between(const struct imap_messages *messages, uint32_t first_uid, uint32_t end_uid)
{
    uint32_t count = 0;
    for (size_t i = 0; i < messages->count; i++)
        count += messages->items[i].uid >= first_uid && messages->items[i].uid < end_uid;
    return count;
}

static uint32_t count_uids_below(const struct imap_uids *uids, uint32_t end_uid)
{
    uint32_t count = 0;
    while (count < uids->count && uids->items[count] < end_uid)
        count++;
    return count;
}

/* Messages may arrive while we list: a listing is whole if it holds all that was there when the folder was opened, or all
 * that is there now. */
static bool is_whole(const struct imap_session *session, const struct imap_folder_status *status,
                     size_t before, size_t all)
{
    return (status->has_uidnext && before == status->exists) || all == imap_session_exists(session);
}

static int check_whole(struct imap_session *session, const struct source_view *view, struct err *err)
{
    if (is_whole(session, &view->status, count_between(&view->messages, 0, view->status.uidnext),
                 view->messages.count))
        return 0;
    return err_set(err, ERR_FOLDER, ERR_RETRY_LATER,
                   "listing gave %zu messages where production counts %" PRIu32
                   ": nothing is concluded from it",
                   view->messages.count, imap_session_exists(session));
}

static int search_all(struct imap_session *session, const struct imap_folder_status *status,
                      struct imap_uids *uids, struct err *err)
{
    if (imap_messages_search_all(session, uids, err) != 0)
        return -1;
    if (is_whole(session, status, count_uids_below(uids, status->uidnext), uids->count))
        return 0;
    return err_set(err, ERR_FOLDER, ERR_RETRY_LATER,
                   "SEARCH gave %zu messages where production counts %" PRIu32
                   ": nothing is concluded from it",
                   uids->count, imap_session_exists(session));
}

static int look_whole(struct imap_session *session, struct source_view *view, struct err *err)
{
    view->whole = true;
    if (view->status.exists > 0 &&
        imap_messages_fetch(session, "1:*", LOOKED_AT, "", &view->messages, err) != 0)
        return -1;
    return check_whole(session, view, err);
}

/* The newest of those known before. A store that was restored has dealt their UIDs out again, and what it calls changed
 * since then need not hold them. */
static int look_at_newest(struct imap_session *session, const struct store_folder_marks *marks,
                          struct imap_messages *messages, struct err *err)
{
    char set[32];
    uint32_t next = marks->source_uidnext;
    if (next < 2)
        return 0;
    snprintf(set, sizeof(set), "%" PRIu32 ":%" PRIu32, next > NEWEST ? next - NEWEST : 1, next - 1);
    return imap_messages_fetch(session, set, LOOKED_AT, "", messages, err);
}

/* A message that vanished shows in no CHANGEDSINCE: only the count tells, then all UIDs are asked for. */
static int look_for_changes(struct imap_session *session, const struct store_folder_marks *marks,
                            struct source_view *view, struct err *err)
{
    char modifier[64];
    snprintf(modifier, sizeof(modifier), " (CHANGEDSINCE %" PRIu64 ")", marks->source_highestmodseq);
    if (view->status.exists > 0 &&
        (imap_messages_fetch(session, "1:*", LOOKED_AT, modifier, &view->messages, err) != 0 ||
         look_at_newest(session, marks, &view->messages, err) != 0))
        return -1;
    if (marks->source_exists + count_between(&view->messages, marks->source_uidnext, view->status.uidnext) ==
        view->status.exists)
        return 0;
    view->has_uids = true;
    return search_all(session, &view->status, &view->uids, err);
}

int source_look(struct imap_session *session, const struct imap_list_entry *entry,
                const struct store_folder_marks *marks, struct source_view *view_out, struct err *err)
{
    int result;
    *view_out = (struct source_view){0};
    if (imap_session_examine(session, entry->wire_name, &view_out->status, err) != 0)
        return -1;
    if (can_ask_for_changes(session, marks, &view_out->status))
        result = look_for_changes(session, marks, view_out, err);
    else
        result = look_whole(session, view_out, err);
    if (result != 0)
        source_view_fini(view_out);
    return result;
}

int source_list_uids(struct imap_session *session, const struct imap_list_entry *entry,
                     const struct store_folder_marks *marks, struct imap_uids *uids_out, struct err *err)
{
    struct imap_folder_status status = {0};
    int result = -1;
    if (imap_session_examine(session, entry->wire_name, &status, err) != 0)
        goto out;
    if (status.uidvalidity != marks->source_uidvalidity ||
        (marks->has_source && status.has_uidnext && status.uidnext < marks->source_uidnext))
        err_set(err, ERR_FOLDER, ERR_RETRY_LATER,
                "production made the folder anew between two looks: nothing is concluded");
    else
        result = search_all(session, &status, uids_out, err);
out:
    imap_folder_status_fini(&status);
    return result;
}

int source_look_first(struct imap_session *session, const struct imap_list_entry *entry,
                      struct source_view *view_out, struct err *err)
{
    const struct imap_messages_opening opening = {
        .wire_name = entry->wire_name, .set = "1:*", .items = DETAILS};
    *view_out = (struct source_view){.whole = true};
    if (imap_messages_open(session, &opening, &view_out->status, &view_out->messages, err) == 0 &&
        check_whole(session, view_out, err) == 0)
        return 0;
    source_view_fini(view_out);
    return -1;
}

bool source_view_has(const struct source_view *view, uint32_t uid)
{
    if (view->whole)
        return imap_messages_find(&view->messages, uid) != NULL;
    if (view->has_uids)
        return imap_uids_has(view->uids.items, view->uids.count, uid);
    return true;
}

/* What the first look told already. */
static bool take_details(const struct source_view *view, uint32_t uid, struct imap_messages *messages)
{
    const struct imap_message *told = imap_messages_find(&view->messages, uid);
    struct imap_message *message;
    if (!told || !told->has_header || !told->has_size)
        return false;
    if (messages->count == messages->size) {
        messages->size = messages->size ? messages->size * 2 : 64;
        messages->items = mem_grow(messages->items, messages->size, sizeof(*messages->items));
    }
    message = &messages->items[messages->count++];
    *message = *told;
    imap_flags_init(&message->flags);
    imap_flags_copy(&message->flags, &told->flags);
    return true;
}

int source_details(struct imap_session *session, const struct source_view *view, const uint32_t *uids,
                   size_t count, struct imap_messages *messages, struct err *err)
{
    struct imap_uids untold = {0};
    bool may_take = messages->count == 0; /* else a second try */
    int result = 0;
    for (size_t i = 0; i < count; i++)
        if (!may_take || !take_details(view, uids[i], messages))
            imap_uids_add(&untold, uids[i]);
    if (untold.count > 0)
        result = imap_messages_fetch_uids(session, untold.items, untold.count, DETAILS, messages, err);
    imap_uids_fini(&untold);
    return result;
}
