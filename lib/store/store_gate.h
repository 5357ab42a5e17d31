/*
 * Inside lib/store: the login gate of a site. Pure: rows in, rows out; store_site.c keeps them in the database, under the
 * row's lock.
 *
 *                 accepted                          refusal of a probe
 *   unproven ------------------> proven            unproven -----------> stopped
 *   (one login at a time;  <----- a refusal         stopped --> unproven   (retry time over: a probe first;
 *    after limit-1 refusals                                                 new secret: from the beginning)
 *    only a probe)
 *
 * A probe goes to a mailbox that must work, if one is known: the last good one, else a test mailbox, in turn with the
 * mailbox that was asked for (so that a removed test mailbox can't keep a healthy site stopped for ever).
 */
#ifndef MIRROR_STORE_STORE_GATE_H
#define MIRROR_STORE_STORE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store_gate_state { STORE_GATE_UNPROVEN, STORE_GATE_PROVEN, STORE_GATE_STOPPED };

struct store_gate {
    enum store_gate_state state;
    uint32_t refusals; /* in a row, of logins that were no probes: at most limit - 1 */
    uint32_t stops;    /* in a row */
    uint32_t troubles; /* tries in a row that got no answer to the login at all */
    bool gate_held;    /* another owner's login is under way */
    bool retry_over;   /* stopped: its time is over */
    char last_good[65];
};

enum store_gate_verdict { STORE_GATE_GO, STORE_GATE_PROBE, STORE_GATE_WAIT, STORE_GATE_STAY_STOPPED };

struct store_gate_rules {
    uint32_t limit; /* auth_failures_until_stop, at least 1 */
    const char *const *test_mailboxes;
    size_t test_count;
};

/* Whether `mailbox` may log in. Changes the gate (stopped -> unproven when its time is over); for a PROBE `*probe_out`
 * is the mailbox to try, borrowed from gate, rules or `mailbox`. GO and PROBE of a site that is unproven or in trouble take
 * the gate: one finds out for all. */
enum store_gate_verdict store_gate_admit(struct store_gate *gate, const struct store_gate_rules *rules,
                                         const char *mailbox, const char **probe_out);

enum store_gate_result { STORE_GATE_ACCEPTED, STORE_GATE_REFUSED, STORE_GATE_NOT_ASKED };

/* What a login's end makes of it. Returns true if it stopped the site just now. */
bool store_gate_result(struct store_gate *gate, const struct store_gate_rules *rules, const char *mailbox,
                       bool probe, enum store_gate_result result);

/* A new secret: everything begins again. */
void store_gate_reopen(struct store_gate *gate);

/* Seconds that all wait after the site could not be asked: 1 s doubling to 20 s. */
uint32_t store_gate_cooling(uint32_t troubles);

const char *store_gate_word(enum store_gate_state state);
enum store_gate_state store_gate_parse(const char *word);

#endif
