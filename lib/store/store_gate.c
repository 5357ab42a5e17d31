/*
 * The login gate: a wrong secret is never tried on every mailbox, and three wrong mailboxes never stop a healthy site.
 */
#include "store/store_gate.h"

#include "base/str.h"

#include <string.h>

static const char *const words[] = {"unproven", "proven", "stopped"};

const char *store_gate_word(enum store_gate_state state)
{
    return words[state];
}

enum store_gate_state store_gate_parse(const char *word)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (!strcmp(word, words[i]))
            return (enum store_gate_state)i;
    return STORE_GATE_UNPROVEN;
}

static uint32_t refusals_before_probe(const struct store_gate_rules *rules)
{
    return rules->limit > 1 ? rules->limit - 1 : 0;
}

static const char *choose_probe(const struct store_gate *gate, const struct store_gate_rules *rules,
                                const char *mailbox)
{
    if (*gate->last_good)
        return gate->last_good;
    size_t turn = gate->stops % (rules->test_count + 1);
    return turn < rules->test_count ? rules->test_mailboxes[turn] : mailbox;
}

enum store_gate_verdict store_gate_admit(struct store_gate *gate, const struct store_gate_rules *rules,
                                         const char *mailbox, const char **probe_out)
{
    *probe_out = NULL;
    if (gate->state == STORE_GATE_STOPPED) {
        if (!gate->retry_over)
            return STORE_GATE_STAY_STOPPED;
        gate->state = STORE_GATE_UNPROVEN;
        gate->refusals = refusals_before_probe(rules);
    }
    if (gate->state == STORE_GATE_PROVEN && gate->troubles == 0)
        return STORE_GATE_GO;
    if (gate->gate_held)
        return STORE_GATE_WAIT;
    if (gate->state == STORE_GATE_PROVEN)
        return STORE_GATE_GO;
    if (gate->refusals < refusals_before_probe(rules))
        return STORE_GATE_GO;
    *probe_out = choose_probe(gate, rules, mailbox);
    return STORE_GATE_PROBE;
}

/* A login that was under way while the site was stopped does not open it: it may be older than the reason. */
static void accept_login(struct store_gate *gate, const char *mailbox)
{
    gate->troubles = 0;
    if (gate->state == STORE_GATE_STOPPED)
        return;
    gate->state = STORE_GATE_PROVEN;
    gate->refusals = 0;
    gate->stops = 0;
    str_into(gate->last_good, sizeof(gate->last_good), mailbox);
}

static bool refuse_login(struct store_gate *gate, const struct store_gate_rules *rules, const char *mailbox,
                         bool probe)
{
    gate->troubles = 0;
    /* One that is refused is no proof of the site any more: it may have been removed. */
    if (str_equal(gate->last_good, mailbox))
        gate->last_good[0] = '\0';
    if (gate->state == STORE_GATE_STOPPED)
        return false;
    if (probe && gate->state == STORE_GATE_UNPROVEN) {
        gate->state = STORE_GATE_STOPPED;
        gate->stops++;
        return true;
    }
    gate->state = STORE_GATE_UNPROVEN;
    if (gate->refusals < refusals_before_probe(rules))
        gate->refusals++;
    return false;
}

bool store_gate_result(struct store_gate *gate, const struct store_gate_rules *rules, const char *mailbox,
                       bool probe, enum store_gate_result result)
{
    switch (result) {
    case STORE_GATE_ACCEPTED:
        accept_login(gate, mailbox);
        return false;
    case STORE_GATE_REFUSED:
        return refuse_login(gate, rules, mailbox, probe);
    case STORE_GATE_NOT_ASKED:
        gate->troubles++;
        break;
    }
    return false;
}

void store_gate_reopen(struct store_gate *gate)
{
    gate->state = STORE_GATE_UNPROVEN;
    gate->refusals = 0;
    gate->stops = 0;
    gate->gate_held = false;
}

uint32_t store_gate_cooling(uint32_t troubles)
{
    uint32_t seconds = 1;
    for (uint32_t i = 1; i < troubles && seconds < 20; i++)
        seconds *= 2;
    return seconds < 20 ? seconds : 20;
}
