/*
 * The work on one entry; see work.h for the order of its states.
 */
#include "ldapsync/work.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "ldapsync/connection_error.h"
#include "ldapsync/dn.h"
#include "ldapsync/listing.h"
#include "ldapsync/numbers.h"
#include "ldapsync/work_result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int decide(struct work *work, struct err *err);

static void move_to(struct work *work, enum work_state state)
{
    static const char *const names[] = {
#define WORK_STATE_NAME(id, name) name,
        WORK_STATES(WORK_STATE_NAME)
#undef WORK_STATE_NAME
    };
    log_debug("entry", LOG_STR("number", work->entry.number), LOG_STR("from", names[work->state]),
              LOG_STR("to", names[state]));
    work->state = state;
}

/* ---- reading ---- */

static void forget_target(struct work *work)
{
    entry_fini(&work->target.entry);
    work->target.found = false;
    if (work->has_counts)
        entry_fini(&work->counts);
    work->has_counts = false;
    work->of_target.known = false;
}

static int read_side(struct connection *connection, struct work_read *read, const char *dn, struct err *err)
{
    entry_fini(&read->entry);
    read->found = false;
    int code = ldap_search_ext(connection_handle(connection), dn, LDAP_SCOPE_BASE, "(objectClass=*)", NULL, 0,
                               NULL, NULL, NULL, 0, &read->message_id);
    if (code == LDAP_SUCCESS)
        return 0;
    read->message_id = 0;
    return connection_fail(connection, code, "", err);
}

static int read_target(struct work *work, const char *dn, struct err *err)
{
    forget_target(work);
    return read_side(work->round->target, &work->target, dn, err);
}

static void make_known(struct work *work)
{
    if (!work->known)
        work->known = mem_new(WORK_KNOWN_MAX * sizeof(*work->known));
}

int work_start(struct work *work, struct round *round, const struct store_entry *entry, struct err *err)
{
    *work = (struct work){.round = round, .entry = *entry, .state = WORK_READ};
    if (entry->has_attributes)
        make_known(work);
    int known = entry->has_attributes ? store_entry_attributes(round->tools->store, entry->entry_id,
                                                               work->known, WORK_KNOWN_MAX, err)
                                      : 0;
    if (known < 0)
        return -1;
    work->known_count = (size_t)known;
    if (read_side(round->production, &work->production, entry->source_dn, err) != 0)
        return -1;
    return entry->target_dn[0] ? read_target(work, entry->target_dn, err) : 0;
}

bool work_is_for(const struct work *work, const struct connection *connection, int message_id)
{
    if (connection == work->round->production)
        return message_id == work->production.message_id;
    return message_id == work->target.message_id || message_id == work->write_id;
}

/* The answer of a read: its entry, or its end. An entry that is too big to be read is that entry's own matter. */
static int take_read(struct work_read *read, struct connection *connection, LDAPMessage *message,
                     bool *ended_out, struct err *err)
{
    char words[512];
    int code = LDAP_OTHER;
    *ended_out = false;
    if (ldap_msgtype(message) == LDAP_RES_SEARCH_ENTRY) {
        read->found =
            !read->found && entry_read(connection_handle(connection), message, &read->entry, err) == 0;
        return read->found ? 0 : -1;
    }
    if (ldap_msgtype(message) != LDAP_RES_SEARCH_RESULT)
        return 0;
    *ended_out = true;
    read->message_id = 0;
    if (connection_result(connection, message, &code, words, err) != 0)
        return -1;
    if (code == LDAP_SUCCESS || code == LDAP_NO_SUCH_OBJECT)
        return 0;
    return connection_fail(connection, code, words, err);
}

/* ---- what is to be done ---- */

static const struct attribute *production_form(const struct work *work, const char *name)
{
    return entry_find(&work->wanted, name);
}

