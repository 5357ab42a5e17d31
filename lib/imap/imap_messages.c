/*
 * Lists of messages; see imap_messages.h. Answers may come in any order, twice, or for messages nobody asked about:
 * everything is collected, then sorted and merged, the later answer winning.
 */
#include "imap/imap_messages.h"

#include "base/str.h"
#include "imap/imap_session_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* MAX_KEYWORDS: over all messages of one answer; each is some tens of bytes. */
enum { MAX_MESSAGES = 4000000, MAX_RANGE = 4000000, MAX_KEYWORDS = 16000000 };

/* What a blocking command leaves behind. */
struct answer {
    int result;
    struct err err;
};

static void on_done(struct answer *answer, int result, const struct err *err)
{
    if (result == 0 || answer->result != 0)
        return;
    answer->result = -1;
    answer->err = *err;
}

/* A command that could not even be sent answers nothing; that must not look like "no messages". */
static bool is_sent(struct answer *answer, const struct imap_command *command)
{
    struct err err;
    if (command)
        return true;
    err_set(&err, ERR_MAILBOX, ERR_RETRY_LATER, "the connection takes no more commands");
    on_done(answer, -1, &err);
    return false;
}

static int wait_for(struct imap_session *session, struct answer *answer, struct err *err)
{
    if (imap_session_wait(session, err) != 0)
        return -1;
    if (answer->result != 0 && err)
        *err = answer->err;
    return answer->result;
}

static void message_fini(struct imap_message *message)
{
    imap_flags_fini(&message->flags);
}

void imap_messages_fini(struct imap_messages *messages)
{
    for (size_t i = 0; i < messages->count; i++)
        message_fini(&messages->items[i]);
    free(messages->items);
    *messages = (struct imap_messages){0};
}

static int by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct imap_message *)a)->uid, y = ((const struct imap_message *)b)->uid;
    return (x > y) - (x < y);
}

struct imap_message *imap_messages_find(const struct imap_messages *messages, uint32_t uid)
{
    struct imap_message key = {.uid = uid};
    if (messages->count == 0)
        return NULL;
    return bsearch(&key, messages->items, messages->count, sizeof(key), by_uid);
}

/* ---- FETCH ---- */

struct fetching {
    struct imap_messages *messages;
    struct answer answer;
    size_t keywords;
    bool too_many;
};

static void copy_fetch(struct imap_message *message, const struct imap_fetch *fetch)
{
    struct digest_pair pair;
    message->uid = fetch->uid;
    message->has_flags = fetch->has_flags;
    message->has_date = fetch->has_date;
    message->has_size = fetch->has_size;
    imap_flags_init(&message->flags);
    if (fetch->has_flags)
        imap_flags_copy(&message->flags, &fetch->flags);
    message->date = fetch->date;
    message->size_bytes = fetch->size_bytes;
    if (!fetch->header)
        return;
    digest_of(fetch->header, fetch->header_len, &pair);
    memcpy(message->header_sha256, pair.normal, DIGEST_BYTES);
    message->has_header = true;
}

static void on_fetch(void *context, const struct imap_fetch *fetch)
{
    struct fetching *fetching = context;
    struct imap_messages *messages = fetching->messages;
    if (fetch->uid == 0)
        return; /* unsolicited: the next look will tell */
    fetching->keywords += fetch->flags.keyword_count;
    if (messages->count >= MAX_MESSAGES || fetching->keywords > MAX_KEYWORDS) {
        fetching->too_many = true;
        return;
    }
    if (messages->count == messages->size) {
        messages->size = messages->size ? messages->size * 2 : 64;
        messages->items = mem_grow(messages->items, messages->size, sizeof(*messages->items));
    }
    messages->items[messages->count] = (struct imap_message){0};
    copy_fetch(&messages->items[messages->count++], fetch);
}

static void on_fetch_done(void *context, int result, const char *code, const struct err *err)
{
    struct fetching *fetching = context;
    (void)code;
    on_done(&fetching->answer, result, err);
}

