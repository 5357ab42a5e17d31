/*
 * Which folders a turn works on; see folders.h. Runs in the copier. The tricky part is a folder renamed on production:
 * it is the recorded one only if UIDVALIDITY is the same and every recorded message (but those gone before) is there
 * under its UID with its date and size (UIDVALIDITY alone may be a time of creation that two folders share).
 */
#include "copier/folders.h"

#include "access/access_folders.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/signs.h"
#include "copier/source.h"
#include "imap/imap_names.h"

#include <stdlib.h>
#include <string.h>

char *folders_target_name(const struct config_route *route, const char *name)
{
    const struct config_rename *best = NULL;
    size_t best_len = 0;
    for (size_t i = 0; i < route->folders_rename_count; i++) {
        const struct config_rename *rename = &route->folders_rename[i];
        size_t len = strlen(rename->from);
        bool is_prefix = strncmp(name, rename->from, len) == 0 && (name[len] == 0 || name[len] == '/');
        if (is_prefix && len > best_len) {
            best = rename;
            best_len = len;
        }
    }
    return best ? str_format("%s%s", best->to, name + best_len) : str_copy(name);
}

void folders_work_fini(struct folders_work *work)
{
    free(work->pairs);
    free(work->skipped);
    store_folder_list_free(work->folders, work->folder_count);
    *work = (struct folders_work){0};
}

static bool is_wanted(const struct turn *turn, const struct imap_list_entry *entry)
{
    return !entry->no_select && access_folders_is_wanted(turn->route->from_site, entry->name);
}

static const struct imap_list_entry *find_entry(const struct turn *turn, const char *name)
{
    for (size_t i = 0; i < turn->source_list.count; i++)
        if (!turn->source_list.entries[i].no_select && str_equal(turn->source_list.entries[i].name, name))
            return &turn->source_list.entries[i];
    return NULL;
}

static struct store_folder *find_recorded(const struct folders_work *work, const char *name)
{
    for (size_t i = 0; i < work->folder_count; i++)
        if (str_equal(work->folders[i].name, name))
            return &work->folders[i];
    return NULL;
}

static bool is_new(const struct turn *turn, const struct folders_work *work, size_t i)
{
    const struct imap_list_entry *entry = &turn->source_list.entries[i];
    return is_wanted(turn, entry) && !work->skipped[i] && !find_recorded(work, entry->name);
}

/* 0: `why` was that folder's own; without it the others go on. */
static int skip(struct turn *turn, struct folders_work *work, size_t i, const struct err *why,
                struct err *err)
{
    work->skipped[i] = true;
    return turn_bear(turn, why, err);
}

static int load(struct turn *turn, struct folders_work *work, struct err *err)
{
    store_folder_list_free(work->folders, work->folder_count);
    work->folders = NULL;
    work->folder_count = 0;
    return store_folder_list(turn->tools->store, turn->claim->lease.mirror_id, &work->folders,
                             &work->folder_count, err);
}

/* ---- renamed on production ---- */

static int has_all_messages(struct turn *turn, const struct imap_list_entry *entry,
                            const struct store_folder *folder, bool *all_out, struct err *err)
{
    struct imap_folder_status status = {0};
    struct imap_messages messages = {0};
    struct store_message *rows = NULL;
    size_t row_count = 0;
    int result = store_message_list(turn->tools->store, folder->folder_id, &rows, &row_count, err);
    *all_out = true;
    if (result == 0)
        result = imap_session_examine(turn->source, entry->wire_name, &status, err);
    if (result == 0 && status.exists > 0)
        result = imap_messages_fetch(turn->source, "1:*", "INTERNALDATE RFC822.SIZE", "", &messages, err);
    for (size_t i = 0; i < row_count && result == 0; i++) {
        const struct imap_message *message;
        if (rows[i].source_uid == 0 || rows[i].source_gone)
            continue;
        message = imap_messages_find(&messages, rows[i].source_uid);
        *all_out &= message && message->has_date && message->has_size &&
                    message->date.unix_seconds == rows[i].internal_date &&
                    message->size_bytes == rows[i].size_bytes;
    }
    imap_folder_status_fini(&status);
    imap_messages_fini(&messages);
    store_message_list_free(rows, row_count);
    return result;
}

