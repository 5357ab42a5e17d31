/*
 * One look, step by step, with production, the door to it and the store played by this file. Their functions are defined
 * here, so that the linker takes none of the real ones.
 */
#include "base/log.h"
#include "base/str.h"
#include "scanner/scan_compare.h"
#include "scanner/scan_look.h"
#include "store/store_breaker.h"
#include "store/store_mirror.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- what is played ---- */

struct access_session {
    bool kept;
};

static struct {
    /* script */
    enum access_state door;
    struct err door_error;
    bool kept_dies;
    struct imap_list_entry entries[4];
    size_t entry_count;
    int list_result;
    bool has_unselect, examine_refused, connection_dies;
    unsigned flags; /* of the one message that a FETCH shows */
    uint32_t fetch_uid;
    struct store_marks marks[8];
    size_t marks_count;
    bool store_away;
    /* what came of it */
    size_t opened, left, freed, cut;
    char sent[512];
    struct {
        uint64_t mirror_id;
        uint32_t priority;
    } wanted[4];
    size_t wanted_count, proven_count;
    /* under way */
    void (*on_list)(void *, int, struct imap_list *, const struct err *);
    struct imap_handlers handlers;
    void *context;
    bool command_open, command_is_fetch;
    size_t signs;
} play;

struct access_session *access_session_start(struct access *access, const struct config_site *site,
                                            const char *mailbox, enum err_side side)
{
    (void)access;
    (void)site;
    (void)mailbox;
    (void)side;
    play.opened++;
    return mem_new(sizeof(struct access_session));
}

enum access_state access_session_poll(struct access_session *session)
{
    return session->kept ? ACCESS_READY : play.door;
}

const struct err *access_session_error(const struct access_session *session)
{
    (void)session;
    return &play.door_error;
}

struct imap_session *access_session_imap(struct access_session *session)
{
    return (struct imap_session *)session;
}

static void end_open_commands(void)
{
    static const struct err gone = {.scope = ERR_MAILBOX, .text = "connection lost"};
    void (*on_list)(void *, int, struct imap_list *, const struct err *) = play.on_list;

    play.on_list = NULL;
    if (on_list != NULL)
        on_list(play.context, -1, NULL, &gone);
    if (play.command_open)
        play.handlers.on_done(play.handlers.context, -1, "", &gone);
    play.command_open = false;
}

void access_session_cut(struct access_session *session)
{
    (void)session;
    play.cut++;
    end_open_commands();
}

void access_session_free(struct access_session *session)
{
    play.freed += session != NULL;
    free(session);
}

void access_session_leave(struct access_session *session)
{
    play.left += session != NULL;
    free(session);
}

int imap_session_list_start(struct imap_session *session, bool with_status,
                            void (*on_done)(void *context, int result, struct imap_list *list,
                                            const struct err *err),
                            void *context, struct err *err)
{
    (void)session;
    (void)err;
    assert_true(with_status);
    play.on_list = on_done;
    play.context = context;
    return 0;
}

static struct imap_command *begin_command(const struct imap_handlers *handlers, const char *text)
{
    size_t used = strlen(play.sent);

    snprintf(play.sent + used, sizeof(play.sent) - used, "%s;", text);
    if (handlers->on_done != NULL) {
        play.handlers = *handlers;
        play.command_open = true;
        play.command_is_fetch = strncmp(text, "UID FETCH", 9) == 0;
    }
    return (struct imap_command *)&play;
}

struct imap_command *imap_session_send(struct imap_session *session, const struct imap_handlers *handlers,
                                       const char *format, ...)
{
    char text[256];
    va_list args;

    (void)session;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return begin_command(handlers, text);
}

int imap_session_quote(const char *value, char *text, size_t size)
{
    snprintf(text, size, "\"%s\"", value);
    return 0;
}

bool imap_session_has(const struct imap_session *session, enum imap_capability_id id)
{
    (void)session;
    return id == IMAP_CAP_UNSELECT && play.has_unselect;
}