/* `newer` completes `kept` and is used up. */
static void merge(struct imap_message *kept, struct imap_message *newer)
{
    if (newer->has_flags) {
        imap_flags_fini(&kept->flags);
        kept->flags = newer->flags;
        kept->has_flags = true;
    } else {
        imap_flags_fini(&newer->flags);
    }
    if (newer->has_date)
        kept->date = newer->date;
    if (newer->has_size)
        kept->size_bytes = newer->size_bytes;
    if (newer->has_header)
        memcpy(kept->header_sha256, newer->header_sha256, DIGEST_BYTES);
    kept->has_date |= newer->has_date;
    kept->has_size |= newer->has_size;
    kept->has_header |= newer->has_header;
}

/* qsort() is not stable: equal UIDs are told apart by where they stood. */
struct placed {
    struct imap_message message;
    size_t place;
};

static int by_uid_then_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    int order = by_uid(&x->message, &y->message);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

static bool is_ascending(const struct imap_messages *messages)
{
    for (size_t i = 1; i < messages->count; i++)
        if (messages->items[i].uid <= messages->items[i - 1].uid)
            return false;
    return true;
}

static void sort_and_merge(struct imap_messages *messages)
{
    struct placed *placed;
    size_t kept = 0;
    if (is_ascending(messages))
        return;
    placed = mem_grow(NULL, messages->count, sizeof(*placed));
    for (size_t i = 0; i < messages->count; i++)
        placed[i] = (struct placed){.message = messages->items[i], .place = i};
    qsort(placed, messages->count, sizeof(*placed), by_uid_then_place);
    messages->items[0] = placed[0].message;
    for (size_t i = 1; i < messages->count; i++) {
        if (placed[i].message.uid == messages->items[kept].uid)
            merge(&messages->items[kept], &placed[i].message);
        else
            messages->items[++kept] = placed[i].message;
    }
    messages->count = kept + 1;
    free(placed);
}

static int end_fetching(struct imap_session *session, struct fetching *fetching, struct err *err)
{
    int result = wait_for(session, &fetching->answer, err);
    sort_and_merge(fetching->messages);
    if (result == 0 && fetching->too_many)
        return err_set(err, ERR_FOLDER, ERR_RETRY_LATER, "FETCH answered for more than %d messages",
                       MAX_MESSAGES);
    return result;
}

int imap_messages_fetch(struct imap_session *session, const char *set, const char *items,
                        const char *modifier, struct imap_messages *messages, struct err *err)
{
    struct fetching fetching = {.messages = messages};
    struct imap_handlers handlers = {.context = &fetching, .on_fetch = on_fetch, .on_done = on_fetch_done};
    is_sent(&fetching.answer,
            imap_session_send(session, &handlers, "UID FETCH %s (UID %s)%s", set, items, modifier));
    return end_fetching(session, &fetching, err);
}

static void send_fetches(struct imap_session *session, struct fetching *fetching,
                         const struct imap_messages_opening *what, bool follows_opening)
{
    struct imap_handlers handlers = {.context = fetching, .on_fetch = on_fetch, .on_done = on_fetch_done};
    const struct imap_pipeline_extras extras = {.follows_opening = follows_opening};
    char set[IMAP_UIDS_SET_BYTES];
    for (size_t i = 0; i < what->count;) {
        i += imap_uids_format(what->uids + i, what->count - i, set);
        if (!is_sent(&fetching->answer,
                     imap_session_add(session, &handlers, &extras,
                                      str_format("UID FETCH %s (UID %s)", set, what->items))))
            return;
    }
    if (what->set)
        is_sent(&fetching->answer,
                imap_session_add(session, &handlers, &extras,
                                 str_format("UID FETCH %s (UID %s)", what->set, what->items)));
}

int imap_messages_fetch_uids(struct imap_session *session, const uint32_t *uids, size_t count,
                             const char *items, struct imap_messages *messages, struct err *err)
{
    const struct imap_messages_opening what = {.uids = uids, .count = count, .items = items};
    struct fetching fetching = {.messages = messages};
    send_fetches(session, &fetching, &what, false);
    return end_fetching(session, &fetching, err);
}

struct heels {
    struct imap_session *session;
    struct fetching fetching;
    const struct imap_messages_opening *opening;
};

static void on_its_heels(void *context)
{
    struct heels *heels = context;
    send_fetches(heels->session, &heels->fetching, heels->opening, true);
}