/* What the target was known to alter or to refuse, and is no more so: written again. */
static void forget_known(struct work *work)
{
    size_t kept = 0;
    for (size_t i = 0; i < work->known_count; i++) {
        const struct store_entry_attribute *known = &work->known[i];
        uint8_t wanted[32], there[32];
        mapping_digest_attribute(work->round->mapping, production_form(work, known->name), wanted);
        mapping_digest_attribute(work->round->mapping,
                                 work->has_counts ? entry_find(&work->counts, known->name) : NULL, there);
        if (memcmp(wanted, known->source, sizeof(wanted)) == 0 &&
            memcmp(there, known->target, sizeof(there)) == 0)
            work->known[kept++] = *known;
    }
    work->known_count = kept;
}

static void make_change(struct work *work)
{
    const char *leave_out[WORK_KNOWN_MAX + 1];
    for (size_t i = 0; i < work->known_count; i++)
        leave_out[i] = work->known[i].name;
    leave_out[work->known_count] = NULL;
    change_fini(&work->change);
    change_make(&(struct change_request){.mapping = work->round->mapping,
                                         .wanted = &work->wanted,
                                         .target = work->has_counts ? &work->counts : NULL,
                                         .leave_out = leave_out,
                                         .replace_whole = work->replace_whole},
                &work->change);
}

static enum store_entry_state bad_state(const struct work *work)
{
    return work->target.found ? STORE_ENTRY_DIFFERS : STORE_ENTRY_MISSING;
}

/* Once more from the reading on; not for ever, since somebody may write as fast as we do. */
static int read_again(struct work *work, const char *why, struct err *err)
{
    if (++work->tries >= WORK_TRIES)
        return work_result(work, bad_state(work), why, true, err);
    const char *dn = work->entry.target_dn;
    move_to(work, WORK_READ);
    if (*dn)
        return read_target(work, dn, err);
    forget_target(work);
    return decide(work, err);
}

/* An ADD whose answer nobody hears may be carried out all the same: it is noted before. */
static int wait_for_note(struct work *work, struct err *err)
{
    if (dn_normalise(work->change.dn, work->new_dn, sizeof(work->new_dn)) != 0)
        return work_result(work, STORE_ENTRY_MISSING,
                           "its DN on the target would be too long, or be read as another", true, err);
    move_to(work, WORK_TO_ADD);
    return 0;
}

int work_add(struct work *work, struct err *err)
{
    move_to(work, WORK_WRITE);
    if (round_guard(work->round, err) != 0)
        return -1;
    int code =
        CRASH_AFTER(ENTRY_ADD_SENT, ldap_add_ext(connection_handle(work->round->target), work->change.dn,
                                                 work->change.mods, NULL, NULL, &work->write_id));
    if (code == LDAP_SUCCESS)
        return 0;
    work->write_id = 0;
    return connection_fail(work->round->target, code, "", err);
}

static int send_change(struct work *work, struct err *err)
{
    LDAP *handle = connection_handle(work->round->target);
    const struct change *change = &work->change;
    int code;
    if (change->add)
        return wait_for_note(work, err);
    move_to(work, WORK_WRITE);
    if (round_guard(work->round, err) != 0)
        return -1;
    if (change->new_rdn && !work->renamed)
        code = CRASH_AFTER(ENTRY_RENAME_SENT,
                           ldap_rename(handle, change->dn, change->new_rdn, change->new_parent,
                                       !change->keep_old_rdn, NULL, NULL, &work->write_id));
    else
        code = CRASH_AFTER(ENTRY_MODIFY_SENT,
                           ldap_modify_ext(handle, work->renamed ? change->dn_after : change->dn,
                                           change->mods, NULL, NULL, &work->write_id));
    if (code == LDAP_SUCCESS)
        return 0;
    work->write_id = 0;
    return connection_fail(work->round->target, code, "", err);
}

/* Its number, if that is to change, must be nobody else's there. */
static bool gets_number(const struct work *work)
{
    const char *attribute = round_number_attribute(work->round, STORE_LISTED_TARGET, STORE_SUBSCRIBER);
    char now[STORE_NUMBER_BYTES] = "";
    if (work->entry.kind != STORE_SUBSCRIBER)
        return false;
    if (work->has_counts)
        entry_text(&work->counts, attribute, now, sizeof(now));
    return !str_equal(now, work->entry.number);
}