void imap_list_fini(struct imap_list *list)
{
    free(list->entries);
    *list = (struct imap_list){0};
}

int store_look_marks(struct store *store, uint64_t mailbox_id, uint32_t site_id,
                     void (*on_marks)(void *context, const struct store_marks *marks), void *context,
                     struct err *err)
{
    (void)store;
    (void)mailbox_id;
    (void)site_id;
    if (play.store_away)
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "store: away");
    for (size_t i = 0; i < play.marks_count; i++)
        on_marks(context, &play.marks[i]);
    return 0;
}

int store_mirror_want(struct store *store, uint64_t mirror_id, uint32_t priority, struct err *err)
{
    (void)store;
    (void)err;
    play.wanted[play.wanted_count].mirror_id = mirror_id;
    play.wanted[play.wanted_count++].priority = priority;
    return 0;
}

int store_breaker_sign(struct store *store, const char *site, enum store_sign sign, uint64_t mailbox_id,
                       bool *tripped_out, struct err *err)
{
    (void)store;
    (void)site;
    (void)mailbox_id;
    (void)err;
    assert_int_equal(sign, STORE_SIGN_LISTS_NOTHING);
    play.signs++;
    *tripped_out = false;
    return 0;
}

int store_mirror_proven(struct store *store, uint64_t mirror_id, struct err *err)
{
    (void)store;
    (void)mirror_id;
    (void)err;
    play.proven_count++;
    return 0;
}

void daemon_event(struct daemon *daemon, const char *mailbox, const char *route, const char *text)
{
    (void)daemon;
    (void)mailbox;
    (void)route;
    (void)text;
}

/* Production answers what is open. */
static void answer(void)
{
    static const struct err no = {.scope = ERR_FOLDER, .text = "NO not allowed"};

    if (play.connection_dies) {
        end_open_commands();
    } else if (play.on_list != NULL) {
        struct imap_list list = {.entries = mem_new(sizeof(play.entries)), .count = play.entry_count};
        void (*on_list)(void *, int, struct imap_list *, const struct err *) = play.on_list;

        memcpy(list.entries, play.entries, sizeof(play.entries));
        play.on_list = NULL;
        on_list(play.context, play.list_result, play.list_result == 0 ? &list : NULL, &no);
        if (list.entries != NULL)
            free(list.entries);
    } else if (play.command_open) {
        struct imap_fetch fetch = {.uid = play.fetch_uid, .has_flags = true, .flags.system = play.flags};

        play.command_open = false;
        if (play.command_is_fetch)
            play.handlers.on_fetch(play.handlers.context, &fetch);
        play.handlers.on_done(play.handlers.context, play.examine_refused ? -1 : 0, "", &no);
    }
}

/* ---- the tests ---- */

static struct config config = {.scan.flags_look_max_messages = 500};
static const struct config_site site = {.name = "production"};
static struct scan_base base;
static struct store_look row;

static int set_up(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR, false);
    memset(&play, 0, sizeof(play));
    base = (struct scan_base){.config = &config};
    row = (struct store_look){.mailbox_id = 1, .site_id = 1, .mailbox = "4711", .site = "production"};
    play.door = ACCESS_READY;
    play.has_unselect = true;
    play.fetch_uid = 1;
    return 0;
}

static void show(const char *name, uint32_t exists, uint32_t uidnext, uint64_t modseq)
{
    play.entries[play.entry_count++] = (struct imap_list_entry){.name = (char *)(uintptr_t)name,
                                                                .wire_name = (char *)(uintptr_t)name,
                                                                .has_status = true,
                                                                .status = {.exists = exists,
                                                                           .uidnext = uidnext,
                                                                           .uidvalidity = 7,
                                                                           .has_exists = true,
                                                                           .has_uidnext = true,
                                                                           .has_uidvalidity = true,
                                                                           .highestmodseq = modseq}};
}

