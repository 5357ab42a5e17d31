/*
 * The smallest change that makes the target's entry the wanted one; pure. Single values are added and deleted (so that a
 * change by an administrator at the same time is noticed, not overwritten), unless the attribute has no equality rule: then
 * it is replaced whole.
 */
#ifndef MIRROR_LDAPSYNC_CHANGE_H
#define MIRROR_LDAPSYNC_CHANGE_H

#include "base/buf.h"
#include "ldapsync/mapping.h"

struct change {
    bool add;          /* the target has no such entry */
    char *dn;          /* of the entry on the target; for add: to be */
    char *new_rdn;     /* rename: NULL if not */
    bool keep_old_rdn; /* some of the old RDN's values stay (deleteoldrdn 0) */
    char *dn_after;    /* of a rename: what it is called then */
    char *new_parent;  /* NULL: stays where it is */
    struct ldapmod **
        mods; /* NULL-terminated, LDAP_MOD_BVALUES; values borrowed from the entries; of a rename: what is left to do after it */
    size_t mod_count;
};

struct change_request {
    const struct mapping *mapping;
    const struct entry *wanted;
    const struct entry *target; /* what counts of it; NULL: not there */
    const char *const *
        leave_out; /* names as the target calls them, NULL-terminated: known as altered or refused; NULL: none */
    bool replace_whole; /* the target refused to delete single values: replace */
};
/* Kept attributes only for an add. Names of attributes with a mod, with options. Caller fini's. */
void change_make(const struct change_request *request, struct change *change_out);
/* Writes the number into the DN, where its RDN holds the attribute. */
void change_number_in_dn(struct entry *entry, const char *type, const char *number);
void change_fini(struct change *change);
bool change_is_empty(const struct change *change);

/* Names that differ, separated by blanks, cut at a name's end ("... and 3 more"). Also where nothing is to be done since
 * they are left out. */
void change_names(const struct mapping *mapping, const struct entry *wanted, const struct entry *target,
                  char *text, size_t size);

/* For people, without secrets: [{"name": "cn", "op": "add"|"delete"|"replace", "what": "Jörg Winter" | "20480 bytes" | "differs"}]
 * as JSON; and as LDIF (RFC 2849), where a secret's values are a comment "# standinPassword: not shown", and values of more
 * than 1,024 bytes "# standinNameAudio: 20480 bytes". */
char *change_json(const struct change *change, const struct mapping *mapping);
void change_ldif(const struct change *change, const struct mapping *mapping, struct buf *ldif);

#endif