static int decide(struct work *work, struct err *err)
{
    enum numbers_verdict verdict = NUMBERS_FREE;
    char why[NUMBERS_WHY_BYTES] = "";
    forget_known(work);
    make_change(work);
    if (change_is_empty(&work->change))
        return work_result_settled(work, err);
    if (work->round->dry)
        return work_result_difference(work,
                                      work->change.add       ? "add"
                                      : work->change.new_rdn ? "rename"
                                                             : "modify",
                                      NULL, err);
    if (gets_number(work) && numbers_make_free(work->round, &work->entry, &verdict, why, err) != 0)
        return -1;
    if (verdict == NUMBERS_WAITS)
        return work_result(work, STORE_ENTRY_WAITING, why, true, err);
    return send_change(work, err);
}

/* Neither our number nor our id: somebody else's entry, which has our DN. */
static bool is_anothers(const struct work *work)
{
    const char *id = round_ldap(work->round, STORE_LISTED_TARGET)->id_attribute;
    char text[STORE_IDENTITY_BYTES];
    if (!work->target.found || work->entry.kind != STORE_SUBSCRIBER || !id[0])
        return false;
    entry_text(&work->target.entry, id, text, sizeof(text));
    if (!text[0] || str_equal(text, work->entry.identity))
        return false;
    entry_text(&work->target.entry,
               round_number_attribute(work->round, STORE_LISTED_TARGET, STORE_SUBSCRIBER), text,
               sizeof(text));
    return !str_equal(text, work->entry.number);
}

static int leave_to_another(struct work *work, struct err *err)
{
    char reason[512];
    snprintf(reason, sizeof(reason),
             "%s is on the target already, with another id and number: rename or remove it there",
             work->target.entry.dn);
    forget_target(work);
    work->entry.target_dn[0] = '\0';
    return work_result(work, STORE_ENTRY_MISSING, reason, true, err);
}

static int after_reading(struct work *work, struct err *err)
{
    const struct mapping *mapping = work->round->mapping;
    char lacks[400] = "", reason[512];
    struct err why = {0};
    if (!work->production.found) {
        /* Gone, or under another DN: listing the names tells. It stays to be done, in its row. */
        return CRASH_AFTER(LIST_WANTED, store_directory_want_list(work->round->tools->store,
                                                                  &work->round->claim->lease, err)) != 0
                   ? -1
                   : work_result(work, STORE_ENTRY_UNPROVEN, NULL, false, err);
    }
    if (is_anothers(work))
        return leave_to_another(work, err);
    if (work->target.found && !work->has_counts) {
        mapping_counts(mapping, &work->target.entry, &work->counts);
        work->has_counts = true;
    }
    if (work->entry.kind == STORE_SUBSCRIBER &&
        mapping_lacks(mapping, &work->production.entry, lacks, sizeof(lacks)) > 0) {
        snprintf(reason, sizeof(reason),
                 "production shows no %s: it has none, or we may not read it; nothing is written", lacks);
        return work_result(work, bad_state(work), reason, true, err);
    }
    if (!work->has_wanted && mapping_wanted(mapping, &work->production.entry, &work->wanted, &why) != 0) {
        entry_fini(&work->wanted);
        return work_result(work, bad_state(work), why.text, true, err);
    }
    work->has_wanted = true;
    return decide(work, err);
}

/* ---- refusals ---- */

/* The attribute that the server's words name, of those that are to be written. */
static const char *named_attribute(const struct change *change, const char *words)
{
    const char *best = NULL;
    for (size_t i = 0; i < change->mod_count; i++) {
        const char *name = change->mods[i]->mod_type;
        if (strcasestr(words, name) && (!best || strlen(name) > strlen(best)))
            best = name;
    }
    return best;
}

