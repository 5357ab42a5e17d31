/*
 * One look; see the header. Runs in the scanner, many at once on one reactor. Callbacks of the engine only note what
 * came; all decisions are made in scan_look_poll(), so that nothing is freed below the engine's feet.
 *
 *   WAITING -> LISTING -> COMPARING -> DONE
 *      ^          |           \-> FLAGS (folder by folder) -> COMPARING -> DONE
 *      \----------/ a kept session that had died: once again with a fresh one
 *   any of them -> FAILED
 *
 * New voicemail shows in the first comparison and is raised there; the flags of what seems equal are looked at after.
 */
#include "scanner/scan_look.h"

#include "access/access_folders.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "scanner/scan_compare.h"
#include "scanner/scan_digest.h"
#include "store/store_breaker.h"
#include "store/store_mirror.h"

#include <stdlib.h>
#include <string.h>

enum {
    WAIT_LIMIT_MS = 40 * 1000,
    LOOK_LIMIT_MS = 100 * 1000, /* below the look's lease in scan_site.c */
    QUOTED_BYTES = 2 * 1024 + 16,
};

#define LOOK_STATES(X) X(WAITING) X(LISTING) X(COMPARING) X(FLAGS) X(DONE) X(FAILED)

enum look_state {
#define LOOK_STATE_ENUM(id) LOOK_##id,
    LOOK_STATES(LOOK_STATE_ENUM)
#undef LOOK_STATE_ENUM
};

/* What a command that was sent has come to. */
struct answer {
    bool pending, ended;
    int result;
    struct err err;
};

struct scan_look {
    struct scan_base *base;
    const struct config_site *site;
    struct store_look row;
    enum look_state state;
    enum scan_look_end end;
    struct err error;
    int64_t started_ms;

    struct access_session *session;
    bool session_was_kept;
    bool holds_nothing; /* not yet admitted */
    bool folder_open;   /* by EXAMINE: STATUS of it would be stale (RFC 3501 section 6.3.10) */
    struct answer answer;

    struct imap_list list;
    struct scan_folder *folders; /* wanted, selectable ones of `list`, in its order */
    size_t folder_count;
    struct scan_marks *mirrors;
    size_t mirror_count, mirror_size;
    bool *raised; /* per mirror */

    bool flags_done, flags_refused;
    size_t flags_at; /* the folder whose flags are being looked at */
    bool fetching;   /* EXAMINE is through, UID FETCH on its way */
    struct scan_digest digest;
    bool changed;
};

static void enter(struct scan_look *look, enum look_state state)
{
    static const char *const names[] = {
#define LOOK_STATE_NAME(id) [LOOK_##id] = #id,
        LOOK_STATES(LOOK_STATE_NAME)
#undef LOOK_STATE_NAME
    };

    if (look->state != state)
        log_debug("look", LOG_STR("site", look->row.site), LOG_STR("mailbox", look->row.mailbox),
                  LOG_STR("from", names[look->state]), LOG_STR("to", names[state]));
    look->state = state;
}

static void end(struct scan_look *look, enum scan_look_end how)
{
    look->end = how;
    enter(look, how == SCAN_LOOK_DONE ? LOOK_DONE : LOOK_FAILED);
}

static void fail_with(struct scan_look *look, const struct err *err, enum scan_look_end how)
{
    look->error = *err;
    end(look, how);
}

static void fail_store(struct scan_look *look, const struct err *err)
{
    scan_base_store_failed(look->base, err);
    fail_with(look, err, SCAN_LOOK_NO_STORE);
}

/* ---- what the engine tells ---- */

static void answer_begin(struct answer *answer)
{
    *answer = (struct answer){.pending = true};
}

static void answer_end(struct answer *answer, int result, const struct err *err)
{
    answer->pending = false;
    answer->ended = true;
    answer->result = result;
    if (result != 0 && err != NULL)
        answer->err = *err;
}

static void on_list(void *context, int result, struct imap_list *list, const struct err *err)
{
    struct scan_look *look = context;

    if (result == 0) {
        imap_list_fini(&look->list);
        look->list = *list;
        *list = (struct imap_list){0};
    }
    answer_end(&look->answer, result, err);
}

static void on_done(void *context, int result, const char *code, const struct err *err)
{
    struct scan_look *look = context;

    (void)code;
    answer_end(&look->answer, result, err);
}

static void on_flags(void *context, const struct imap_fetch *fetch)
{
    struct scan_look *look = context;

    if (fetch->uid != 0 && fetch->has_flags)
        scan_digest_add(&look->digest, fetch->uid, &fetch->flags);
}

/* ---- WAITING ---- */

