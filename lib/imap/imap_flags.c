/*
 * Flags as a value; see imap_flags.h. Keywords stand sorted without regard to case, so that comparing two sets is a
 * walk over both; a set that came in another order or case is the same set.
 */
#include "imap/imap_flags.h"

#include "base/buf.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    unsigned bit;
} system_flags[] = {
    {"\\Answered", IMAP_FLAG_ANSWERED}, {"\\Deleted", IMAP_FLAG_DELETED}, {"\\Draft", IMAP_FLAG_DRAFT},
    {"\\Flagged", IMAP_FLAG_FLAGGED},   {"\\Seen", IMAP_FLAG_SEEN},
};
enum { SYSTEM_FLAG_COUNT = sizeof(system_flags) / sizeof(system_flags[0]) };
enum { MAX_TEXT_BYTES = (IMAP_MAX_KEYWORDS + 1) * (IMAP_MAX_KEYWORD_BYTES + 1) };

void imap_flags_init(struct imap_flags *flags)
{
    *flags = (struct imap_flags){0};
}

void imap_flags_fini(struct imap_flags *flags)
{
    for (size_t i = 0; i < flags->keyword_count; i++)
        free(flags->keywords[i]);
    free(flags->keywords);
    imap_flags_init(flags);
}

void imap_flags_copy(struct imap_flags *dst, const struct imap_flags *src)
{
    if (dst == src)
        return;
    imap_flags_fini(dst);
    dst->system = src->system;
    if (src->keyword_count == 0)
        return;
    dst->keywords = mem_grow(NULL, src->keyword_count, sizeof(*dst->keywords));
    for (size_t i = 0; i < src->keyword_count; i++)
        dst->keywords[dst->keyword_count++] = str_copy(src->keywords[i]);
}

/* What RFC 3501 section 9 allows in an atom, and ']', which servers take as well: anything else could not be written
 * back in a STORE. */
static bool is_keyword(const char *text, size_t len)
{
    if (len == 0 || len > IMAP_MAX_KEYWORD_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || strchr("(){%*\"\\", c))
            return false;
    }
    return true;
}

/* Where `keyword` stands or belongs. */
static size_t place_of(const struct imap_flags *flags, const char *keyword, bool *found_out)
{
    size_t low = 0, high = flags->keyword_count;
    *found_out = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcasecmp(flags->keywords[middle], keyword);
        if (order == 0) {
            *found_out = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int add_keyword(struct imap_flags *flags, const char *text, size_t len)
{
    char *keyword;
    bool found;
    size_t place;
    if (!is_keyword(text, len))
        return -1;
    keyword = str_copy_n(text, len);
    place = place_of(flags, keyword, &found);
    if (found || flags->keyword_count == IMAP_MAX_KEYWORDS) {
        free(keyword);
        return found ? 0 : -1;
    }
    flags->keywords = mem_grow(flags->keywords, flags->keyword_count + 1, sizeof(*flags->keywords));
    memmove(flags->keywords + place + 1, flags->keywords + place,
            (flags->keyword_count - place) * sizeof(*flags->keywords));
    flags->keywords[place] = keyword;
    flags->keyword_count++;
    return 0;
}

int imap_flags_add(struct imap_flags *flags, const char *flag, size_t len)
{
    if (len == 0 || flag[0] != '\\')
        return add_keyword(flags, flag, len);
    for (size_t i = 0; i < SYSTEM_FLAG_COUNT; i++)
        if (strlen(system_flags[i].name) == len && strncasecmp(system_flags[i].name, flag, len) == 0)
            flags->system |= system_flags[i].bit;
    return 0;
}

bool imap_flags_has_keyword(const struct imap_flags *flags, const char *keyword)
{
    bool found;
    place_of(flags, keyword, &found);
    return found;
}

bool imap_flags_equal(const struct imap_flags *a, const struct imap_flags *b)
{
    if (a->system != b->system || a->keyword_count != b->keyword_count)
        return false;
    for (size_t i = 0; i < a->keyword_count; i++)
        if (strcasecmp(a->keywords[i], b->keywords[i]) != 0)
            return false;
    return true;
}

/* The keywords of `a` that stand in `b`, or that don't. */
static void choose(const struct imap_flags *a, const struct imap_flags *b, bool in_b,
                   struct imap_flags *result)
{
    for (size_t i = 0; i < a->keyword_count; i++)
        if (imap_flags_has_keyword(b, a->keywords[i]) == in_b)
            add_keyword(result, a->keywords[i], strlen(a->keywords[i]));
}

void imap_flags_minus(const struct imap_flags *a, const struct imap_flags *b, struct imap_flags *result)
{
    imap_flags_init(result);
    result->system = a->system & ~b->system;
    choose(a, b, false, result);
}

void imap_flags_common(const struct imap_flags *a, const struct imap_flags *b, struct imap_flags *result)
{
    imap_flags_init(result);
    result->system = a->system & b->system;
    choose(a, b, true, result);
}

bool imap_flags_is_empty(const struct imap_flags *flags)
{
    return flags->system == 0 && flags->keyword_count == 0;
}

static void add_word(struct buf *text, const char *word)
{
    if (buf_len(text) > 0)
        buf_add(text, " ", 1);
    buf_add_str(text, word);
}

char *imap_flags_format(const struct imap_flags *flags)
{
    struct buf text;
    char *copy;
    buf_init(&text, MAX_TEXT_BYTES);
    for (size_t i = 0; i < SYSTEM_FLAG_COUNT; i++)
        if (flags->system & system_flags[i].bit)
            add_word(&text, system_flags[i].name);
    for (size_t i = 0; i < flags->keyword_count; i++)
        add_word(&text, flags->keywords[i]);
    copy = str_copy(buf_data(&text));
    buf_fini(&text);
    return copy;
}

int imap_flags_parse(const char *text, struct imap_flags *flags_out)
{
    int result = 0;
    imap_flags_init(flags_out);
    while (*text) {
        size_t len = strcspn(text, " ");
        if (len > 0 && imap_flags_add(flags_out, text, len) != 0)
            result = -1;
        text += len;
        text += strspn(text, " ");
    }
    return result;
}

/* ---- the digest of a folder's flags ---- */

struct imap_flags_digest {
    struct digest *digest;
};

struct imap_flags_digest *imap_flags_digest_new(void)
{
    struct imap_flags_digest *digest = mem_new(sizeof(*digest));
    digest->digest = digest_new();
    return digest;
}

void imap_flags_digest_free(struct imap_flags_digest *digest)
{
    if (!digest)
        return;
    digest_free(digest->digest);
    free(digest);
}

/* In lower case: a server may write a keyword as the last client did. */
void imap_flags_digest_add(struct imap_flags_digest *digest, uint32_t uid, const struct imap_flags *flags)
{
    char *text = imap_flags_format(flags), *line = str_format("%u %s\n", uid, text);
    for (char *c = line; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    digest_add(digest->digest, line, strlen(line));
    free(text);
    free(line);
}

void imap_flags_digest_end(struct imap_flags_digest *digest, uint8_t out[DIGEST_BYTES])
{
    struct digest_pair pair;
    digest_end(digest->digest, &pair);
    memcpy(out, pair.raw, DIGEST_BYTES);
}
