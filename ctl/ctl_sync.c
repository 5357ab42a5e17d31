/*
 * Asking for work, and waiting for it, on the command line. Asking costs the API, so the pauses between grow with what a
 * round took. An API that is away for a moment (a restart) does not end the waiting.
 */
#include "ctl/ctl_sync.h"

#include "base/clock.h"
#include "base/str.h"
#include "ctl/ctl.h"
#include "ctl/ctl_wait.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SINGLE_MAX = 10,
    PAUSE_MS = 300,
    LONGEST_PAUSE_MS = 5000,
    AWAY_MS = 60 * 1000,
    FIRST_LINE_MS = 1000,
    LAST_LINE_MS = 30 * 1000,
    SHOWN = 20
};

struct waiting {
    struct ctl *ctl;
    struct ctl_wait wait;
    int64_t began_ms, away_since_ms;
    int64_t line_at_ms, line_pause_ms; /* plain lines come ever more seldom */
    size_t line_open;                  /* when the last plain line was printed */
    cJSON *last;                       /* the mailboxes as last seen: {"mailboxes": […]} */
};

static double seconds_now(const struct waiting *waiting)
{
    return (double)(clock_boot_ms() - waiting->began_ms) / 1000;
}

/* ---- one round ---- */

/* The mailbox, NULL if the API is away (-> *away_out) or it is not subscribed any more. */
static cJSON *ask_quietly(struct ctl *ctl, const char *path, bool *away_out)
{
    struct err err = {0};
    cJSON *document = NULL;
    long status = 0;
    if (ctl_client_ask(ctl->client, &(struct ctl_request){.method = "GET", .path = path}, &status, &document,
                       &err) < 0 ||
        status >= 500)
        *away_out = true;
    if (status == 200)
        return document;
    cJSON_Delete(document);
    return NULL;
}

static void keep(struct waiting *waiting, cJSON *take)
{
    ctl_wait_see(&waiting->wait, take, seconds_now(waiting));
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(waiting->last, "mailboxes"), take);
}

static bool ask_singly(struct waiting *waiting)
{
    bool away = false;
    const char *before = NULL;
    for (size_t i = 0; i < waiting->wait.count && !away; i++) {
        const char *number = waiting->wait.mirrors[i].mailbox;
        if (str_equal(before, number))
            continue;
        before = number;
        char *escaped = ctl_escape(number), *path = str_format("/api/v1/mailboxes?mailbox=%s", escaped);
        cJSON *page = ask_quietly(waiting->ctl, path, &away);
        cJSON *mailbox = cJSON_DetachItemFromArray(cJSON_GetObjectItemCaseSensitive(page, "mailboxes"), 0);
        if (mailbox)
            keep(waiting, mailbox);
        cJSON_Delete(page);
        free(escaped);
        free(path);
    }
    return !away;
}

static bool ask_pages(struct waiting *waiting)
{
    bool away = false;
    char after[256] = "";
    do {
        char *escaped = ctl_escape(after);
        char *path = str_format("/api/v1/mailboxes?limit=500%s%s", *after ? "&after=" : "", escaped);
        cJSON *page = ask_quietly(waiting->ctl, path, &away), *mailbox;
        free(escaped);
        free(path);
        if (!page)
            return false;
        cJSON *list = cJSON_GetObjectItemCaseSensitive(page, "mailboxes");
        while ((mailbox = cJSON_DetachItemFromArray(list, 0)))
            keep(waiting, mailbox);
        str_into(after, sizeof after, ctl_text(page, "next"));
        cJSON_Delete(page);
    } while (*after);
    return true;
}

static size_t count_mailboxes(const struct ctl_wait *wait)
{
    size_t count = 0;
    for (size_t i = 0; i < wait->count; i++)
        count += i == 0 || !str_equal(wait->mirrors[i - 1].mailbox, wait->mirrors[i].mailbox);
    return count;
}

/* false: the API has been away for too long. */
static bool ask_round(struct waiting *waiting)
{
    cJSON_Delete(waiting->last);
    waiting->last = cJSON_CreateObject();
    cJSON_AddArrayToObject(waiting->last, "mailboxes");
    bool answered = count_mailboxes(&waiting->wait) <= SINGLE_MAX ? ask_singly(waiting) : ask_pages(waiting);
    if (answered) {
        waiting->away_since_ms = 0;
        ctl_wait_counted(&waiting->wait);
        return true;
    }
    if (waiting->away_since_ms == 0)
        waiting->away_since_ms = clock_boot_ms();
    return clock_boot_ms() - waiting->away_since_ms < AWAY_MS;
}

/* ---- showing it ---- */