static struct store_marks *mark(uint64_t mirror_id, const char *name, uint32_t exists, uint32_t uidnext,
                                uint64_t modseq)
{
    play.marks[play.marks_count] = (struct store_marks){.mirror_id = mirror_id,
                                                        .name = name,
                                                        .has_uidvalidity = name != NULL,
                                                        .has_uidnext = name != NULL,
                                                        .has_exists = name != NULL,
                                                        .has_highestmodseq = modseq != 0,
                                                        .uidvalidity = 7,
                                                        .uidnext = uidnext,
                                                        .exists = exists,
                                                        .highestmodseq = modseq};
    return &play.marks[play.marks_count++];
}

/* A digest as the copier stores it: of one message. */
static void mark_digest(struct store_marks *marks, uint32_t uid, unsigned flags)
{
    struct imap_flags_digest *digest = imap_flags_digest_new();
    const struct imap_flags one = {.system = flags};

    imap_flags_digest_add(digest, uid, &one);
    imap_flags_digest_end(digest, marks->flags_digest);
    imap_flags_digest_free(digest);
    marks->has_flags_digest = true;
}

static enum scan_look_end run(struct access_session *kept, struct scan_look **look_out)
{
    struct scan_look *look = scan_look_new(&base, &site, &row, &kept);
    enum scan_look_end end = scan_look_poll(look);

    for (int i = 0; i < 100 && end == SCAN_LOOK_RUNNING; i++) {
        answer();
        end = scan_look_poll(look);
    }
    if (look_out != NULL)
        *look_out = look;
    else
        scan_look_free(look);
    return end;
}

static void test_unchanged_is_proven(void **state)
{
    (void)state;
    show("INBOX", 1, 2, 30);
    mark(1, NULL, 0, 0, 0);
    mark(1, "INBOX", 1, 2, 30);
    mark(2, NULL, 0, 0, 0);
    mark(2, "INBOX", 1, 2, 30);
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_DONE);
    assert_int_equal(play.wanted_count, 0);
    assert_int_equal(play.proven_count, 2);
    assert_string_equal(play.sent, "");
    assert_int_equal(play.left, 1);
}

static void test_new_message_is_raised_at_once(void **state)
{
    struct scan_look *look;

    (void)state;
    show("INBOX", 2, 3, 31);
    mark(1, NULL, 0, 0, 0);
    mark(1, "INBOX", 1, 2, 30);
    mark(2, NULL, 0, 0, 0);
    mark(2, "INBOX", 2, 3, 31);
    assert_int_equal(run(NULL, &look), SCAN_LOOK_DONE);
    assert_true(scan_look_has_changed(look));
    assert_int_equal(play.wanted_count, 1);
    assert_int_equal(play.wanted[0].mirror_id, 1);
    assert_int_equal(play.wanted[0].priority, SCAN_PRIORITY_NEW);
    assert_int_equal(play.proven_count, 1);
    scan_look_free(look);
}

static void look_at_flags(unsigned now, size_t wanted, size_t proven)
{
    show("INBOX", 1, 2, 0);
    mark(1, NULL, 0, 0, 0);
    mark_digest(mark(1, "INBOX", 1, 2, 0), 1, IMAP_FLAG_SEEN);
    play.flags = now;
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_DONE);
    assert_int_equal(play.wanted_count, wanted);
    assert_int_equal(play.proven_count, proven);
}

static void test_same_flags_without_condstore(void **state)
{
    (void)state;
    look_at_flags(IMAP_FLAG_SEEN, 0, 1);
    assert_string_equal(play.sent, "EXAMINE \"INBOX\";UID FETCH 1:* (FLAGS);UNSELECT;");
}

static void test_changed_flags_without_condstore(void **state)
{
    (void)state;
    look_at_flags(IMAP_FLAG_SEEN | IMAP_FLAG_DELETED, 1, 0);
    assert_int_equal(play.wanted[0].priority, SCAN_PRIORITY_ORDINARY);
}

static void test_message_that_came_between_list_and_flags(void **state)
{
    (void)state;
    play.fetch_uid = 2;
    look_at_flags(IMAP_FLAG_SEEN, 1, 0);
    assert_int_equal(play.wanted[0].priority, SCAN_PRIORITY_NEW);
}

