/*
 * The target as an IMAP site. Runs in the copier. Folders are known under neutral names; the list taken at the start
 * of a turn gives the server's own spelling. All reading is under EXAMINE: SELECT is sent only to change something, and
 * CLOSE never (it would expunge others' messages).
 */
#include "target/target.h"

#include "base/crash.h"
#include "base/str.h"
#include "imap/imap_messages.h"
#include "imap/imap_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct target {
    struct imap_session *session;
    int (*guard)(void *context, struct err *err);
    void *guard_context;
    struct imap_list list;
    char delimiter;
    char *open_name; /* neutral; NULL: none */
    bool open_writable;
};

struct target *target_open_imap(struct imap_session *session, int (*guard)(void *context, struct err *err),
                                void *context)
{
    struct target *target = mem_new(sizeof(*target));
    target->session = session;
    target->guard = guard;
    target->guard_context = context;
    return target;
}

void target_free(struct target *target)
{
    if (!target)
        return;
    imap_list_fini(&target->list);
    free(target->open_name);
    free(target);
}

bool target_has(const struct target *target, enum imap_capability_id id)
{
    return imap_session_has(target->session, id);
}

static int blame(struct err *err)
{
    return err_blame(err, ERR_SIDE_TARGET);
}

static int may_change(struct target *target, struct err *err)
{
    return target->guard ? target->guard(target->guard_context, err) : 0;
}

/* ---- folders ---- */

int target_list(struct target *target, struct err *err)
{
    imap_list_fini(&target->list);
    if (imap_session_list(target->session, true, &target->list, err) != 0)
        return blame(err);
    for (size_t i = 0; i < target->list.count; i++)
        if (target->list.entries[i].delimiter)
            target->delimiter = target->list.entries[i].delimiter;
    return 0;
}

const struct imap_list *target_folders(const struct target *target)
{
    return &target->list;
}

const struct imap_list_entry *target_folder_find(const struct target *target, const char *name)
{
    for (size_t i = 0; i < target->list.count; i++)
        if (!target->list.entries[i].no_select && str_equal(target->list.entries[i].name, name))
            return &target->list.entries[i];
    return NULL;
}

/* The server's spelling, or how we would spell it. The caller frees. */
static char *wire_name(const struct target *target, const char *name, struct err *err)
{
    const struct imap_list_entry *entry = target_folder_find(target, name);
    char *wire = entry ? str_copy(entry->wire_name) : imap_names_to_wire(name, target->delimiter);
    if (!wire) {
        err_set(err, ERR_FOLDER, ERR_RETRY_NEVER, "folder %s: its name is too long for the target", name);
        blame(err);
    }
    return wire;
}

int target_folder_status(struct target *target, const char *name, struct imap_folder_status *status_out,
                         struct err *err)
{
    char *wire = wire_name(target, name, err);
    int result = wire ? imap_session_status(target->session, wire, status_out, err) : -1;
    free(wire);
    return result == 0 ? 0 : blame(err);
}

int target_folder_create(struct target *target, const char *name, struct err *err)
{
    char *wire = wire_name(target, name, err);
    int result = -1;
    if (wire && may_change(target, err) == 0)
        result = CRASH_AFTER(FOLDER_CREATED, imap_session_create(target->session, wire, err));
    free(wire);
    if (result != 0)
        return blame(err);
    return target_list(target, err);
}

int target_folder_rename(struct target *target, const char *from, const char *to, struct err *err)
{
    char *from_wire = wire_name(target, from, err), *to_wire = wire_name(target, to, err);
    int result = -1;
    if (from_wire && to_wire && may_change(target, err) == 0)
        result = CRASH_AFTER(FOLDER_RENAMED, imap_session_rename(target->session, from_wire, to_wire, err));
    free(from_wire);
    free(to_wire);
    if (result != 0)
        return blame(err);
    return target_list(target, err);
}