static bool is_needed(const struct work *work, const char *name)
{
    const struct config_ldap *ldap = round_ldap(work->round, STORE_LISTED_TARGET);
    return entry_name_compare(name, "objectClass") == 0 ||
           entry_name_is_of(name,
                            round_number_attribute(work->round, STORE_LISTED_TARGET, work->entry.kind)) ||
           entry_name_is_of(name, ldap->cos_attribute);
}

/* Where the words name none, one after the other is left out until the rest goes over. */
static const char *next_suspect(struct work *work)
{
    while (work->suspect.next < work->change.mod_count) {
        const char *name = work->change.mods[work->suspect.next++]->mod_type;
        if (!is_needed(work, name))
            return name;
    }
    return NULL;
}

static void note_refused(struct work *work, const char *name, const char *words)
{
    if (work->known_count == WORK_KNOWN_MAX)
        return;
    make_known(work);
    struct store_entry_attribute *known = &work->known[work->known_count++];
    *known = (struct store_entry_attribute){.refused = true};
    str_into(known->name, sizeof(known->name), name);
    str_into(known->words, sizeof(known->words), words);
    mapping_digest_attribute(work->round->mapping, production_form(work, name), known->source);
    mapping_digest_attribute(work->round->mapping, work->has_counts ? entry_find(&work->counts, name) : NULL,
                             known->target);
}

static int leave_out_one(struct work *work, const struct err *why, const char *words, struct err *err)
{
    char text[129] = "";
    if (work->suspect.searching) {
        work->known_count--; /* it was not that one */
    } else {
        str_into(text, sizeof(text), named_attribute(&work->change, words));
        str_into(work->suspect.words, sizeof(work->suspect.words), why->text);
    }
    make_change(work);
    if (!text[0] || is_needed(work, text)) {
        work->suspect.searching = true;
        str_into(text, sizeof(text), next_suspect(work));
    }
    if (!text[0])
        return work_result(work, bad_state(work), work->suspect.words, true, err);
    note_refused(work, text, work->suspect.words);
    make_change(work);
    return change_is_empty(&work->change) ? work_result_settled(work, err) : send_change(work, err);
}

static int refused(struct work *work, int code, const char *words, struct err *err)
{
    struct err why = {0};
    connection_fail(work->round->target, code, words, &why);
    if (why.scope > ERR_MESSAGE) {
        *err = why;
        return -1;
    }
    if (work->round->route->directory.write_without_refused && connection_error_is_of_attribute(code))
        return leave_out_one(work, &why, words, err);
    return work_result(work, bad_state(work), why.text, true, err);
}

/* There already, though we did not know it: a write of ours whose answer was lost, or somebody else's. */
static int exists(struct work *work, const char *words, struct err *err)
{
    dn_normalise(work->change.dn, work->entry.target_dn, sizeof(work->entry.target_dn));
    return read_again(work, *words ? words : "an entry of that DN is there already", err);
}

/* ---- answers of writes ---- */

static int after_write(struct work *work, struct err *err)
{
    const struct change *change = &work->change;
    CRASH_POINT(ENTRY_WRITTEN);
    work->wrote = true;
    work->suspect.searching = false;
    if (change->new_rdn && !work->renamed) {
        work->renamed = true;
        dn_normalise(change->dn_after, work->entry.target_dn, sizeof(work->entry.target_dn));
        if (change->mod_count > 0)
            return send_change(work, err);
    }
    if (change->add)
        dn_normalise(change->dn, work->entry.target_dn, sizeof(work->entry.target_dn));
    move_to(work, WORK_READ_BACK);
    return read_target(work, work->entry.target_dn, err);
}

