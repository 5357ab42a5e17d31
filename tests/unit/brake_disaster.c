/*
 * Messages that no user deleted; see brake_month.h.
 */
#include "brake_month.h"

/* The store's own clean-up may take older ones any night: those don't count where retention is known. */
static bool is_young(const struct month *month, const struct month_message *message)
{
    return month->now - message->at < MONTH_RETENTION_DAYS * MONTH_DAY;
}

static bool is_taken(const struct month_message *message, const struct month_wipe *wipe)
{
    return !message->gone_at && (message->greeting ? wipe->greetings : wipe->others);
}

uint32_t month_wipe(struct month *month, const struct month_wipe *wipe)
{
    struct month_mailbox *mailbox = &month->mailboxes[wipe->mailbox];
    uint32_t taken = 0;
    for (uint32_t i = mailbox->count; i > 0 && taken < wipe->most; i--) {
        struct month_message *message = &mailbox->messages[i - 1];
        if (!is_taken(message, wipe))
            continue;
        message->gone_at = month->now;
        message->wiped = message->known && (message->greeting || is_young(month, message));
        message->nameless = wipe->nameless;
        taken += message->wiped;
    }
    month_changed(month, wipe->mailbox);
    return taken;
}

void month_wipe_slowly(struct month *month, uint32_t mailbox, uint32_t messages, uint32_t every_seconds)
{
    month_wipe(month, &(struct month_wipe){.mailbox = mailbox, .most = messages, .others = true});
    month_push(month, (struct month_event){month->now + every_seconds, mailbox,
                                           messages | every_seconds << 16, MONTH_WIPE});
}

uint32_t month_present(const struct month *month, uint32_t number, bool greetings)
{
    const struct month_mailbox *mailbox = &month->mailboxes[number];
    uint32_t present = 0;
    for (uint32_t i = 0; i < mailbox->count; i++) {
        const struct month_message *message = &mailbox->messages[i];
        present += message->known && !message->gone_at && message->greeting == greetings &&
                   (greetings || is_young(month, message));
    }
    return present;
}

uint32_t month_wiped_undecided(const struct month *month)
{
    uint32_t undecided = 0;
    for (uint32_t number = 0; number < month->rules.mailboxes; number++)
        for (uint32_t i = 0; i < month->mailboxes[number].count; i++)
            undecided += month->mailboxes[number].messages[i].wiped;
    return undecided;
}