/* Opens a folder unless it is open as wished. `status_out` non-NULL: opened afresh, for its figures. */
static int open_folder(struct target *target, const char *name, bool writable,
                       struct imap_folder_status *status_out, struct err *err)
{
    struct imap_folder_status status = {0};
    char *wire = NULL;
    int result = -1;
    if (!status_out && target->open_name && str_equal(target->open_name, name) &&
        (target->open_writable || !writable))
        return 0;
    wire = wire_name(target, name, err);
    if (!wire)
        goto out;
    free(target->open_name);
    target->open_name = NULL;
    result = writable ? imap_session_select(target->session, wire, &status, err)
                      : imap_session_examine(target->session, wire, &status, err);
    if (result != 0)
        goto out;
    target->open_name = str_copy(name);
    target->open_writable = writable;
    if (status_out)
        *status_out = status;
    else
        imap_folder_status_fini(&status);
out:
    free(wire);
    return result == 0 ? 0 : blame(err);
}

/* Not while it is open: there are servers that refuse it then. UNSELECT is an extension, and CLOSE would expunge. */
int target_folder_delete(struct target *target, const char *name, struct err *err)
{
    struct imap_folder_status status = {0};
    char *wire = wire_name(target, name, err);
    int result = wire ? 0 : -1;
    if (result == 0 && target->open_name && str_equal(target->open_name, name) && !str_equal(name, "INBOX"))
        result = open_folder(target, "INBOX", false, &status, err);
    if (result == 0)
        result = may_change(target, err);
    if (result == 0)
        result = imap_session_delete(target->session, wire, err);
    imap_folder_status_fini(&status);
    free(wire);
    if (result != 0)
        return blame(err);
    return target_list(target, err);
}

/* ---- messages ---- */

void target_messages_fini(struct target_messages *messages)
{
    for (size_t i = 0; i < messages->count; i++)
        imap_flags_fini(&messages->items[i].flags);
    free(messages->items);
    imap_folder_status_fini(&messages->status);
    *messages = (struct target_messages){0};
}

static int by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct target_message *)a)->uid, y = ((const struct target_message *)b)->uid;
    return (x > y) - (x < y);
}

const struct target_message *target_messages_find(const struct target_messages *messages, uint32_t uid)
{
    struct target_message key = {.uid = uid};
    if (messages->count == 0)
        return NULL;
    return bsearch(&key, messages->items, messages->count, sizeof(key), by_uid);
}

/* Takes over the flags. Messages that came without size, date or flags, or below first_uid ("n:*" always names the
 * last one, RFC 3501 section 6.4.8), are left out. */
static void take_messages(struct imap_messages *from, uint32_t first_uid, struct target_messages *to)
{
    to->items = mem_grow(NULL, from->count ? from->count : 1, sizeof(*to->items));
    for (size_t i = 0; i < from->count; i++) {
        struct imap_message *message = &from->items[i];
        if (message->uid < first_uid || !message->has_size || !message->has_date || !message->has_flags)
            continue;
        to->items[to->count++] = (struct target_message){.uid = message->uid,
                                                         .size_bytes = message->size_bytes,
                                                         .internal_date = message->date.unix_seconds,
                                                         .flags = message->flags};
        message->flags = (struct imap_flags){0};
    }
}

static int check_whole(const struct target *target, const char *name, const struct target_messages *messages,
                       struct err *err)
{
    uint32_t exists = imap_session_exists(target->session), before = 0;
    while (before < messages->count && messages->items[before].uid < messages->status.uidnext)
        before++;
    /* Somebody may use the backup while we list: all that was there at the opening will do, too. */
    if (messages->count == exists || (messages->status.has_uidnext && before == messages->status.exists))
        return 0;
    err_set(err, ERR_FOLDER, ERR_RETRY_LATER,
            "folder %s: listing gave %zu messages where the server counts %u", name, messages->count, exists);
    return blame(err);
}

