/*
 * The ladder of capabilities; see imap_capability.h. Used by every process that has IMAP sessions.
 */
#include "imap/imap_capability.h"

#include "base/str.h"

#include <string.h>
#include <strings.h>

static const char *const names[] = {
#define IMAP_CAPABILITY_NAME(id, name, help) [IMAP_CAP_##id] = name,
    IMAP_CAPABILITIES(IMAP_CAPABILITY_NAME)
#undef IMAP_CAPABILITY_NAME
};

#define BIT(id) (UINT32_C(1) << (id))

static uint32_t bit_of(const char *word, size_t len)
{
    for (int id = 0; id < IMAP_CAP_COUNT; id++)
        if (strlen(names[id]) == len && strncasecmp(names[id], word, len) == 0)
            return BIT(id);
    return 0;
}

static uint32_t bits_of_disabled(const struct config_strings *disabled)
{
    uint32_t bits = 0;
    for (size_t i = 0; disabled && i < disabled->count; i++)
        bits |= bit_of(disabled->items[i], strlen(disabled->items[i]));
    return bits;
}

uint32_t imap_capability_parse(const char *words, const struct config_strings *disabled)
{
    uint32_t bits = 0, off = bits_of_disabled(disabled);
    while (*words) {
        size_t len = strcspn(words, " ");
        bits |= bit_of(words, len);
        words += len;
        words += strspn(words, " ");
    }
    if (bits & BIT(IMAP_CAP_LIST_STATUS))
        bits |= BIT(IMAP_CAP_LIST_EXTENDED);
    /* LIST ... RETURN is the syntax of LIST-EXTENDED. */
    if (off & BIT(IMAP_CAP_LIST_EXTENDED))
        off |= BIT(IMAP_CAP_LIST_STATUS);
    return bits & ~off;
}

const char *imap_capability_name(enum imap_capability_id id)
{
    return names[id];
}
