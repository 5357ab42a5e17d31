/*
 * All folders with their STATUS; see imap_session.h. One round trip with LIST-STATUS; else LIST, then a STATUS for each
 * folder, pipelined. One that was begun early, by the login, waits for its taker in session->early.
 */
#include "imap/imap_session_private.h"

#include "base/str.h"
#include "imap/imap_list.h"
#include "imap/imap_names.h"

#include <stdlib.h>
#include <strings.h>

struct imap_listing {
    struct imap_session *session;
    bool with_status;
    struct imap_list list;
    size_t hint;
    size_t open; /* commands */
    int result;
    struct err err;
    /* NULL: begun early, and nobody took it yet */
    void (*on_done)(void *context, int result, struct imap_list *list, const struct err *err);
    void *context;
};

static void fail(struct imap_listing *listing, const struct err *err)
{
    if (listing->result == 0)
        listing->err = *err;
    listing->result = -1;
}

static void listing_free(struct imap_listing *listing)
{
    imap_list_fini(&listing->list);
    free(listing);
}

static void end(struct imap_listing *listing)
{
    if (!listing->on_done)
        return;
    if (listing->result == 0 && imap_list_check(&listing->list, &listing->err) != 0)
        listing->result = -1;
    if (listing->result == 0)
        listing->on_done(listing->context, 0, &listing->list, NULL);
    else
        listing->on_done(listing->context, -1, NULL, &listing->err);
    listing_free(listing);
}

/* ---- answers ---- */

static void take_status(struct imap_listing *listing, const struct imap_response *response)
{
    struct imap_list_entry *entry = imap_list_find_wire(&listing->list, response->name, &listing->hint);
    if (!entry)
        return;
    entry->status = *response->status;
    entry->has_status = true;
    if (!imap_session_has(listing->session, IMAP_CAP_CONDSTORE))
        entry->status.highestmodseq = 0;
}

static int on_untagged(void *context, const struct imap_response *response, struct err *err)
{
    struct imap_listing *listing = context;
    if (response->kind == IMAP_RESPONSE_STATUS)
        take_status(listing, response);
    if (response->kind == IMAP_RESPONSE_LIST) {
        struct imap_list_entry *entry =
            imap_list_add(&listing->list, response->name, response->name_len, response->delimiter, err);
        if (!entry)
            return -1;
        entry->no_select = response->no_select;
    }
    return 0;
}

/* A folder that went meanwhile, or may not be looked into: it has no status, and the caller decides. */
static void on_status_done(void *context, int result, const char *code, const struct err *err)
{
    struct imap_listing *listing = context;
    (void)code;
    if (result != 0 && err->scope > ERR_FOLDER)
        fail(listing, err);
    if (--listing->open == 0)
        end(listing);
}

static void ask_for_status(struct imap_listing *listing, const struct imap_list_entry *entry)
{
    const struct imap_handlers handlers = {.context = listing, .on_done = on_status_done};
    const struct imap_pipeline_extras extras = {.on_untagged = on_untagged};
    char quoted[2 * IMAP_NAME_MAX_BYTES + 3];
    if (entry->no_select || imap_session_quote(entry->wire_name, quoted, sizeof(quoted)) != 0)
        return;
    if (imap_session_add(listing->session, &handlers, &extras,
                         str_format("STATUS %s %s", quoted, imap_session_status_items(listing->session))))
        listing->open++;
}

static void on_list_done(void *context, int result, const char *code, const struct err *err)
{
    struct imap_listing *listing = context;
    (void)code;
    if (result != 0)
        fail(listing, err);
    else if (listing->with_status && !imap_session_has(listing->session, IMAP_CAP_LIST_STATUS))
        for (size_t i = 0; i < listing->list.count; i++)
            ask_for_status(listing, &listing->list.entries[i]);
    if (--listing->open == 0)
        end(listing);
}

static struct imap_listing *begin(struct imap_session *session, bool with_status)
{
    struct imap_listing *listing = mem_new(sizeof(*listing));
    const struct imap_handlers handlers = {.context = listing, .on_done = on_list_done};
    const struct imap_pipeline_extras extras = {.on_untagged = on_untagged};
    char *line = with_status && imap_session_has(session, IMAP_CAP_LIST_STATUS)
                     ? str_format("LIST \"\" \"*\" RETURN (STATUS %s)", imap_session_status_items(session))
                     : str_copy("LIST \"\" \"*\"");
    *listing = (struct imap_listing){.session = session, .with_status = with_status, .open = 1};
    if (imap_session_add(session, &handlers, &extras, line))
        return listing;
    free(listing);
    return NULL;
}

void imap_session_list_early(struct imap_session *session)
{
    session->early = begin(session, true);
}

void imap_session_list_forget(struct imap_session *session)
{
    if (session->early)
        listing_free(session->early);
    session->early = NULL;
}

/* What was begun early, or a new one; NULL if the session is dead. */
static struct imap_listing *take(struct imap_session *session, bool with_status)
{
    struct imap_listing *listing = session->early;
    if (session->phase == IMAP_PHASE_OVER)
        return NULL;
    if (!listing || !with_status)
        return begin(session, with_status);
    session->early = NULL;
    return listing;
}

int imap_session_list_start(struct imap_session *session, bool with_status,
                            void (*on_done)(void *context, int result, struct imap_list *list,
                                            const struct err *err),
                            void *context, struct err *err)
{
    struct imap_listing *listing = take(session, with_status);
    if (!listing) {
        if (err)
            *err = session->error;
        return -1;
    }
    listing->on_done = on_done;
    listing->context = context;
    if (listing->open == 0)
        end(listing);
    return 0;
}

/* ---- waiting for it ---- */

struct waiting {
    int result;
    struct imap_list *list_out;
    struct err err;
};

static void on_listed(void *context, int result, struct imap_list *list, const struct err *err)
{
    struct waiting *waiting = context;
    waiting->result = result;
    if (result != 0) {
        waiting->err = *err;
        return;
    }
    *waiting->list_out = *list;
    *list = (struct imap_list){0};
}

int imap_session_list(struct imap_session *session, bool with_status, struct imap_list *list_out,
                      struct err *err)
{
    struct waiting waiting = {.result = -1, .list_out = list_out};
    *list_out = (struct imap_list){0};
    if (imap_session_list_start(session, with_status, on_listed, &waiting, err) != 0)
        return -1;
    if (imap_session_wait(session, err) != 0) {
        imap_list_fini(list_out);
        return -1;
    }
    if (waiting.result != 0 && err)
        *err = waiting.err;
    return waiting.result;
}