int target_folder_look(struct target *target, const char *name, uint32_t first_uid,
                       struct target_messages *messages_out, struct err *err)
{
    struct imap_messages messages = {0};
    char set[32];
    int result = -1;
    *messages_out = (struct target_messages){0};
    if (open_folder(target, name, false, &messages_out->status, err) != 0)
        return -1;
    snprintf(set, sizeof(set), "%u:*", first_uid);
    if (messages_out->status.exists > 0 &&
        imap_messages_fetch(target->session, set, "FLAGS INTERNALDATE RFC822.SIZE", "", &messages, err) != 0)
        goto out;
    take_messages(&messages, first_uid, messages_out);
    result = first_uid == 1 ? check_whole(target, name, messages_out, err) : 0;
out:
    imap_messages_fini(&messages);
    if (result == 0)
        return 0;
    target_messages_fini(messages_out);
    return blame(err);
}

int target_folder_fix_uids(struct target *target, const char *name, struct err *err)
{
    struct imap_folder_status status = {0};
    int result = open_folder(target, name, true, &status, err);
    imap_folder_status_fini(&status);
    return result;
}

int target_folder_fetch(struct target *target, const char *name, const uint32_t *uids, size_t count,
                        struct target_messages *messages_out, struct err *err)
{
    struct imap_messages messages = {0};
    struct imap_messages_opening opening = {
        .uids = uids, .count = count, .items = "FLAGS INTERNALDATE RFC822.SIZE"};
    char *wire = wire_name(target, name, err);
    int result;
    *messages_out = (struct target_messages){0};
    if (!wire)
        return -1;
    free(target->open_name);
    target->open_name = NULL;
    opening.wire_name = wire;
    result = imap_messages_open(target->session, &opening, &messages_out->status, &messages, err);
    if (result == 0) {
        target->open_name = str_copy(name);
        target->open_writable = false;
        take_messages(&messages, 1, messages_out);
    }
    imap_messages_fini(&messages);
    free(wire);
    return result == 0 ? 0 : blame(err);
}

int target_header_digests(struct target *target, const char *name, const uint32_t *uids, size_t count,
                          uint8_t (*digests_out)[DIGEST_BYTES], bool *found_out, struct err *err)
{
    struct imap_messages messages = {0};
    int result = -1;
    if (count == 0)
        return 0;
    if (open_folder(target, name, false, NULL, err) != 0)
        return -1;
    result = imap_messages_fetch_uids(target->session, uids, count, "BODY.PEEK[HEADER]", &messages, err);
    for (size_t i = 0; i < count && result == 0; i++) {
        const struct imap_message *message = imap_messages_find(&messages, uids[i]);
        found_out[i] = message && message->has_header;
        if (found_out[i])
            memcpy(digests_out[i], message->header_sha256, DIGEST_BYTES);
    }
    imap_messages_fini(&messages);
    return result == 0 ? 0 : blame(err);
}

int target_body_copy(struct target *target, const char *name, uint32_t uid, const struct imap_body_sink *sink,
                     struct digest_pair *pair_out, bool *found_out, struct err *err)
{
    if (open_folder(target, name, false, NULL, err) != 0)
        return -1;
    if (imap_messages_body_copy(target->session, uid, sink, pair_out, found_out, err) != 0)
        return blame(err);
    return 0;
}

int target_body_digest(struct target *target, const char *name, uint32_t uid, struct digest_pair *pair_out,
                       bool *found_out, struct err *err)
{
    return target_body_copy(target, name, uid, NULL, pair_out, found_out, err);
}

/* ---- flags ---- */

struct answer {
    int result;
    struct err err;
};

static void on_done(void *context, int result, const char *code, const struct err *err)
{
    struct answer *answer = context;
    (void)code;
    if (result == 0 || answer->result != 0)
        return;
    answer->result = -1;
    answer->err = *err;
}

static int wait_for(struct target *target, struct answer *answer, struct err *err)
{
    if (imap_session_wait(target->session, err) == 0 && answer->result == 0)
        return 0;
    if (answer->result != 0 && err)
        *err = answer->err;
    return blame(err);
}