static void begin_listing(struct scan_look *look)
{
    struct err err = {0};

    answer_begin(&look->answer);
    if (imap_session_list_start(access_session_imap(look->session), true, on_list, look, &err) != 0)
        answer_end(&look->answer, -1, &err);
    enter(look, LOOK_LISTING);
}

/* A login that failed is the site's matter or this mailbox's; access has said which. */
static void fail_opening(struct scan_look *look)
{
    const struct err *err = access_session_error(look->session);

    if (err->scope == ERR_PROCESS)
        fail_store(look, err);
    else
        fail_with(look, err, err->scope == ERR_SITE ? SCAN_LOOK_SITE_FAILED : SCAN_LOOK_FAILED);
}

static void drop_session(struct scan_look *look)
{
    access_session_cut(look->session);
    access_session_free(look->session);
    look->session = NULL;
}

/* Servers close idle sessions as they please: no error. */
static void start_afresh(struct scan_look *look)
{
    look->session_was_kept = false;
    drop_session(look);
    enter(look, LOOK_WAITING);
}

static void step_waiting(struct scan_look *look)
{
    enum access_state state;

    if (look->session == NULL)
        look->session =
            access_session_start(look->base->access, look->site, look->row.mailbox, ERR_SIDE_PRODUCTION);
    state = access_session_poll(look->session);
    look->holds_nothing = state == ACCESS_WAITING;
    if (state == ACCESS_READY)
        begin_listing(look);
    else if (state == ACCESS_FAILED && look->session_was_kept)
        start_afresh(look);
    else if (state == ACCESS_FAILED)
        fail_opening(look);
    else if (state == ACCESS_WAITING && clock_boot_ms() - look->started_ms > WAIT_LIMIT_MS)
        end(look, SCAN_LOOK_NO_SESSION);
}

/* ---- LISTING ---- */

static void fail_listing(struct scan_look *look)
{
    if (look->session_was_kept) {
        start_afresh(look);
        return;
    }
    err_prefix(&look->answer.err, "look");
    fail_with(look, &look->answer.err, SCAN_LOOK_FAILED);
}

/* An empty folder need not be opened. */
static void digest_nothing(struct scan_folder *folder)
{
    struct scan_digest none = {0};

    folder->has_digest = scan_digest_end(&none, folder->digest) == 0;
}

static void collect_folders(struct scan_look *look)
{
    look->folders = mem_new((look->list.count + 1) * sizeof(*look->folders));
    look->folder_count = 0;
    for (size_t i = 0; i < look->list.count; i++) {
        const struct imap_list_entry *entry = &look->list.entries[i];

        if (entry->no_select || !access_folders_is_wanted(look->site, entry->name))
            continue;
        look->folders[look->folder_count] = (struct scan_folder){
            .name = entry->name,
            .status = entry->has_status ? &entry->status : NULL,
        };
        if (entry->has_status && entry->status.has_exists && entry->status.exists == 0)
            digest_nothing(&look->folders[look->folder_count]);
        look->folder_count++;
    }
}

static int load_mirrors(struct scan_look *look);

static bool had_messages(const struct scan_look *look)
{
    for (size_t i = 0; i < look->mirror_count; i++)
        for (size_t k = 0; k < look->mirrors[i].count; k++)
            if (look->mirrors[i].folders[k].has_exists && look->mirrors[i].folders[k].exists > 0)
                return true;
    return false;
}

/* One mailbox may be broken; many that suddenly show nothing are a sign that production was exchanged (I6). */
static void note_nothing(struct scan_look *look)
{
    struct err err = {0};
    bool tripped = false;

    if (load_mirrors(look) != 0 || !had_messages(look))
        return;
    if (store_breaker_sign(look->base->store, look->row.site, STORE_SIGN_LISTS_NOTHING, look->row.mailbox_id,
                           &tripped, &err) != 0)
        scan_base_store_failed(look->base, &err);
    else if (tripped)
        log_error(
            "breaker tripped: many mailboxes suddenly show nothing; nothing is removed or overwritten on "
            "routes from this site before a person decides (mirrorctl held list)",
            LOG_STR("site", look->row.site));
}

static void step_listing(struct scan_look *look)
{
    struct err err;

    if (!look->answer.ended)
        return;
    if (look->answer.result != 0) {
        fail_listing(look);
        return;
    }
    if (look->list.count == 0) {
        /* INBOX always exists (RFC 3501 section 5.1): an empty list is no answer (I6). */
        err_set(&err, ERR_MAILBOX, ERR_RETRY_LATER,
                "look: site %s lists no folder at all for mailbox %s, not even INBOX: nothing can be said "
                "about it",
                look->row.site, look->row.mailbox);
        err_blame(&err, ERR_SIDE_PRODUCTION);
        note_nothing(look);
        if (look->state == LOOK_LISTING)
            fail_with(look, &err, SCAN_LOOK_FAILED);
        return;
    }
    collect_folders(look);
    enter(look, LOOK_COMPARING);
}