int imap_messages_open(struct imap_session *session, const struct imap_messages_opening *opening,
                       struct imap_folder_status *status_out, struct imap_messages *messages, struct err *err)
{
    struct heels heels = {.session = session, .fetching = {.messages = messages}, .opening = opening};
    if (imap_session_examine_and(session, opening->wire_name, status_out, on_its_heels, &heels, err) != 0)
        return -1;
    if (end_fetching(session, &heels.fetching, err) == 0 || status_out->exists == 0)
        return 0;
    imap_folder_status_fini(status_out);
    return -1;
}

/* ---- SEARCH ---- */

struct searching {
    struct imap_uids *uids;
    struct answer answer;
    bool too_many;
};

static void on_search(void *context, uint32_t first_uid, uint32_t last_uid)
{
    struct searching *searching = context;
    if (last_uid - first_uid >= MAX_RANGE || searching->uids->count >= MAX_MESSAGES) {
        searching->too_many = true;
        return;
    }
    for (uint64_t uid = first_uid; uid <= last_uid; uid++)
        imap_uids_add(searching->uids, (uint32_t)uid);
}

static void on_search_done(void *context, int result, const char *code, const struct err *err)
{
    struct searching *searching = context;
    (void)code;
    on_done(&searching->answer, result, err);
}

int imap_messages_search_all(struct imap_session *session, struct imap_uids *uids_out, struct err *err)
{
    struct searching searching = {.uids = uids_out};
    struct imap_handlers handlers = {
        .context = &searching, .on_search = on_search, .on_done = on_search_done};
    bool esearch = imap_session_has(session, IMAP_CAP_ESEARCH);
    is_sent(&searching.answer, imap_session_send(session, &handlers, "%s",
                                                 esearch ? "UID SEARCH RETURN (ALL) ALL" : "UID SEARCH ALL"));
    if (wait_for(session, &searching.answer, err) != 0)
        return -1;
    if (searching.too_many)
        return err_set(err, ERR_FOLDER, ERR_RETRY_LATER, "SEARCH answered more than %d messages",
                       MAX_MESSAGES);
    imap_uids_sort(uids_out);
    return 0;
}

/* ---- bodies ---- */

struct digesting {
    uint32_t uid;
    struct digest *digest;
    const struct imap_body_sink *sink; /* NULL: none */
    bool ours, found;
    struct answer answer;
};

static void on_body_begin(void *context, uint32_t uid, uint64_t size_bytes)
{
    struct digesting *digesting = context;
    (void)size_bytes;
    digesting->ours = uid == digesting->uid && !digesting->found;
}

static size_t on_body_bytes(void *context, const char *bytes, size_t len)
{
    struct digesting *digesting = context;
    if (!digesting->ours)
        return len;
    digest_add(digesting->digest, bytes, len);
    if (digesting->sink)
        digesting->sink->on_bytes(digesting->sink->context, bytes, len);
    return len;
}

static void on_body_end(void *context)
{
    struct digesting *digesting = context;
    digesting->found |= digesting->ours;
    digesting->ours = false;
}

static void on_body_done(void *context, int result, const char *code, const struct err *err)
{
    struct digesting *digesting = context;
    (void)code;
    on_done(&digesting->answer, result, err);
}

int imap_messages_body_copy(struct imap_session *session, uint32_t uid, const struct imap_body_sink *sink,
                            struct digest_pair *pair_out, bool *found_out, struct err *err)
{
    struct digesting digesting = {.uid = uid, .digest = digest_new(), .sink = sink};
    struct imap_handlers handlers = {.context = &digesting,
                                     .on_body_begin = on_body_begin,
                                     .on_body_bytes = on_body_bytes,
                                     .on_body_end = on_body_end,
                                     .on_done = on_body_done};
    int result;
    is_sent(&digesting.answer, imap_session_send(session, &handlers, "UID FETCH %u (UID BODY.PEEK[])", uid));
    result = wait_for(session, &digesting.answer, err);
    *found_out = result == 0 && digesting.found;
    digest_end(digesting.digest, pair_out);
    digest_free(digesting.digest);
    return result;
}

int imap_messages_body_digest(struct imap_session *session, uint32_t uid, struct digest_pair *pair_out,
                              bool *found_out, struct err *err)
{
    return imap_messages_body_copy(session, uid, NULL, pair_out, found_out, err);
}