static int send_store(struct target *target, const uint32_t *uids, size_t count, const char *item,
                      const struct imap_flags *flags, struct err *err)
{
    struct answer answer = {0};
    struct imap_handlers handlers = {.context = &answer, .on_done = on_done};
    char set[IMAP_UIDS_SET_BYTES];
    char *text = imap_flags_format(flags);
    for (size_t i = 0; i < count;) {
        i += imap_uids_format(uids + i, count - i, set);
        if (!imap_session_send(target->session, &handlers, "UID STORE %s %s (%s)", set, item, text))
            break;
        CRASH_SENT(STORE_SENT, imap_session_flush(target->session));
    }
    free(text);
    return CRASH_AFTER(STORE_ANSWERED, wait_for(target, &answer, err));
}

/* What of `flags` may be sent: PERMANENTFLAGS without the flag and without \* means that it would not be kept. */
static void storable(const struct imap_folder_status *status, const struct imap_flags *flags,
                     struct imap_flags *keep)
{
    struct imap_flags refused;
    if (status->permanent_any_keyword) {
        imap_flags_copy(keep, flags);
        return;
    }
    imap_flags_init(&refused);
    imap_flags_minus(flags, &status->permanent, &refused);
    imap_flags_minus(flags, &refused, keep);
    imap_flags_fini(&refused);
}

/* 0 also for a NO, which is *refused_out. */
static int try_store(struct target *target, const uint32_t *uids, size_t count, const char *item,
                     const struct imap_flags *flags, bool *refused_out, struct err *err)
{
    struct err why = {0};
    if (imap_flags_is_empty(flags) || send_store(target, uids, count, item, flags, &why) == 0)
        return 0;
    *refused_out = why.scope <= ERR_FOLDER && imap_session_state(target->session) == IMAP_SESSION_READY;
    if (*refused_out)
        return 0;
    *err = why;
    return -1;
}

int target_store_flags(struct target *target, const char *name, const uint32_t *uids, size_t count,
                       const struct imap_flags *add, const struct imap_flags *remove, bool *refused_out,
                       struct err *err)
{
    struct imap_folder_status status = {0};
    struct imap_flags keep;
    int result = -1;
    *refused_out = false;
    imap_flags_init(&keep);
    if (open_folder(target, name, true, &status, err) != 0)
        goto out;
    if (status.read_only) {
        err_set(err, ERR_FOLDER, ERR_RETRY_LATER, "folder %s: the target lets us only read it", name);
        blame(err);
        goto out;
    }
    storable(&status, add, &keep);
    if (may_change(target, err) != 0)
        goto out;
    if (try_store(target, uids, count, "+FLAGS.SILENT", &keep, refused_out, err) != 0 ||
        (!*refused_out && try_store(target, uids, count, "-FLAGS.SILENT", remove, refused_out, err) != 0))
        goto out;
    result = 0;
out:
    imap_flags_fini(&keep);
    imap_folder_status_fini(&status);
    return result;
}

/* ---- removing ---- */

static int send_expunge(struct target *target, const uint32_t *uids, size_t count, struct err *err)
{
    struct answer answer = {0};
    struct imap_handlers handlers = {.context = &answer, .on_done = on_done};
    char set[IMAP_UIDS_SET_BYTES];
    if (!target_has(target, IMAP_CAP_UIDPLUS)) {
        imap_session_send(target->session, &handlers, "EXPUNGE");
        CRASH_SENT(EXPUNGE_SENT, imap_session_flush(target->session));
        return CRASH_AFTER(EXPUNGE_ANSWERED, wait_for(target, &answer, err));
    }
    for (size_t i = 0; i < count;) {
        i += imap_uids_format(uids + i, count - i, set);
        if (!imap_session_send(target->session, &handlers, "UID EXPUNGE %s", set))
            break;
        CRASH_SENT(EXPUNGE_SENT, imap_session_flush(target->session));
    }
    return CRASH_AFTER(EXPUNGE_ANSWERED, wait_for(target, &answer, err));
}

/* What else is marked: those to be unmarked meanwhile, and whether any is a stranger's (I5), or may be: a listing that does
 * not name every message proves nothing. */
