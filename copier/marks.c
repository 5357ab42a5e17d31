/*
 * Flags and keywords; see marks.h. Runs in the copier. The tricky part is a crash between STORE and its record: what is
 * about to be set is recorded as written before, and what was cleared is taken off the record after, so that the record
 * never holds less than what we may have set.
 */
#include "copier/marks.h"

#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* into = into or from */
static void unite(struct imap_flags *into, const struct imap_flags *from)
{
    into->system |= from->system;
    for (size_t i = 0; i < from->keyword_count; i++)
        imap_flags_add(into, from->keywords[i], strlen(from->keywords[i]));
}

static void replace(struct imap_flags *flags, struct imap_flags *with)
{
    imap_flags_fini(flags);
    *flags = *with;
    imap_flags_init(with);
}

/* What others cleared is not there any more; what happens to be there as wished needs no writing. */
static void see_actual(struct imap_flags *written, const struct imap_flags *actual,
                       const struct imap_flags *wanted)
{
    struct imap_flags ours, as_wished;
    imap_flags_init(&ours);
    imap_flags_init(&as_wished);
    imap_flags_common(written, actual, &ours);
    imap_flags_common(actual, wanted, &as_wished);
    unite(&ours, &as_wished);
    ours.system = actual->system;
    replace(written, &ours);
    imap_flags_fini(&as_wished);
}

void marks_decide(const struct imap_flags *wanted, const char *flags_written, const char *flags_refused,
                  const struct imap_flags *actual, struct marks_plan *plan_out)
{
    struct imap_flags refused, missing, surplus;
    imap_flags_init(&refused);
    imap_flags_init(&missing);
    imap_flags_init(&surplus);
    imap_flags_init(&plan_out->written);
    imap_flags_init(&plan_out->add);
    imap_flags_init(&plan_out->remove);
    imap_flags_parse(flags_written, &plan_out->written);
    imap_flags_parse(flags_refused, &refused);
    if (actual)
        see_actual(&plan_out->written, actual, wanted);
    imap_flags_minus(wanted, &plan_out->written, &missing);
    imap_flags_minus(&missing, &refused, &plan_out->add);
    imap_flags_minus(&plan_out->written, wanted, &surplus);
    imap_flags_minus(&surplus, &refused, &plan_out->remove);
    imap_flags_fini(&refused);
    imap_flags_fini(&missing);
    imap_flags_fini(&surplus);
}

void marks_plan_fini(struct marks_plan *plan)
{
    imap_flags_fini(&plan->written);
    imap_flags_fini(&plan->add);
    imap_flags_fini(&plan->remove);
}

/* One message that needs a STORE; those with the same `change` go in one. */
struct job {
    size_t row;
    uint32_t target_uid;
    char *change; /* "<add>|<remove>" */
    struct imap_flags add, remove;
    char *after;  /* flags_written once done */
    bool refused; /* in part */
};

struct jobs {
    struct job *items;
    size_t count, size;
    struct pass_rows changed; /* rows whose record changes before any STORE */
};

static void jobs_fini(struct jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        free(jobs->items[i].change);
        free(jobs->items[i].after);
        imap_flags_fini(&jobs->items[i].add);
        imap_flags_fini(&jobs->items[i].remove);
    }
    free(jobs->items);
    pass_rows_fini(&jobs->changed);
}

static void add_job(struct jobs *jobs, const struct pass *pass, size_t row, struct marks_plan *plan)
{
    struct job *job;
    struct imap_flags after;
    char *add = imap_flags_format(&plan->add), *remove = imap_flags_format(&plan->remove);
    if (jobs->count == jobs->size) {
        jobs->size = jobs->size ? jobs->size * 2 : 64;
        jobs->items = mem_grow(jobs->items, jobs->size, sizeof(*jobs->items));
    }
    job = &jobs->items[jobs->count++];
    *job = (struct job){.row = row, .target_uid = pass->rows[row].target_uid};
    job->change = str_format("%s|%s", add, remove);
    imap_flags_init(&after);
    imap_flags_minus(&plan->written, &plan->remove, &after);
    unite(&after, &plan->add);
    job->after = imap_flags_format(&after);
    imap_flags_fini(&after);
    replace(&job->add, &plan->add);
    replace(&job->remove, &plan->remove);
    free(add);
    free(remove);
}

