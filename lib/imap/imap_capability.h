/*
 * The ladder of capabilities, one table: what each is called in CAPABILITY, what it lets us do. Each can be switched
 * off per site (imap.disable_capabilities): then no such command is sent and no such answer is used.
 */
#ifndef MIRROR_IMAP_CAPABILITY_H
#define MIRROR_IMAP_CAPABILITY_H

#include "base/config.h"

#include <stdint.h>

#define IMAP_CAPABILITIES(X)                                                                                 \
    X(LITERAL_PLUS, "LITERAL+", "RFC 7888: literals without waiting")                                        \
    X(UIDPLUS, "UIDPLUS", "RFC 4315: APPENDUID, UID EXPUNGE")                                                \
    X(MULTIAPPEND, "MULTIAPPEND", "RFC 3502: several messages in one APPEND")                                \
    X(CONDSTORE, "CONDSTORE", "RFC 7162: HIGHESTMODSEQ, CHANGEDSINCE")                                       \
    X(ESEARCH, "ESEARCH", "RFC 4731: compact SEARCH results")                                                \
    X(LIST_EXTENDED, "LIST-EXTENDED", "RFC 5258: needed for RETURN")                                         \
    X(LIST_STATUS, "LIST-STATUS", "RFC 5819: LIST ... RETURN (STATUS ...)")                                  \
    X(ID, "ID", "RFC 2971: names of the programs")                                                           \
    X(ENABLE, "ENABLE", "RFC 5161: ENABLE CONDSTORE")                                                        \
    X(UNSELECT, "UNSELECT", "RFC 3691: leave a folder without EXPUNGE")                                      \
    X(SASL_IR, "SASL-IR", "RFC 4959: initial response with AUTHENTICATE")

enum imap_capability_id {
#define IMAP_CAPABILITY_ENUM(id, name, help) IMAP_CAP_##id,
    IMAP_CAPABILITIES(IMAP_CAPABILITY_ENUM)
#undef IMAP_CAPABILITY_ENUM
        IMAP_CAP_COUNT
};

/* Bit set of imap_capability_id from the words of a CAPABILITY answer (blank-separated), less the disabled ones.
 * LIST-STATUS without LIST-EXTENDED is taken (RFC 5819 implies it). */
uint32_t imap_capability_parse(const char *words, const struct config_strings *disabled);
const char *imap_capability_name(enum imap_capability_id id);

#endif