struct others {
    struct imap_uids spared;
    bool strangers;
};

static int find_others(struct target *target, const struct target_removal *removal, struct others *others,
                       struct err *err)
{
    struct imap_messages messages = {0};
    int result = imap_messages_fetch(target->session, "1:*", "FLAGS", "", &messages, err);
    for (size_t i = 0; i < messages.count; i++) {
        const struct imap_message *message = &messages.items[i];
        if (!message->has_flags)
            others->strangers = true;
        if (!(message->flags.system & IMAP_FLAG_DELETED) ||
            imap_uids_has(removal->uids, removal->count, message->uid))
            continue;
        if (imap_uids_has(removal->spared, removal->spared_count, message->uid))
            imap_uids_add(&others->spared, message->uid);
        else
            others->strangers = true;
    }
    if (messages.count != imap_session_exists(target->session))
        others->strangers = true;
    imap_messages_fini(&messages);
    return result == 0 ? 0 : blame(err);
}

static int mark_deleted(struct target *target, const uint32_t *uids, size_t count, const char *item,
                        struct err *err)
{
    const struct imap_flags deleted = {.system = IMAP_FLAG_DELETED};
    if (count == 0)
        return 0;
    return may_change(target, err) != 0 ? -1 : send_store(target, uids, count, item, &deleted, err);
}

/* The caller's record must say before that the folder's flags are in doubt: we may die before they are set again. */
static int expunge_all_marked(struct target *target, const struct target_removal *removal, bool *removed_out,
                              struct err *err)
{
    struct others others = {0};
    int result = find_others(target, removal, &others, err);
    if (result != 0 || others.strangers)
        goto out;
    result = -1;
    if (mark_deleted(target, others.spared.items, others.spared.count, "-FLAGS.SILENT", err) != 0 ||
        may_change(target, err) != 0 || send_expunge(target, NULL, 0, err) != 0)
        goto out;
    result = mark_deleted(target, others.spared.items, others.spared.count, "+FLAGS.SILENT", err);
    *removed_out = true;
out:
    imap_uids_fini(&others.spared);
    return result;
}

/* Always afresh, since somebody may have made the folder anew since its UIDs were looked at. */
static int open_to_remove(struct target *target, const struct target_removal *removal, struct err *err)
{
    struct imap_folder_status status = {0};
    uint32_t uidvalidity;
    if (open_folder(target, removal->name, true, &status, err) != 0)
        return -1;
    uidvalidity = status.uidvalidity;
    imap_folder_status_fini(&status);
    if (uidvalidity == removal->uidvalidity)
        return 0;
    err_set(err, ERR_FOLDER, ERR_RETRY_LATER,
            "folder %s: made anew on the target while copies were to be removed: nothing is", removal->name);
    return blame(err);
}

int target_remove(struct target *target, const struct target_removal *removal, bool *removed_out,
                  struct err *err)
{
    *removed_out = false;
    if (removal->count == 0)
        return 0;
    if (open_to_remove(target, removal, err) != 0)
        return -1;
    if (mark_deleted(target, removal->uids, removal->count, "+FLAGS.SILENT", err) != 0)
        return -1;
    if (!target_has(target, IMAP_CAP_UIDPLUS))
        return expunge_all_marked(target, removal, removed_out, err);
    if (may_change(target, err) != 0 || send_expunge(target, removal->uids, removal->count, err) != 0)
        return -1;
    *removed_out = true;
    return 0;
}

/* ---- APPEND ---- */

struct imap_append *target_append_begin(struct target *target, const char *name, struct err *err)
{
    struct imap_append *append = NULL;
    char *wire = wire_name(target, name, err);
    if (wire && may_change(target, err) == 0)
        append = imap_append_begin(target->session, wire);
    if (wire && !append && imap_session_state(target->session) == IMAP_SESSION_DEAD) {
        *err = *imap_session_error(target->session);
        blame(err);
    }
    free(wire);
    return append;
}