static void show_line(struct waiting *waiting)
{
    char text[256];
    int64_t now = clock_boot_ms(), pause = waiting->line_pause_ms;
    if (now < waiting->line_at_ms || waiting->line_open == waiting->wait.open)
        return;
    pause = pause == 0 ? FIRST_LINE_MS : pause * 3 / 2 < LAST_LINE_MS ? pause * 3 / 2 : LAST_LINE_MS;
    waiting->line_pause_ms = pause;
    waiting->line_at_ms = now + pause;
    waiting->line_open = waiting->wait.open;
    puts(ctl_wait_figures(&waiting->wait, seconds_now(waiting), text, sizeof text));
    fflush(stdout);
}

static void show_progress(struct waiting *waiting)
{
    struct ctl *ctl = waiting->ctl;
    char text[256];
    if (ctl->json)
        return;
    if (ctl->out_is_tty) {
        printf("\r%s\033[K",
               ctl_wait_line(&waiting->wait, seconds_now(waiting), ctl->width - 1, text, sizeof text));
        fflush(stdout);
        return;
    }
    show_line(waiting);
}

static const cJSON *find_mirror(const cJSON *last, const struct ctl_wait_mirror *wanted)
{
    const cJSON *mailbox, *mirror;
    cJSON_ArrayForEach (mailbox, cJSON_GetObjectItemCaseSensitive(last, "mailboxes")) {
        if (!str_equal(ctl_text(mailbox, "number"), wanted->mailbox))
            continue;
        cJSON_ArrayForEach (mirror, cJSON_GetObjectItemCaseSensitive(mailbox, "mirrors"))
            if (str_equal(ctl_text(mirror, "route"), wanted->route))
                return mirror;
    }
    return NULL;
}

static void say_unwell(const struct waiting *waiting)
{
    size_t shown = 0;
    bool held = false;
    for (size_t i = 0; i < waiting->wait.count; i++) {
        const struct ctl_wait_mirror *one = &waiting->wait.mirrors[i];
        if (one->end == CTL_WAIT_WELL)
            continue;
        const cJSON *mirror = find_mirror(waiting->last, one);
        held |= ctl_flag(mirror, "held");
        if (shown++ >= SHOWN)
            continue;
        const cJSON *error = cJSON_GetObjectItemCaseSensitive(mirror, "error");
        ctl_say("  %s on route %s: %s%s%s", one->mailbox, one->route,
                mirror ? ctl_text(mirror, "state") : "removed", cJSON_IsObject(error) ? ": " : "",
                ctl_text(error, "text"));
    }
    if (shown > SHOWN)
        ctl_say("  … and %zu more", shown - SHOWN);
    if (shown > 0)
        ctl_say("mirrorctl why MAILBOX tells more%s",
                held ? ", mirrorctl held list what waits for a person to decide" : "");
}

static void say_end(const struct waiting *waiting)
{
    const struct ctl_wait *wait = &waiting->wait;
    double seconds = seconds_now(waiting);
    if (waiting->ctl->out_is_tty)
        printf("\r\033[K");
    ctl_say("%zu of %zu mirrors %s; %.0f messages copied in %.1f s",
            wait->count - wait->open - wait->not_well, wait->count,
            wait->verify ? "verified without a difference" : "equal", wait->copied, seconds);
    say_unwell(waiting);
}

static void print_end_json(struct waiting *waiting, const cJSON *answer)
{
    cJSON *document = cJSON_CreateObject();
    const struct ctl_wait *wait = &waiting->wait;
    cJSON_AddBoolToObject(document, "well", wait->open == 0 && wait->not_well == 0);
    cJSON_AddNumberToObject(document, "mirrors", (double)wait->count);
    cJSON_AddNumberToObject(document, "open", (double)wait->open);
    cJSON_AddNumberToObject(document, "not_well", (double)wait->not_well);
    cJSON_AddNumberToObject(document, "copied_messages", wait->copied);
    cJSON_AddNumberToObject(document, "seconds", seconds_now(waiting));
    cJSON_AddItemToObject(document, "unknown",
                          cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(answer, "unknown"), true));
    cJSON_AddItemToObject(document, "mailboxes",
                          cJSON_DetachItemFromObjectCaseSensitive(waiting->last, "mailboxes"));
    ctl_print_json(document);
    cJSON_Delete(document);
}

/* ---- waiting ---- */

static void pause_after(int64_t round_ms)
{
    int64_t pause = 5 * round_ms;
    pause = pause < PAUSE_MS ? PAUSE_MS : pause > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : pause;
    poll(NULL, 0, (int)pause);
}