static int take_write(struct work *work, LDAPMessage *message, struct err *err)
{
    char words[512];
    int code = LDAP_OTHER;
    work->write_id = 0;
    if (connection_result(work->round->target, message, &code, words, err) != 0)
        return -1;
    switch (code) {
    case LDAP_SUCCESS:
        return after_write(work, err);
    case LDAP_ALREADY_EXISTS:
        return work->change.add ? exists(work, words, err) : refused(work, code, words, err);
    case LDAP_NO_SUCH_OBJECT:
        if (work->change.add)
            return refused(work, code, words, err);
        work->entry.target_dn[0] = '\0';
        return read_again(work, "it vanished from the target", err);
    case LDAP_NO_SUCH_ATTRIBUTE:
    case LDAP_TYPE_OR_VALUE_EXISTS:
        work->renamed = false;
        return read_again(work, "somebody else changes it on the target", err);
    case LDAP_INAPPROPRIATE_MATCHING:
        if (work->replace_whole)
            return refused(work, code, words, err);
        work->replace_whole = true;
        work->renamed = false;
        return read_again(work, words, err);
    default:
        return refused(work, code, words, err);
    }
}

/* ---- reading back ---- */

/* What still differs after it was written, the target stores in its own way (I7): not written again while both sides stay
 * so. What it does not show at all was lost, which is no way of storing. */
static void note_altered(struct work *work)
{
    make_change(work);
    make_known(work);
    for (size_t i = 0; i < work->change.mod_count && work->known_count < WORK_KNOWN_MAX; i++) {
        const char *name = work->change.mods[i]->mod_type;
        const struct attribute *there = entry_find(&work->counts, name);
        struct store_entry_attribute *known = &work->known[work->known_count];
        if (i > 0 && entry_name_compare(name, work->change.mods[i - 1]->mod_type) == 0)
            continue;
        *known = (struct store_entry_attribute){.refused = !there};
        str_into(known->name, sizeof(known->name), name);
        str_into(known->words, sizeof(known->words),
                 there ? "the target stores it in another form" : "the target took it, and does not show it");
        mapping_digest_attribute(work->round->mapping, production_form(work, name), known->source);
        mapping_digest_attribute(work->round->mapping, there, known->target);
        work->known_count++;
    }
}

static int after_read_back(struct work *work, struct err *err)
{
    if (!work->target.found)
        return work_result(work, STORE_ENTRY_MISSING, "it was written, and is not there", true, err);
    work_result_digest(work, &work->of_wanted, &work->wanted);
    work_result_digest(work, &work->of_target, &work->target.entry);
    if (memcmp(work->of_wanted.bytes, work->of_target.bytes, sizeof(work->of_target.bytes)) == 0) {
        work->known_count = 0;
        return work_result_settled(work, err);
    }
    mapping_counts(work->round->mapping, &work->target.entry, &work->counts);
    work->has_counts = true;
    forget_known(work);
    note_altered(work);
    return work_result_settled(work, err);
}

int work_answer(struct work *work, struct connection *connection, LDAPMessage *message, struct err *err)
{
    struct err why = {0};
    bool ended = false;
    if (connection == work->round->target && ldap_msgid(message) == work->write_id)
        return take_write(work, message, err);
    struct work_read *read = connection == work->round->production ? &work->production : &work->target;
    if (take_read(read, connection, message, &ended, &why) != 0) {
        if (why.scope <= ERR_MESSAGE)
            return work_result(work, work->entry.target_dn[0] ? STORE_ENTRY_DIFFERS : STORE_ENTRY_MISSING,
                               why.text, true, err);
        *err = why;
        return -1;
    }
    if (!ended || work->production.message_id || work->target.message_id)
        return 0;
    if (work->state == WORK_READ_BACK)
        return after_read_back(work, err);
    if (work->entry.target_dn[0] && !work->target.found)
        work->entry.target_dn[0] = '\0';
    return after_reading(work, err);
}

void work_forget(struct work *work)
{
    entry_fini(&work->production.entry);
    entry_fini(&work->target.entry);
    entry_fini(&work->wanted);
    entry_fini(&work->counts);
    change_fini(&work->change);
}

void work_free(struct work *work)
{
    if (!work)
        return;
    work_forget(work);
    free(work->known);
    free(work);
}