static void test_no_folder_stays_open_without_unselect(void **state)
{
    (void)state;
    play.has_unselect = false;
    look_at_flags(IMAP_FLAG_SEEN, 0, 1);
    assert_string_equal(play.sent,
                        "EXAMINE \"INBOX\";UID FETCH 1:* (FLAGS);EXAMINE \"no folder is open now\";");
}

static void test_empty_folder_is_not_opened(void **state)
{
    struct store_marks *marks;
    struct imap_flags_digest *digest = imap_flags_digest_new();

    (void)state;
    show("INBOX", 0, 2, 0);
    mark(1, NULL, 0, 0, 0);
    marks = mark(1, "INBOX", 0, 2, 0);
    imap_flags_digest_end(digest, marks->flags_digest);
    imap_flags_digest_free(digest);
    marks->has_flags_digest = true;
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_DONE);
    assert_string_equal(play.sent, "");
    assert_int_equal(play.proven_count, 1);
}

static void test_refused_folder_leaves_the_mirror_unproven(void **state)
{
    struct scan_look *look;

    (void)state;
    show("INBOX", 1, 2, 0);
    mark(1, NULL, 0, 0, 0);
    mark_digest(mark(1, "INBOX", 1, 2, 0), 1, 0);
    play.examine_refused = true;
    assert_int_equal(run(NULL, &look), SCAN_LOOK_FAILED);
    assert_int_equal(scan_look_error(look)->scope, ERR_FOLDER);
    assert_int_equal(scan_look_error(look)->side, ERR_SIDE_PRODUCTION);
    assert_int_equal(play.wanted_count + play.proven_count, 0);
    scan_look_free(look);
}

static void test_folder_without_status_is_not_gone(void **state)
{
    struct scan_look *look;

    (void)state;
    show("INBOX", 1, 2, 30);
    show("Greetings", 1, 2, 30);
    play.entries[1].has_status = false;
    mark(1, NULL, 0, 0, 0);
    mark(1, "INBOX", 1, 2, 30);
    mark(1, "Greetings", 1, 2, 30);
    assert_int_equal(run(NULL, &look), SCAN_LOOK_FAILED);
    assert_non_null(strstr(scan_look_error(look)->text, "Greetings"));
    assert_int_equal(play.wanted_count + play.proven_count, 0);
    scan_look_free(look);
}

static void test_empty_list_proves_nothing(void **state)
{
    (void)state;
    mark(1, NULL, 0, 0, 0);
    mark(1, "INBOX", 1, 2, 30);
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_FAILED);
    assert_int_equal(play.wanted_count + play.proven_count, 0);
    assert_int_equal(play.signs, 1);
}

/* It never showed anything. */
static void test_empty_list_of_an_empty_mailbox_is_no_sign(void **state)
{
    (void)state;
    mark(1, NULL, 0, 0, 0);
    mark(1, "INBOX", 0, 2, 30);
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_FAILED);
    assert_int_equal(play.signs, 0);
}

static void test_asked_raises_also_what_is_equal(void **state)
{
    (void)state;
    row.asked = true;
    show("INBOX", 1, 2, 30);
    mark(1, NULL, 0, 0, 0);
    mark(1, "INBOX", 1, 2, 30);
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_DONE);
    assert_int_equal(play.wanted_count, 1);
    assert_int_equal(play.wanted[0].priority, SCAN_PRIORITY_ASKED);
}

static void test_full_look_is_not_put_off_by_news(void **state)
{
    struct scan_look *look;

    (void)state;
    row.full_look_due = true;
    show("INBOX", 2, 3, 0);
    show("Archive", 900, 901, 0);
    mark(1, NULL, 0, 0, 0);
    mark_digest(mark(1, "INBOX", 1, 2, 0), 1, 0);
    mark_digest(mark(1, "Archive", 900, 901, 0), 1, 0);
    assert_int_equal(run(NULL, &look), SCAN_LOOK_DONE);
    assert_true(scan_look_was_full(look));
    assert_non_null(strstr(play.sent, "EXAMINE \"Archive\""));
    scan_look_free(look);
}