static enum ctl_exit wait_loop(struct waiting *waiting, uint32_t timeout_seconds)
{
    while (waiting->wait.open > 0) {
        int64_t began = clock_boot_ms();
        if (!ask_round(waiting)) {
            ctl_complain("the API has not answered for %d s", AWAY_MS / 1000);
            return CTL_UNREACHABLE;
        }
        show_progress(waiting);
        if (waiting->wait.open == 0)
            break;
        if (timeout_seconds > 0 && seconds_now(waiting) >= timeout_seconds) {
            ctl_complain("not done within %u s", timeout_seconds);
            return CTL_NOT_WELL;
        }
        pause_after(clock_boot_ms() - began);
    }
    return waiting->wait.not_well > 0 ? CTL_NOT_WELL : CTL_WELL;
}

static enum ctl_exit wait_for(struct ctl *ctl, const struct ctl_args *args, const cJSON *answer, bool verify)
{
    struct waiting waiting = {.ctl = ctl, .began_ms = clock_boot_ms(), .last = cJSON_CreateObject()};
    ctl_wait_init(&waiting.wait, answer, verify);
    enum ctl_exit exit = wait_loop(&waiting, args->timeout_seconds);
    if (ctl->json)
        print_end_json(&waiting, answer);
    else if (exit != CTL_UNREACHABLE)
        say_end(&waiting);
    ctl_wait_fini(&waiting.wait);
    cJSON_Delete(waiting.last);
    return exit;
}

/* ---- asking ---- */

static cJSON *body_for(const struct ctl_args *args)
{
    cJSON *body = cJSON_CreateObject(), *mailboxes = cJSON_AddArrayToObject(body, "mailboxes");
    for (size_t i = 0; i < args->word_count; i++)
        cJSON_AddItemToArray(mailboxes, cJSON_CreateString(args->words[i]));
    if (ctl_args_has(args, CTL_OPT_DEEP))
        cJSON_AddTrueToObject(body, "deep");
    return body;
}

static enum ctl_exit ask(struct ctl *ctl, const struct ctl_args *args, bool verify)
{
    enum ctl_exit exit = CTL_WELL;
    const cJSON *unknown;
    cJSON *answer = ctl_post(ctl, verify ? "/api/v1/verify" : "/api/v1/sync", body_for(args), &exit);
    if (!answer)
        return exit;
    cJSON_ArrayForEach (unknown, cJSON_GetObjectItemCaseSensitive(answer, "unknown"))
        ctl_complain("mailbox %s is not subscribed", cJSON_IsString(unknown) ? unknown->valuestring : "?");
    bool some_unknown = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(answer, "unknown")) > 0;
    if (ctl_args_has(args, CTL_OPT_WAIT))
        exit = wait_for(ctl, args, answer, verify);
    else if (ctl->json)
        ctl_print_json(answer);
    else
        ctl_say("%s asked for: %.0f mailboxes, %d mirrors", verify ? "verification" : "sync",
                ctl_number(answer, "mailboxes", 0),
                cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(answer, "mirrors")));
    cJSON_Delete(answer);
    return exit == CTL_WELL && some_unknown ? CTL_NOT_WELL : exit;
}

enum ctl_exit ctl_sync_now(struct ctl *ctl, const struct ctl_args *args)
{
    return ask(ctl, args, false);
}

enum ctl_exit ctl_sync_verify(struct ctl *ctl, const struct ctl_args *args)
{
    return ask(ctl, args, true);
}

/* ---- routes ---- */

static enum ctl_exit set_route(struct ctl *ctl, const struct ctl_args *args, const char *verb)
{
    enum ctl_exit exit = CTL_WELL;
    cJSON *body = cJSON_CreateObject();
    if (ctl_args_has(args, CTL_OPT_REASON))
        cJSON_AddStringToObject(body, "reason", args->value[CTL_OPT_REASON]);
    char *escaped = ctl_escape(args->words[0]), *path = str_format("/api/v1/routes/%s/%s", escaped, verb);
    cJSON *answer = ctl_post(ctl, path, body, &exit);
    if (answer && ctl->json)
        ctl_print_json(answer);
    else if (answer)
        ctl_say("route %s is %s", ctl_text(answer, "route"),
                ctl_flag(answer, "paused") ? "paused" : "running");
    cJSON_Delete(answer);
    free(escaped);
    free(path);
    return exit;
}

enum ctl_exit ctl_sync_pause(struct ctl *ctl, const struct ctl_args *args)
{
    return set_route(ctl, args, "pause");
}

enum ctl_exit ctl_sync_resume(struct ctl *ctl, const struct ctl_args *args)
{
    return set_route(ctl, args, "resume");
}