/* Refused flags stay on the record only while they are wanted and not there, or there and not wanted. */
static bool shorten_refused(struct store_message *row, const struct imap_flags *wanted,
                            const struct imap_flags *actual)
{
    struct imap_flags refused, written, wrong, still;
    char *text;
    bool changed;
    imap_flags_init(&refused);
    imap_flags_init(&written);
    imap_flags_parse(row->flags_refused, &refused);
    imap_flags_parse(row->flags_written, &written);
    pass_flags_differ(wanted, actual ? actual : &written, &wrong);
    imap_flags_common(&refused, &wrong, &still);
    text = imap_flags_format(&still);
    changed = !str_equal(text, row->flags_refused);
    free(row->flags_refused);
    row->flags_refused = text;
    imap_flags_fini(&refused);
    imap_flags_fini(&written);
    imap_flags_fini(&wrong);
    imap_flags_fini(&still);
    return changed;
}

static void set_written(struct store_message *row, char *text)
{
    free(row->flags_written);
    row->flags_written = text;
}

/* Before the STORE the record says: what we wrote and what we are about to write. */
static void plan_row(struct jobs *jobs, struct pass *pass, size_t i, const struct imap_flags *actual)
{
    struct store_message *row = &pass->rows[i];
    struct imap_flags wanted;
    struct marks_plan plan;
    bool changed;
    char *before;
    pass_row_flags(pass, row, &wanted);
    changed = shorten_refused(row, &wanted, actual);
    marks_decide(&wanted, row->flags_written, row->flags_refused, actual, &plan);
    if (!imap_flags_is_empty(&plan.add) || !imap_flags_is_empty(&plan.remove)) {
        struct imap_flags record;
        imap_flags_init(&record);
        imap_flags_copy(&record, &plan.written);
        unite(&record, &plan.add);
        before = imap_flags_format(&record);
        imap_flags_fini(&record);
        add_job(jobs, pass, i, &plan);
    } else {
        before = imap_flags_format(&plan.written);
    }
    changed |= !str_equal(before, row->flags_written);
    set_written(row, before);
    if (changed)
        pass_rows_add(&jobs->changed, i);
    marks_plan_fini(&plan);
    imap_flags_fini(&wanted);
}

static void plan_rows(struct jobs *jobs, struct pass *pass)
{
    for (size_t i = 0; i < pass->row_count; i++) {
        const struct store_message *row = &pass->rows[i];
        const struct target_message *on_target = NULL;
        if (row->state != STORE_MESSAGE_MIRRORED || row->source_uid == 0 || row->target_uid == 0)
            continue;
        if (pass->target_listed)
            on_target = target_messages_find(&pass->target, row->target_uid);
        if (on_target || pass_row_is_told(pass, row))
            plan_row(jobs, pass, i, on_target ? &on_target->flags : NULL);
    }
}

static int by_change_then_uid(const void *a, const void *b)
{
    const struct job *x = a, *y = b;
    int order = strcmp(x->change, y->change);
    return order ? order : (x->target_uid > y->target_uid) - (x->target_uid < y->target_uid);
}

/* Text of flags, changed by a set of them. */
static void change_text(char **text, const struct imap_flags *add, const struct imap_flags *remove)
{
    struct imap_flags flags, rest;
    imap_flags_init(&flags);
    imap_flags_init(&rest);
    imap_flags_parse(*text, &flags);
    unite(&flags, add);
    imap_flags_minus(&flags, remove, &rest);
    free(*text);
    *text = imap_flags_format(&rest);
    imap_flags_fini(&flags);
    imap_flags_fini(&rest);
}

/* It stays as it was. */
static void note_refusal(struct pass *pass, struct job *jobs, size_t count, const struct imap_flags *flag,
                         bool adding)
{
    const struct imap_flags none = {0};
    for (size_t i = 0; i < count; i++) {
        change_text(&jobs[i].after, adding ? &none : flag, adding ? flag : &none);
        change_text(&pass->rows[jobs[i].row].flags_refused, flag, &none);
        jobs[i].refused = true;
    }
}

static int store(struct pass *pass, const uint32_t *uids, size_t count, const struct imap_flags *add,
                 const struct imap_flags *remove, bool *refused_out, struct err *err)
{
    imap_folder_status_fini(&pass->read_back);
    return target_store_flags(pass->turn->target, pass->folder->target_name, uids, count, add, remove,
                              refused_out, err);
}

static int store_one(struct pass *pass, struct job *jobs, const uint32_t *uids, size_t count,
                     const struct imap_flags *flag, bool adding, struct err *err)
{
    const struct imap_flags none = {0};
    bool refused;
    if (store(pass, uids, count, adding ? flag : &none, adding ? &none : flag, &refused, err) != 0)
        return -1;
    if (refused)
        note_refusal(pass, jobs, count, flag, adding);
    return 0;
}