/* ---- COMPARING ---- */

static void add_mirror(struct scan_look *look, uint64_t mirror_id)
{
    if (look->mirror_count == look->mirror_size) {
        look->mirror_size = look->mirror_size > 0 ? look->mirror_size * 2 : 4;
        look->mirrors = mem_grow(look->mirrors, look->mirror_size, sizeof(*look->mirrors));
    }
    look->mirrors[look->mirror_count++] = (struct scan_marks){.mirror_id = mirror_id};
}

static void on_marks(void *context, const struct store_marks *marks)
{
    struct scan_look *look = context;
    struct scan_marks *mirror;

    if (marks->name == NULL || look->mirror_count == 0)
        add_mirror(look, marks->mirror_id);
    if (marks->name == NULL || !access_folders_is_wanted(look->site, marks->name))
        return;
    mirror = &look->mirrors[look->mirror_count - 1];
    if (mirror->count == mirror->size) {
        mirror->size = mirror->size > 0 ? mirror->size * 2 : 8;
        mirror->folders = mem_grow(mirror->folders, mirror->size, sizeof(*mirror->folders));
    }
    mirror->folders[mirror->count] = *marks;
    mirror->folders[mirror->count++].name = str_copy(marks->name);
}

static int load_mirrors(struct scan_look *look)
{
    struct err err = {0};

    if (look->raised != NULL)
        return 0;
    if (store_look_marks(look->base->store, look->row.mailbox_id, look->row.site_id, on_marks, look, &err) !=
        0) {
        fail_store(look, &err);
        return -1;
    }
    look->raised = mem_new((look->mirror_count + 1) * sizeof(*look->raised));
    return 0;
}

static void tell(struct scan_look *look, const struct scan_verdict *verdict)
{
    char text[256];
    char *words = str_format("%s: %s", verdict->folder ? verdict->folder : "asked for",
                             scan_compare_words(verdict->differences));

    str_into(text, sizeof(text), words);
    free(words);
    log_debug("mailbox differs", LOG_STR("site", look->row.site), LOG_STR("mailbox", look->row.mailbox),
              LOG_STR("what", text));
    if (!look->changed)
        scan_base_event(look->base, look->row.mailbox, text);
}

static int raise_mirror(struct scan_look *look, size_t index, const struct scan_verdict *verdict)
{
    uint32_t priority = look->row.asked ? SCAN_PRIORITY_ASKED : scan_compare_priority(verdict->differences);
    struct err err = {0};

    if (store_mirror_want(look->base->store, look->mirrors[index].mirror_id, priority, &err) != 0) {
        fail_store(look, &err);
        return -1;
    }
    look->raised[index] = true;
    look->base->raised++;
    tell(look, verdict);
    if (verdict->differences != 0)
        look->changed = true;
    return 0;
}

/* `settled`: nothing more will be looked at, so what seems equal now is proven. */
static int judge_mirror(struct scan_look *look, size_t index, bool settled)
{
    struct scan_verdict verdict;
    struct err err = {0};

    if (look->raised[index])
        return 0;
    scan_compare_mirror(look->folders, look->folder_count, &look->mirrors[index], &verdict);
    if (verdict.differences != 0 || look->row.asked)
        return raise_mirror(look, index, &verdict);
    if (!settled || verdict.unproven)
        return 0;
    if (store_mirror_proven(look->base->store, look->mirrors[index].mirror_id, &err) != 0) {
        fail_store(look, &err);
        return -1;
    }
    return 0;
}

static struct scan_flags_rule flags_rule(const struct scan_look *look)
{
    return (struct scan_flags_rule){
        .max_messages = look->base->config->scan.flags_look_max_messages,
        .full_look = look->row.full_look_due,
    };
}

/* A mirror that is raised anyhow needs no look at flags, save when the full look is due: it must not be put off for
 * ever by a mailbox that always has something new. */
static bool wants_flags(const struct scan_look *look, const struct scan_folder *folder)
{
    const struct scan_flags_rule rule = flags_rule(look);

    for (size_t i = 0; i < look->mirror_count; i++) {
        if (look->raised[i] && !rule.full_look)
            continue;
        if (scan_compare_wants_flags(folder, scan_compare_find(&look->mirrors[i], folder->name), &rule))
            return true;
    }
    return false;
}