/* The one recorded folder, not in production's list any more, that could have become `entry`. NULL: none, or several. */
static struct store_folder *find_former(const struct turn *turn, const struct folders_work *work,
                                        const struct imap_list_entry *entry)
{
    struct store_folder *former = NULL;
    if (!entry->has_status || !entry->status.has_uidvalidity)
        return NULL;
    for (size_t i = 0; i < work->folder_count; i++) {
        struct store_folder *folder = &work->folders[i];
        if (find_entry(turn, folder->name) || folder->marks.source_uidvalidity != entry->status.uidvalidity)
            continue;
        if (former)
            return NULL;
        former = folder;
    }
    return former;
}

/* A parent's RENAME takes its children along, and a turn may have died after RENAME: then it is done already. */
static int rename_on_target(struct turn *turn, const struct store_folder *folder, const char *to,
                            struct err *err)
{
    if (!target_folder_find(turn->target, folder->target_name) || str_equal(folder->target_name, to))
        return 0;
    return target_folder_rename(turn->target, folder->target_name, to, err);
}

static int follow_rename(struct turn *turn, struct store_folder *folder, const struct imap_list_entry *entry,
                         struct err *err)
{
    char *to = folders_target_name(turn->route, entry->name);
    int result = rename_on_target(turn, folder, to, err);
    if (result == 0)
        result = CRASH_AFTER(RENAME_RECORDED, store_folder_rename(turn->tools->store, &turn->claim->lease,
                                                                  folder->folder_id, entry->name, to, err));
    if (result == 0) {
        log_info("folder renamed", LOG_STR("from", folder->name), LOG_STR("to", entry->name));
        free(folder->name);
        free(folder->target_name);
        folder->name = str_copy(entry->name);
        folder->target_name = to;
        return 0;
    }
    free(to);
    return err_prefix(err, "folder %s renamed to %s", folder->name, entry->name);
}

/* Somebody's own folder has the new name on the target, beside ours under the old one: then the renamed one counts as
 * new, and what is in theirs is adopted. */
static bool is_name_taken(const struct turn *turn, const struct store_folder *former,
                          const struct imap_list_entry *entry)
{
    char *to = folders_target_name(turn->route, entry->name);
    bool taken = !str_equal(former->target_name, to) &&
                 target_folder_find(turn->target, former->target_name) &&
                 target_folder_find(turn->target, to);
    if (taken)
        log_warning("a renamed folder is mirrored as a new one: the target has one of its name already",
                    LOG_STR("from", former->name), LOG_STR("to", entry->name));
    free(to);
    return taken;
}

static int follow_rename_to(struct turn *turn, struct folders_work *work, const struct imap_list_entry *entry,
                            struct err *err)
{
    struct store_folder *former = find_former(turn, work, entry);
    bool all = false;
    if (!former || is_name_taken(turn, former, entry))
        return 0;
    if (has_all_messages(turn, entry, former, &all, err) != 0)
        return err_prefix(err, "folder %s", entry->name);
    return all ? follow_rename(turn, former, entry, err) : 0;
}