/* The server said NO to all of them together: which one does it not change? That one is not written again and again. */
static int store_singly(struct pass *pass, struct job *jobs, const uint32_t *uids, size_t count, bool adding,
                        struct err *err)
{
    const struct imap_flags *flags = adding ? &jobs[0].add : &jobs[0].remove;
    for (unsigned bit = IMAP_FLAG_SEEN; bit <= IMAP_FLAG_DRAFT; bit <<= 1) {
        struct imap_flags flag = {.system = flags->system & bit};
        if (flag.system != 0 && store_one(pass, jobs, uids, count, &flag, adding, err) != 0)
            return -1;
    }
    for (size_t i = 0; i < flags->keyword_count; i++) {
        struct imap_flags flag = {.keywords = &flags->keywords[i], .keyword_count = 1};
        if (store_one(pass, jobs, uids, count, &flag, adding, err) != 0)
            return -1;
    }
    return 0;
}

static int store_group(struct pass *pass, struct job *jobs, size_t count, struct err *err)
{
    uint32_t *uids = mem_grow(NULL, count, sizeof(*uids));
    bool refused = false;
    int result;
    for (size_t i = 0; i < count; i++)
        uids[i] = jobs[i].target_uid;
    result = store(pass, uids, count, &jobs[0].add, &jobs[0].remove, &refused, err);
    if (result == 0 && refused)
        result = store_singly(pass, jobs, uids, count, true, err) != 0
                     ? -1
                     : store_singly(pass, jobs, uids, count, false, err);
    free(uids);
    return result;
}

static int store_all(struct pass *pass, struct jobs *jobs, struct err *err)
{
    if (jobs->count > 0)
        qsort(jobs->items, jobs->count, sizeof(*jobs->items), by_change_then_uid);
    for (size_t first = 0, next; first < jobs->count; first = next) {
        for (next = first + 1; next < jobs->count; next++)
            if (strcmp(jobs->items[next].change, jobs->items[first].change) != 0)
                break;
        if (store_group(pass, &jobs->items[first], next - first, err) != 0)
            return -1;
    }
    return 0;
}

static int commit_rows(struct pass *pass, const struct pass_rows *rows, struct err *err)
{
    struct pass_commit commit = {.rows = rows->items, .row_count = rows->count};
    return pass_commit(pass, &commit, err);
}

static int commit_done(struct pass *pass, struct jobs *jobs, struct err *err)
{
    struct pass_rows rows = {0};
    int result;
    for (size_t i = 0; i < jobs->count; i++) {
        struct store_message *row = &pass->rows[jobs->items[i].row];
        imap_uids_add(&pass->touched, row->target_uid);
        if (str_equal(row->flags_written, jobs->items[i].after) && !jobs->items[i].refused)
            continue;
        set_written(row, jobs->items[i].after);
        jobs->items[i].after = NULL;
        pass_rows_add(&rows, jobs->items[i].row);
    }
    result = commit_rows(pass, &rows, err);
    pass_rows_fini(&rows);
    return result;
}

int marks_sync(struct pass *pass, struct err *err)
{
    struct jobs jobs = {0};
    int result;
    plan_rows(&jobs, pass);
    result = commit_rows(pass, &jobs.changed, err);
    if (result == 0)
        result = store_all(pass, &jobs, err);
    if (result == 0)
        result = commit_done(pass, &jobs, err);
    if (result == 0 && jobs.count > 0)
        log_info("flags set", LOG_UINT("messages", jobs.count));
    jobs_fini(&jobs);
    return result == 0 ? 0 : err_prefix(err, "set flags");
}

/* ---- reading back ---- */

static bool note_refused(struct store_message *row, const struct imap_flags *actual)
{
    struct imap_flags written, missing, kept, refused, wrong;
    bool any;
    imap_flags_init(&written);
    imap_flags_init(&missing);
    imap_flags_init(&kept);
    imap_flags_init(&wrong);
    imap_flags_init(&refused);
    imap_flags_parse(row->flags_written, &written);
    imap_flags_parse(row->flags_refused, &refused);
    imap_flags_minus(&written, actual, &missing);
    any = !imap_flags_is_empty(&missing);
    if (any) {
        imap_flags_minus(&written, &missing, &kept);
        /* One that it would not clear, and that is gone all the same, is right now. */
        pass_flags_differ(&refused, &missing, &wrong);
        set_written(row, imap_flags_format(&kept));
        free(row->flags_refused);
        row->flags_refused = imap_flags_format(&wrong);
        log_warning("the target does not keep a flag", LOG_STR("flags", row->flags_refused),
                    LOG_UINT("source_uid", row->source_uid));
    }
    imap_flags_fini(&written);
    imap_flags_fini(&missing);
    imap_flags_fini(&kept);
    imap_flags_fini(&refused);
    imap_flags_fini(&wrong);
    return any;
}

