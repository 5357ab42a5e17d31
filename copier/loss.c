/*
 * Messages over which connections were lost; see loss.h. Runs in the copier. The records of a folder are read when the
 * first is asked for, and kept in the pass as they were then.
 */
#include "copier/loss.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"

#include <stdio.h>

/* So many, and it is passed over. */
static const uint32_t most[] = {[STORE_LOSS_HEADER] = 2,
                                [STORE_LOSS_BODY] = LOSS_LAST + 1,
                                [STORE_LOSS_APPEND] = LOSS_LAST + 1,
                                [STORE_LOSS_TARGET] = 2};

static int load(struct pass *pass, struct err *err)
{
    if (pass->losses_loaded)
        return 0;
    if (store_loss_list(pass->turn->tools->store, pass->folder->folder_id, &pass->losses, &pass->loss_count,
                        err) != 0)
        return -1;
    pass->losses_loaded = true;
    return 0;
}

int loss_find(struct pass *pass, enum store_loss_kind kind, uint32_t uid, const struct store_loss **found_out,
              struct err *err)
{
    *found_out = NULL;
    if (load(pass, err) != 0)
        return -1;
    for (size_t i = 0; i < pass->loss_count; i++)
        if (pass->losses[i].kind == kind && pass->losses[i].uid == uid && pass->losses[i].losses > 0)
            *found_out = &pass->losses[i];
    return 0;
}

static int set(struct pass *pass, const struct store_loss *loss, struct err *err)
{
    return CRASH_AFTER(LOSS_RECORDED, store_loss_set(pass->turn->tools->store, &pass->turn->claim->lease,
                                                     pass->folder->folder_id, loss, err));
}

int loss_is_given_up(struct pass *pass, enum store_loss_kind kind, uint32_t uid, bool *given_up_out,
                     char *words, struct err *err)
{
    const struct store_loss *found;
    struct store_loss next;
    *given_up_out = false;
    if (loss_find(pass, kind, uid, &found, err) != 0)
        return -1;
    if (!found || found->losses < most[kind])
        return 0;
    *given_up_out = true;
    snprintf(words, LOSS_WORDS_BYTES, "the connection was lost over it, more than once: %.700s",
             found->error);
    next = *found;
    next.losses = most[kind] - 1;
    return set(pass, &next, err);
}

/* Whatever is wider than the mailbox, or ended by ourselves, is no fault of the message. */
void loss_note(struct pass *pass, enum store_loss_kind kind, uint32_t uid, const struct err *why)
{
    struct store_loss loss = {.kind = kind, .uid = uid, .losses = 1};
    const struct store_loss *found;
    struct err err = {0};
    if (why->scope != ERR_MAILBOX || pass->turn->lost.scope != ERR_NONE)
        return;
    if (loss_find(pass, kind, uid, &found, &err) == 0) {
        loss.losses += found ? found->losses : 0;
        str_into(loss.error, sizeof(loss.error), why->text);
        if (set(pass, &loss, &err) == 0)
            return;
    }
    log_warning("a lost connection could not be recorded", LOG_STR("error", err.text));
}

int loss_forget(struct pass *pass, enum store_loss_kind kind, uint32_t uid, struct err *err)
{
    const struct store_loss *found;
    struct store_loss none;
    if (loss_find(pass, kind, uid, &found, err) != 0)
        return -1;
    if (!found)
        return 0;
    none = *found;
    none.losses = 0;
    return set(pass, &none, err);
}
