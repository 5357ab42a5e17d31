/*
 * A made-up production site for the brake on deletions: ordinary users over weeks (brake_month.c), disasters
 * (brake_disaster.c), and the looks at it with a twin in memory of what the store counts (brake_twin.c).
 *
 * Times are seconds since a Monday, 00:00. All is drawn from one seed. A month can be cloned at any moment, so that many
 * disasters can strike the same one.
 */
#ifndef MIRROR_TESTS_BRAKE_MONTH_H
#define MIRROR_TESTS_BRAKE_MONTH_H

#include "store/store_brake.h"

enum {
    MONTH_HOUR = 3600,
    MONTH_DAY = 86400,
    MONTH_RETENTION_DAYS = 10,
    MONTH_SLOTS = 320,
    MONTH_RECORDS = 96
};

struct month_rules {
    uint64_t seed;
    uint32_t mailboxes;
    uint32_t starts;        /* weekday of its first day, 0: Monday */
    uint32_t warm_up_days;  /* before the brake is asked: 0 for a site that begins empty */
    uint32_t days;          /* with the brake */
    bool retention_known;   /* to us; the store cleans up in any case */
    double holidays;        /* share of the users who are away for two weeks, once */
    double deleters;        /* share of the users who delete all that they hear */
    bool long_weekend;      /* Friday to Monday, once */
    uint32_t round_seconds; /* each mailbox is looked at once in this time */
    struct config_deletions limits;
};

struct month_message {
    uint32_t id, at;
    uint32_t gone_at, seen_gone_at; /* 0: not (yet) */
    bool known;                     /* a look saw it: it has a copy */
    bool heard, greeting, nameless, wiped;
};

enum month_record_kind { MONTH_REMOVED, MONTH_HELD_MAILBOX, MONTH_HELD_ROUTE };

/* Messages that were removed or held at one asking, for the window. */
struct month_record {
    uint32_t at, counted;
    enum month_record_kind kind;
};

/* What a mailbox adds to its route's figures, as the store knew it at its last look. */
struct month_figures {
    uint32_t left, undecided, removed, held_mailbox, held_route;
    bool emptied;
};

struct month_mailbox {
    double rate;     /* messages on an average day */
    double deletes;  /* share of what is heard */
    uint32_t begins; /* second of the day */
    bool once_a_day;
    uint32_t away_from, away_until; /* days */
    uint32_t visit_at, look_at;     /* 0: none to come */
    uint32_t last_id;
    bool was_held;
    uint32_t count, record_count;
    struct month_message messages[MONTH_SLOTS];
    struct month_record records[MONTH_RECORDS];
    struct month_figures figures;
};

enum month_event_kind {
    MONTH_DAY_BEGINS,
    MONTH_ARRIVES,
    MONTH_VISIT,
    MONTH_HEARD,
    MONTH_GREETING,
    MONTH_CLEAN_UP,
    MONTH_LOOK,
    MONTH_WINDOW_ENDS,
    MONTH_WIPE
};

struct month_event {
    uint32_t at, mailbox, id; /* id: the message, or how many to wipe */
    enum month_event_kind kind;
};

struct month_tally {
    uint64_t arrived, deleted, cleaned, looks, asked;
    uint32_t held_mailbox, held_route; /* askings that ended so */
    uint32_t mailboxes_held;           /* how many of them, ever */
    uint32_t held_for_greetings;
    uint64_t passed;        /* messages that a disaster took and that were removed all the same */
    uint32_t first_held_at; /* 0: never */
    uint32_t most_going;    /* on the route */
    double most_share;      /* of all, when more than mailbox_messages were going */
    uint32_t most_emptied;
    char reason[STORE_BRAKE_REASON_BYTES]; /* the first */
};

struct month {
    struct month_rules rules;
    uint64_t random;
    uint32_t now;
    bool nobody_records; /* greetings, from here on */
    uint32_t begins_at;  /* the brake is asked from here on */
    struct month_mailbox *mailboxes;
    struct month_event *events; /* a heap */
    uint32_t event_count, event_room;
    struct month_figures all; /* .emptied is not used */
    uint32_t emptied, held_mailboxes;
    struct month_tally tally;
};

/* Abort on nonsense; never NULL. */
struct month *month_new(const struct month_rules *rules);
struct month *month_clone(const struct month *month);
void month_free(struct month *month);

uint32_t month_ends(const struct month *month);
void month_run(struct month *month, uint32_t until);

/* For the other files of the model. */
double month_random(struct month *month); /* [0, 1) */
uint32_t month_random_below(struct month *month, uint32_t limit);
void month_push(struct month *month, struct month_event event);
struct month_message *month_add(struct month *month, struct month_mailbox *mailbox);
void month_changed(struct month *month,
                   uint32_t mailbox); /* production shows something new: it will be looked at */

/* One look: what is seen, asked and removed. */
void month_look(struct month *month, uint32_t mailbox);
void month_count(struct month *month, uint32_t mailbox); /* its figures again, for what left the window */

/* Takes messages from production now, as disasters do, not users. */
struct month_wipe {
    uint32_t mailbox;
    uint32_t most; /* the newest ones */
    bool greetings, others, nameless;
};
/* How many that had a copy and are within retention. */
uint32_t month_wipe(struct month *month, const struct month_wipe *wipe);
void month_wipe_slowly(struct month *month, uint32_t mailbox, uint32_t messages, uint32_t every_seconds);
uint32_t month_present(const struct month *month, uint32_t mailbox, bool greetings);
uint32_t month_wiped_undecided(const struct month *month); /* neither removed nor held yet */

#endif