static int follow_renames(struct turn *turn, struct folders_work *work, struct err *err)
{
    for (size_t i = 0; i < turn->source_list.count && !turn->breaker_tripped; i++) {
        struct err why = {0};
        if (is_new(turn, work, i) && follow_rename_to(turn, work, &turn->source_list.entries[i], &why) != 0 &&
            skip(turn, work, i, &why, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- new and gone ---- */

static int check_target_name(const struct folders_work *work, const char *name, const char *target_name,
                             struct err *err)
{
    for (size_t i = 0; i < work->folder_count; i++)
        if (!work->folders[i].source_gone && str_equal(work->folders[i].target_name, target_name) &&
            !str_equal(work->folders[i].name, name))
            return err_set(
                err, ERR_FOLDER, ERR_RETRY_LATER,
                "folders %s and %s would both become %s on the target: change folders.rename of the route",
                work->folders[i].name, name, target_name);
    return 0;
}

static int record(struct turn *turn, const struct folders_work *work, const char *name, struct err *err)
{
    char *target_name = folders_target_name(turn->route, name);
    uint64_t id;
    int result = check_target_name(work, name, target_name, err);
    if (result == 0)
        result = CRASH_AFTER(FOLDER_RECORDED, store_folder_add(turn->tools->store, &turn->claim->lease, name,
                                                               target_name, &id, err));
    free(target_name);
    return result;
}

/* Loaded anew after each, so that two new ones are not both given one name. */
static int record_new(struct turn *turn, struct folders_work *work, struct err *err)
{
    for (size_t i = 0; i < turn->source_list.count; i++) {
        struct err why = {0};
        if (!is_new(turn, work, i))
            continue;
        if (record(turn, work, turn->source_list.entries[i].name, &why) != 0) {
            if (skip(turn, work, i, &why, err) != 0)
                return -1;
        } else if (load(turn, work, err) != 0) {
            return -1;
        }
    }
    return 0;
}

bool folders_is_passing(const struct err *why)
{
    static const char *const codes[] = {"[UNAVAILABLE]", "[INUSE]",   "[SERVERBUG]",      "[LIMIT]",
                                        "[NOPERM]",      "[EXPIRED]", "[PRIVACYREQUIRED]"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        if (strcasestr(why->text, codes[i]))
            return true;
    return false;
}

static char source_delimiter(const struct turn *turn)
{
    for (size_t i = 0; i < turn->source_list.count; i++)
        if (turn->source_list.entries[i].delimiter)
            return turn->source_list.entries[i].delimiter;
    return '/';
}

/* Not listed is not gone, since a LIST may be cut short: EXAMINE must refuse it, too (I6). 0: it did. */
static int check_refused(struct turn *turn, const struct store_folder *folder, struct err *err)
{
    struct imap_folder_status status = {0};
    struct err why = {0};
    char *wire = imap_names_to_wire(folder->name, source_delimiter(turn));
    int result;
    if (!wire)
        return err_set(err, ERR_FOLDER, ERR_RETRY_LATER, "folder %s: not listed, and its name cannot be sent",
                       folder->name);
    result = imap_session_examine(turn->source, wire, &status, &why);
    free(wire);
    imap_folder_status_fini(&status);
    if (result == 0)
        return err_set(err, ERR_FOLDER, ERR_RETRY_LATER,
                       "folder %s: production does not list it, but opens it: its list is not whole",
                       folder->name);
    if (why.scope <= ERR_FOLDER && !folders_is_passing(&why))
        return 0;
    *err = why;
    if (err->scope > ERR_FOLDER && imap_session_state(turn->source) == IMAP_SESSION_READY)
        err->scope = ERR_FOLDER; /* BAD: to this name only; the other folders go on */
    return err_prefix(err, "folder %s: not listed", folder->name);
}

static int record_gone(struct turn *turn, struct store_folder *folder, bool gone, struct err *err)
{
    if (CRASH_AFTER(FOLDER_GONE_RECORDED, store_folder_set_gone(turn->tools->store, &turn->claim->lease,
                                                                folder->folder_id, gone, err)) != 0)
        return -1;
    folder->source_gone = gone;
    folder->gone_seconds = 0;
    log_info(gone ? "folder gone from production" : "folder is on production again",
             LOG_STR("folder", folder->name));
    return 0;
}

/* One that is in the list but no longer wanted (folders.exclude) is left as it is: not gone, not worked on. */
static int note_gone(struct turn *turn, struct folders_work *work, struct err *err)
{
    for (size_t i = 0; i < work->folder_count; i++) {
        struct store_folder *folder = &work->folders[i];
        struct err why = {0};
        bool missing = find_entry(turn, folder->name) == NULL;
        bool refused = missing && check_refused(turn, folder, &why) == 0;
        if (missing && !refused && turn_bear(turn, &why, err) != 0)
            return -1;
        turn->figures.gone_folders += refused;
        turn->figures.any_gone |= refused;
        if (refused != folder->source_gone && record_gone(turn, folder, refused, err) != 0)
            return -1;
    }
    return 0;
}

/* INBOX always exists (RFC 3501 section 5.1): a list without it is none. */
static int check_list(const struct turn *turn, const struct folders_work *work, struct err *err)
{
    if (turn->source_list.count > 0 && (find_entry(turn, "INBOX") || !find_recorded(work, "INBOX")))
        return 0;
    return err_set(err, ERR_MAILBOX, ERR_RETRY_LATER,
                   turn->source_list.count > 0
                       ? "production's list of folders lacks INBOX: nothing is concluded from it"
                       : "production lists no folder at all, not even INBOX: nothing is concluded from it");
}

/* UIDVALIDITY is mostly a time, so a folder made anew may have the target's by chance; but not its UIDNEXT. */
static bool is_the_targets(const struct imap_folder_status *status, const struct store_folder_marks *marks)
{
    return status->uidvalidity == marks->target_uidvalidity && marks->has_target && status->has_uidnext &&
           status->uidnext > 1 && status->uidnext >= marks->target_uidnext;
}

/* Where the addresses of two sites were exchanged, or production's leads to the backup by some way: every folder that can
 * tell them apart is the target's now. */
static int check_sides(struct turn *turn, const struct folders_work *work, struct err *err)
{
    const char *folder = NULL;
    for (size_t i = 0; i < work->folder_count; i++) {
        const struct store_folder_marks *marks = &work->folders[i].marks;
        const struct imap_list_entry *entry = find_entry(turn, work->folders[i].name);
        if (!entry || !entry->has_status || !marks->source_uidvalidity || !marks->target_uidvalidity ||
            marks->source_uidvalidity == marks->target_uidvalidity)
            continue;
        if (!is_the_targets(&entry->status, marks))
            return 0;
        folder = work->folders[i].name;
    }
    return folder ? signs_swapped(turn, folder, err) : 0;
}

static int by_inbox_first(const void *a, const void *b)
{
    const struct folders_pair *x = a, *y = b;
    bool x_inbox = str_equal(x->entry->name, "INBOX"), y_inbox = str_equal(y->entry->name, "INBOX");
    return x_inbox != y_inbox ? (x_inbox ? -1 : 1) : strcmp(x->entry->name, y->entry->name);
}

static void pair_up(const struct turn *turn, struct folders_work *work)
{
    work->pairs = mem_grow(NULL, turn->source_list.count + 1, sizeof(*work->pairs));
    for (size_t i = 0; i < turn->source_list.count; i++) {
        const struct imap_list_entry *entry = &turn->source_list.entries[i];
        struct store_folder *folder = is_wanted(turn, entry) ? find_recorded(work, entry->name) : NULL;
        if (folder)
            work->pairs[work->count++] = (struct folders_pair){.entry = entry, .folder = folder};
    }
    qsort(work->pairs, work->count, sizeof(*work->pairs), by_inbox_first);
}

int folders_prepare(struct turn *turn, struct folders_work *work_out, struct err *err)
{
    *work_out = (struct folders_work){.skipped = mem_new(turn->source_list.count + 1)};
    if (load(turn, work_out, err) != 0 || check_list(turn, work_out, err) != 0 ||
        check_sides(turn, work_out, err) != 0 || follow_renames(turn, work_out, err) != 0 ||
        record_new(turn, work_out, err) != 0 || note_gone(turn, work_out, err) != 0) {
        folders_work_fini(work_out);
        return -1;
    }
    pair_up(turn, work_out);
    return 0;
}