/* The next folder from `at` on whose flags are to be looked at; folder_count: none. */
static size_t next_flags(const struct scan_look *look, size_t at)
{
    while (at < look->folder_count && !wants_flags(look, &look->folders[at]))
        at++;
    return at;
}

static void find_unproven(struct scan_look *look)
{
    for (size_t i = 0; i < look->folder_count && look->error.scope == ERR_NONE; i++) {
        if (!scan_compare_is_whole(&look->folders[i])) {
            err_set(&look->error, ERR_FOLDER, ERR_RETRY_LATER,
                    "look: site %s lists folder %s of mailbox %s but does not tell its whole STATUS",
                    look->row.site, look->folders[i].name, look->row.mailbox);
            err_blame(&look->error, ERR_SIDE_PRODUCTION);
        }
    }
    end(look, look->error.scope == ERR_NONE ? SCAN_LOOK_DONE : SCAN_LOOK_FAILED);
}

static void send_examine(struct scan_look *look);

static void step_comparing(struct scan_look *look)
{
    bool settled;

    if (load_mirrors(look) != 0)
        return;
    if (!look->flags_done)
        look->flags_at = next_flags(look, 0);
    settled = look->flags_done || look->flags_at == look->folder_count;
    for (size_t i = 0; i < look->mirror_count; i++) {
        if (judge_mirror(look, i, settled) != 0)
            return;
    }
    if (!look->flags_done) /* again: what was raised now needs none any more */
        look->flags_at = next_flags(look, 0);
    if (look->flags_done || look->flags_at == look->folder_count) {
        find_unproven(look);
        return;
    }
    enter(look, LOOK_FLAGS);
    send_examine(look);
}

/* ---- FLAGS ---- */

static const struct imap_list_entry *entry_of(const struct scan_look *look, const struct scan_folder *folder)
{
    for (size_t i = 0; i < look->list.count; i++) {
        if (look->list.entries[i].name == folder->name)
            return &look->list.entries[i];
    }
    BUG("folder without its entry");
}

static void send_command(struct scan_look *look, const char *command)
{
    const struct imap_handlers handlers = {.context = look, .on_fetch = on_flags, .on_done = on_done};
    struct imap_session *imap = access_session_imap(look->session);
    struct err err = {0};

    answer_begin(&look->answer);
    if (imap != NULL && imap_session_send(imap, &handlers, "%s", command) != NULL)
        return;
    err_set(&err, ERR_MAILBOX, ERR_RETRY_LATER, "the connection to site %s was lost", look->row.site);
    err_blame(&err, ERR_SIDE_PRODUCTION);
    answer_end(&look->answer, -1, &err);
}

static void send_examine(struct scan_look *look)
{
    const struct imap_list_entry *entry = entry_of(look, &look->folders[look->flags_at]);
    char quoted[QUOTED_BYTES];
    char *command;
    struct err err = {0};

    look->fetching = false;
    scan_digest_fini(&look->digest);
    if (imap_session_quote(entry->wire_name, quoted, sizeof(quoted)) != 0) {
        err_set(&err, ERR_FOLDER, ERR_RETRY_LATER, "the folder's name cannot be sent");
        answer_end(&look->answer, -1, &err);
        return;
    }
    look->folder_open = true;
    command = str_format("EXAMINE %s", quoted);
    send_command(look, command);
    free(command);
}

static void flags_refused(struct scan_look *look)
{
    struct scan_folder *folder = &look->folders[look->flags_at];

    folder->failed = true;
    if (look->error.scope != ERR_NONE)
        return;
    look->error = look->answer.err;
    err_prefix(&look->error, "look: flags of %s", folder->name);
    err_blame(&look->error, ERR_SIDE_PRODUCTION);
}

static void flags_came(struct scan_look *look)
{
    struct scan_folder *folder = &look->folders[look->flags_at];
    struct imap_list_entry *entry = NULL;

    for (size_t i = 0; i < look->list.count; i++) {
        if (look->list.entries[i].name == folder->name)
            entry = &look->list.entries[i];
    }
    folder->has_digest = scan_digest_end(&look->digest, folder->digest) == 0;
    folder->failed = !folder->has_digest;
    /* A message that arrived since the LIST: new voicemail, and not just changed flags. */
    if (entry != NULL && look->digest.last_uid >= entry->status.uidnext && look->digest.last_uid < UINT32_MAX)
        entry->status.uidnext = look->digest.last_uid + 1;
}