/* What the target made of it, once: its size, and the date that it keeps. */
static bool note_stored(struct store_message *row, const struct target_message *stored)
{
    if (row->has_target_size && row->target_size == stored->size_bytes)
        return false;
    row->has_target_size = true;
    row->target_size = stored->size_bytes;
    row->altered = stored->size_bytes != row->size_bytes || stored->internal_date != row->internal_date;
    return true;
}

/* APPEND need not keep what STORE would: only what is there counts as written. */
static bool note_appended(struct store_message *row, const struct imap_flags *actual)
{
    struct imap_flags written, wanted;
    char *text;
    bool changed;
    imap_flags_init(&written);
    imap_flags_init(&wanted);
    imap_flags_parse(row->flags_written, &written);
    imap_flags_copy(&wanted, &written);
    see_actual(&written, actual, &wanted);
    text = imap_flags_format(&written);
    changed = !str_equal(text, row->flags_written);
    set_written(row, text);
    imap_flags_fini(&written);
    imap_flags_fini(&wanted);
    return changed;
}

/* What an earlier turn appended and did not come to read back. */
static void add_unread(struct pass *pass)
{
    for (size_t i = 0; i < pass->row_count; i++)
        if (pass->rows[i].state == STORE_MESSAGE_MIRRORED && pass->rows[i].target_uid != 0 &&
            !pass->rows[i].has_target_size)
            imap_uids_add(&pass->touched, pass->rows[i].target_uid);
}

/* Two kinds of rows: those of which something is other than we wrote it, and those that are just as they should be. */
struct read_rows {
    struct pass_rows changed, as_sent;
};

static void take_read(struct pass *pass, struct store_message *row, const struct target_message *message,
                      bool appended, struct read_rows *rows)
{
    bool altered = row->altered, first = !row->has_target_size;
    bool stored = note_stored(row, message);
    bool flags = appended ? note_appended(row, &message->flags) : note_refused(row, &message->flags);
    if (stored && !flags && first && row->altered == altered && row->target_size == row->size_bytes)
        pass_rows_add(&rows->as_sent, (size_t)(row - pass->rows));
    else if (stored || flags)
        pass_rows_add(&rows->changed, (size_t)(row - pass->rows));
}

static int record_read_back(struct pass *pass, const struct target_messages *messages, bool appended,
                            struct err *err)
{
    struct pass_index index;
    struct read_rows rows = {0};
    struct pass_commit as_sent = {.as_sent = true};
    int result;
    pass_index_rows(pass, STORE_TARGET, &index);
    for (size_t i = 0; i < messages->count; i++) {
        struct store_message *row = pass_index_find(pass, &index, messages->items[i].uid);
        if (row)
            take_read(pass, row, &messages->items[i], appended, &rows);
    }
    as_sent.rows = rows.as_sent.items;
    as_sent.row_count = rows.as_sent.count;
    result = pass_commit(pass, &as_sent, err);
    if (result == 0)
        result = commit_rows(pass, &rows.changed, err);
    pass_rows_fini(&rows.changed);
    pass_rows_fini(&rows.as_sent);
    pass_index_fini(&index);
    return result;
}

static int read_back(struct pass *pass, bool appended, struct err *err)
{
    struct target_messages messages = {0};
    int result;
    if (pass->touched.count == 0)
        return 0;
    imap_uids_sort(&pass->touched);
    result = target_folder_fetch(pass->turn->target, pass->folder->target_name, pass->touched.items,
                                 pass->touched.count, &messages, err);
    if (result == 0)
        result = record_read_back(pass, &messages, appended, err);
    imap_folder_status_fini(&pass->read_back);
    pass->read_back = messages.status;
    messages.status = (struct imap_folder_status){0};
    target_messages_fini(&messages);
    pass->touched.count = 0;
    return result == 0 ? 0 : err_prefix(err, "read back");
}

int marks_see_appended(struct pass *pass, struct err *err)
{
    add_unread(pass);
    return read_back(pass, true, err);
}

int marks_read_back(struct pass *pass, struct err *err)
{
    return read_back(pass, false, err);
}
