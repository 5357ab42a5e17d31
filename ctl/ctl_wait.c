/*
 * Waiting, in mirrorctl: pure.
 */
#include "ctl/ctl_wait.h"

#include "base/str.h"
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A mirror that fails without a break for so long is left to a person; what harms one mailbox only (its login is
 * refused) seldom heals by itself, a site that is down may come back. */
static const double patience_mailbox = 20, patience_site = 120;

static int by_name(const void *a, const void *b)
{
    const struct ctl_wait_mirror *one = a, *other = b;
    int order = strcmp(one->mailbox, other->mailbox);
    return order ? order : strcmp(one->route, other->route);
}

void ctl_wait_init(struct ctl_wait *wait, const cJSON *answer, bool verify)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(answer, "mirrors"), *item;
    *wait = (struct ctl_wait){.verify = verify};
    wait->mirrors = mem_new(((size_t)cJSON_GetArraySize(list) + 1) * sizeof *wait->mirrors);
    cJSON_ArrayForEach (item, list) {
        struct ctl_wait_mirror *mirror = &wait->mirrors[wait->count++];
        *mirror = (struct ctl_wait_mirror){.failing_since = -1, .copied_at_start = -1};
        str_into(mirror->mailbox, sizeof mirror->mailbox, ctl_text(item, "mailbox"));
        str_into(mirror->route, sizeof mirror->route, ctl_text(item, "route"));
        mirror->seq = ctl_number(item, verify ? "verify_wanted_seq" : "wanted_seq", 0);
    }
    wait->open = wait->count;
    qsort(wait->mirrors, wait->count, sizeof *wait->mirrors, by_name);
}

void ctl_wait_fini(struct ctl_wait *wait)
{
    free(wait->mirrors);
    *wait = (struct ctl_wait){0};
}

static bool needs_person(const char *state)
{
    return str_equal(state, "paused") || str_equal(state, "stopped") || str_equal(state, "no route");
}

static double patience(const cJSON *mirror)
{
    const char *scope = ctl_text(cJSON_GetObjectItemCaseSensitive(mirror, "error"), "scope");
    return str_equal(scope, "mailbox") || str_equal(scope, "folder") || str_equal(scope, "message")
               ? patience_mailbox
               : patience_site;
}

/* Some of what is gone from production goes from the target by itself, after its second look: not what is held, nor what
 * others' messages are in the way of. */
static bool is_deleting(const cJSON *mirror)
{
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(mirror, "messages");
    return !ctl_flag(mirror, "held") && ctl_number(messages, "gone", 0) > ctl_number(messages, "waiting", 0);
}

enum ctl_wait_end ctl_wait_judge(const cJSON *mirror, bool verify, double seq, double failing_seconds)
{
    const char *state = ctl_text(mirror, "state");
    double done = ctl_number(mirror, verify ? "verify_done_seq" : "done_seq", 0);
    if (done >= seq && verify)
        return ctl_number(mirror, "verify_differences", 1) > 0 ? CTL_WAIT_NOT_WELL : CTL_WAIT_WELL;
    /* A look that failed behind the turn that was waited for may be well again at once. */
    if (done >= seq && !is_deleting(mirror) && !str_equal(state, "failing"))
        return ctl_flag(mirror, "well") ? CTL_WAIT_WELL : CTL_WAIT_NOT_WELL;
    if (str_equal(state, "on hold"))
        return CTL_WAIT_WELL;
    if (needs_person(state) || failing_seconds >= patience(mirror))
        return CTL_WAIT_NOT_WELL;
    return CTL_WAIT_OPEN;
}

static void see_mirror(struct ctl_wait *wait, const char *mailbox, const cJSON *seen, double now)
{
    struct ctl_wait_mirror key = {0};
    str_into(key.mailbox, sizeof key.mailbox, mailbox);
    str_into(key.route, sizeof key.route, ctl_text(seen, "route"));
    struct ctl_wait_mirror *mirror =
        bsearch(&key, wait->mirrors, wait->count, sizeof *wait->mirrors, by_name);
    if (!mirror)
        return;
    mirror->seen = true;
    mirror->copied = ctl_number(seen, "copied_messages", 0);
    if (mirror->copied_at_start < 0)
        mirror->copied_at_start = mirror->copied;
    if (mirror->end != CTL_WAIT_OPEN)
        return;
    if (!str_equal(ctl_text(seen, "state"), "failing"))
        mirror->failing_since = -1;
    else if (mirror->failing_since < 0)
        mirror->failing_since = now;
    double failing = mirror->failing_since < 0 ? -1 : now - mirror->failing_since;
    mirror->end = ctl_wait_judge(seen, wait->verify, mirror->seq, failing);
}

void ctl_wait_see(struct ctl_wait *wait, const cJSON *mailbox, double now)
{
    const cJSON *mirror;
    cJSON_ArrayForEach (mirror, cJSON_GetObjectItemCaseSensitive(mailbox, "mirrors"))
        see_mirror(wait, ctl_text(mailbox, "number"), mirror, now);
}

void ctl_wait_counted(struct ctl_wait *wait)
{
    wait->open = wait->not_well = 0;
    wait->copied = 0;
    for (size_t i = 0; i < wait->count; i++) {
        struct ctl_wait_mirror *mirror = &wait->mirrors[i];
        if (!mirror->seen && mirror->end == CTL_WAIT_OPEN)
            mirror->end = CTL_WAIT_NOT_WELL;
        mirror->seen = false;
        wait->open += mirror->end == CTL_WAIT_OPEN;
        wait->not_well += mirror->end == CTL_WAIT_NOT_WELL;
        if (mirror->copied_at_start >= 0)
            wait->copied += mirror->copied - mirror->copied_at_start;
    }
}

static void draw_bar(char *bar, size_t places, size_t done, size_t total)
{
    size_t full = total > 0 ? done * places / total : places;
    for (size_t i = 0; i < places; i++)
        bar[i] = i < full ? '=' : i == full ? '>' : ' ';
    bar[places] = '\0';
}

char *ctl_wait_figures(const struct ctl_wait *wait, double seconds, char *text, size_t size)
{
    unsigned whole = seconds > 0 ? (unsigned)seconds : 0;
    snprintf(text, size, "%zu/%zu mirrors  %.0f messages  %.0f/s  %u:%02u", wait->count - wait->open,
             wait->count, wait->copied, seconds >= 1 ? wait->copied / seconds : wait->copied, whole / 60,
             whole % 60);
    return text;
}

char *ctl_wait_line(const struct ctl_wait *wait, double seconds, size_t width, char *text, size_t size)
{
    char bar[41], figures[160];
    ctl_wait_figures(wait, seconds, figures, sizeof figures);
    size_t room = width > strlen(figures) + 4 ? width - strlen(figures) - 4 : 0;
    if (room < 8) {
        snprintf(text, size, "%.*s", (int)width, figures);
        return text;
    }
    draw_bar(bar, room < 40 ? room : 40, wait->count - wait->open, wait->count);
    snprintf(text, size, "[%s]  %s", bar, figures);
    return text;
}