/* UNSELECT, or where that isn't offered an EXAMINE that fails: it, too, leaves no folder open (RFC 3501 section 6.3.1).
 * CLOSE would do, but a server that took it for a folder opened by SELECT would expunge (I1). */
static void leave_folder(struct scan_look *look)
{
    static const struct imap_handlers nobody;
    struct imap_session *imap = access_session_imap(look->session);

    if (imap == NULL)
        return;
    imap_session_send(imap, &nobody, "%s",
                      imap_session_has(imap, IMAP_CAP_UNSELECT) ? "UNSELECT"
                                                                : "EXAMINE \"no folder is open now\"");
    look->folder_open = false;
}

static void next_folder(struct scan_look *look)
{
    look->flags_at = next_flags(look, look->flags_at + 1);
    if (look->flags_at < look->folder_count) {
        send_examine(look);
        return;
    }
    leave_folder(look);
    look->flags_done = true;
    enter(look, LOOK_COMPARING);
}

static void step_flags(struct scan_look *look)
{
    if (!look->answer.ended)
        return;
    if (look->answer.result != 0 && look->answer.err.scope > ERR_FOLDER) {
        err_prefix(&look->answer.err, "look: flags of %s", look->folders[look->flags_at].name);
        fail_with(look, &look->answer.err, SCAN_LOOK_FAILED);
        return;
    }
    if (look->answer.result != 0) {
        look->flags_refused = true;
        flags_refused(look);
        next_folder(look);
        return;
    }
    if (!look->fetching) {
        look->fetching = true;
        send_command(look, "UID FETCH 1:* (FLAGS)");
        return;
    }
    flags_came(look);
    next_folder(look);
}

/* ---- the whole ---- */

enum scan_look_end scan_look_poll(struct scan_look *look)
{
    struct err err = {0};

    if (look->end == SCAN_LOOK_RUNNING && look->state != LOOK_WAITING &&
        clock_boot_ms() - look->started_ms > LOOK_LIMIT_MS) {
        err_set(&err, ERR_MAILBOX, ERR_RETRY_LATER, "look: mailbox %s of site %s took longer than %d s",
                look->row.mailbox, look->row.site, LOOK_LIMIT_MS / 1000);
        err_blame(&err, ERR_SIDE_PRODUCTION);
        fail_with(look, &err, SCAN_LOOK_FAILED);
    }
    if (look->state == LOOK_WAITING)
        step_waiting(look);
    else if (look->state == LOOK_LISTING)
        step_listing(look);
    else if (look->state == LOOK_FLAGS)
        step_flags(look);
    if (look->state == LOOK_COMPARING)
        step_comparing(look);
    return look->end;
}

struct scan_look *scan_look_new(struct scan_base *base, const struct config_site *site,
                                const struct store_look *row, struct access_session **kept)
{
    struct scan_look *look = mem_new(sizeof(*look));

    look->base = base;
    look->site = site;
    look->row = *row;
    look->started_ms = clock_boot_ms();
    look->session = *kept;
    look->session_was_kept = *kept != NULL;
    look->holds_nothing = *kept == NULL;
    *kept = NULL;
    return look;
}

static void free_mirrors(struct scan_look *look)
{
    for (size_t i = 0; i < look->mirror_count; i++) {
        for (size_t k = 0; k < look->mirrors[i].count; k++)
            free((char *)(uintptr_t)look->mirrors[i].folders[k].name);
        free(look->mirrors[i].folders);
    }
    free(look->mirrors);
    free(look->raised);
}

void scan_look_free(struct scan_look *look)
{
    if (look == NULL)
        return;
    /* A command that is under way would call back into what is freed below. */
    if (look->answer.pending)
        drop_session(look);
    else
        access_session_leave(look->session);
    imap_list_fini(&look->list);
    scan_digest_fini(&look->digest);
    free(look->folders);
    free_mirrors(look);
    free(look);
}

const struct store_look *scan_look_row(const struct scan_look *look)
{
    return &look->row;
}

const struct err *scan_look_error(const struct scan_look *look)
{
    return &look->error;
}

bool scan_look_is_waiting(const struct scan_look *look)
{
    return look->state == LOOK_WAITING && look->holds_nothing;
}

bool scan_look_has_changed(const struct scan_look *look)
{
    return look->changed;
}

bool scan_look_was_full(const struct scan_look *look)
{
    return look->row.full_look_due && look->end == SCAN_LOOK_DONE && !look->flags_refused;
}

struct access_session *scan_look_take_session(struct scan_look *look)
{
    struct access_session *session = look->session;

    if (session == NULL || look->answer.pending || look->folder_open || access_session_imap(session) == NULL)
        return NULL;
    look->session = NULL;
    return session;
}