static void test_dead_kept_session_is_no_error(void **state)
{
    struct access_session *kept = mem_new(sizeof(*kept));
    struct scan_look *look;

    (void)state;
    kept->kept = true;
    show("INBOX", 1, 2, 30);
    mark(1, NULL, 0, 0, 0);
    mark(1, "INBOX", 1, 2, 30);
    look = scan_look_new(&base, &site, &row, &kept);
    assert_int_equal(scan_look_poll(look), SCAN_LOOK_RUNNING);
    end_open_commands();
    assert_int_equal(scan_look_poll(look), SCAN_LOOK_RUNNING);
    assert_int_equal(play.freed, 1);
    for (int i = 0; i < 10 && scan_look_poll(look) == SCAN_LOOK_RUNNING; i++)
        answer();
    assert_int_equal(scan_look_poll(look), SCAN_LOOK_DONE);
    assert_int_equal(play.opened, 1);
    scan_look_free(look);
}

static void test_kept_session_costs_no_login(void **state)
{
    struct access_session *kept = mem_new(sizeof(*kept)), *again;
    struct scan_look *look;

    (void)state;
    kept->kept = true;
    show("INBOX", 1, 2, 30);
    assert_int_equal(run(kept, &look), SCAN_LOOK_DONE);
    assert_int_equal(play.opened, 0);
    again = scan_look_take_session(look);
    assert_non_null(again);
    scan_look_free(look);
    assert_int_equal(play.left + play.freed, 0);
    access_session_leave(again);
}

static void test_failures_and_their_scope(void **state)
{
    struct access_session *none = NULL;
    struct scan_look *look;

    (void)state;
    play.door = ACCESS_FAILED;
    play.door_error = (struct err){.scope = ERR_SITE, .text = "down"};
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_SITE_FAILED);
    play.door_error.scope = ERR_MAILBOX;
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_FAILED);
    play.door_error.scope = ERR_PROCESS;
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_NO_STORE);
    assert_true(base.store_failed);
    base.store_failed = false;
    play.door = ACCESS_READY;
    play.connection_dies = true;
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_FAILED);
    play.connection_dies = false;
    play.store_away = true;
    show("INBOX", 1, 2, 30);
    assert_int_equal(run(NULL, NULL), SCAN_LOOK_NO_STORE);
    play.door = ACCESS_WAITING;
    look = scan_look_new(&base, &site, &row, &none);
    assert_int_equal(scan_look_poll(look), SCAN_LOOK_RUNNING);
    assert_true(scan_look_is_waiting(look));
    scan_look_free(look);
}

static void test_freed_in_the_middle(void **state)
{
    struct access_session *none = NULL;
    struct scan_look *look = scan_look_new(&base, &site, &row, &none);

    (void)state;
    assert_int_equal(scan_look_poll(look), SCAN_LOOK_RUNNING);
    assert_non_null(play.on_list);
    scan_look_free(look);
    assert_int_equal(play.cut, 1);
    assert_int_equal(play.freed, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_unchanged_is_proven),
        TEST(test_new_message_is_raised_at_once),
        TEST(test_same_flags_without_condstore),
        TEST(test_changed_flags_without_condstore),
        TEST(test_message_that_came_between_list_and_flags),
        TEST(test_no_folder_stays_open_without_unselect),
        TEST(test_empty_folder_is_not_opened),
        TEST(test_refused_folder_leaves_the_mirror_unproven),
        TEST(test_folder_without_status_is_not_gone),
        TEST(test_empty_list_proves_nothing),
        TEST(test_empty_list_of_an_empty_mailbox_is_no_sign),
        TEST(test_asked_raises_also_what_is_equal),
        TEST(test_full_look_is_not_put_off_by_news),
        TEST(test_dead_kept_session_is_no_error),
        TEST(test_kept_session_costs_no_login),
        TEST(test_failures_and_their_scope),
        TEST(test_freed_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
