/*
 * Words shared by the parts of the IMAP engine (RFC 3501 and the extensions of imap_capability.h).
 */
#ifndef MIRROR_IMAP_TYPES_H
#define MIRROR_IMAP_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Flags of one message: system flags as bits, keywords sorted (ASCII, case kept as first seen) and without
 * duplicates; \Recent is never kept. */
enum imap_system_flag {
    IMAP_FLAG_SEEN = 1,
    IMAP_FLAG_ANSWERED = 2,
    IMAP_FLAG_FLAGGED = 4,
    IMAP_FLAG_DELETED = 8,
    IMAP_FLAG_DRAFT = 16,
};

enum { IMAP_MAX_KEYWORDS = 64, IMAP_MAX_KEYWORD_BYTES = 255 };

struct imap_flags {
    unsigned system; /* IMAP_FLAG_* */
    char **keywords;
    size_t keyword_count;
};

/* INTERNALDATE as the server wrote it ("dd-Mon-yyyy hh:mm:ss +zzzz", 26 bytes) and as an instant. */
struct imap_date {
    char text[32];
    int64_t unix_seconds;
};

/* What STATUS, SELECT and EXAMINE tell. Values not told have their `has_` false. */
struct imap_folder_status {
    uint32_t exists;
    uint32_t uidnext;
    uint32_t uidvalidity;
    uint32_t unseen;
    uint64_t highestmodseq; /* 0: none (NOMODSEQ, no CONDSTORE) */
    bool has_exists, has_uidnext, has_uidvalidity, has_unseen;
    /* SELECT/EXAMINE only */
    bool read_only;
    bool permanent_any_keyword;  /* PERMANENTFLAGS holds \* (or none was sent: then assumed) */
    struct imap_flags permanent; /* flags that can be stored */
};

/* One folder from LIST. */
struct imap_list_entry {
    char *name;      /* UTF-8, levels separated by '/', a '/' inside a level written as "%2F", '%' as "%25" */
    char *wire_name; /* exactly as the server wrote it (modified UTF-7, its delimiter): what commands use */
    char delimiter;  /* 0: NIL */
    bool no_select;  /* \Noselect or \NonExistent */
    bool has_status;
    struct imap_folder_status
        status; /* with LIST-STATUS, or filled by imap_session_list() with STATUS commands */
};

struct imap_list {
    struct imap_list_entry *entries;
    size_t count;
};

void imap_list_fini(struct imap_list *list);
void imap_folder_status_fini(struct imap_folder_status *status);

#endif
