/* Pure; see the header. Run by the scanner for each mirror of a mailbox it looked at. */
#include "scanner/scan_compare.h"

#include "base/str.h"

#include <string.h>

const char *scan_compare_words(unsigned differences)
{
#define SCAN_DIFFERENCE_WORDS(id, bit, words)                                                                \
    if (differences & SCAN_DIFF_##id)                                                                        \
        return words;
    SCAN_DIFFERENCES(SCAN_DIFFERENCE_WORDS)
#undef SCAN_DIFFERENCE_WORDS
    return "nothing";
}

const struct store_marks *scan_compare_find(const struct scan_marks *marks, const char *name)
{
    for (size_t i = 0; i < marks->count; i++) {
        if (str_equal(marks->folders[i].name, name))
            return &marks->folders[i];
    }
    return NULL;
}

bool scan_compare_is_whole(const struct scan_folder *folder)
{
    const struct imap_folder_status *status = folder->status;

    return status != NULL && status->has_uidvalidity && status->has_uidnext && status->has_exists;
}

static bool has_all_marks(const struct store_marks *marks)
{
    return marks->has_uidvalidity && marks->has_uidnext && marks->has_exists;
}

/* What STATUS shows by itself. */
static unsigned figures_differ(const struct imap_folder_status *status, const struct store_marks *marks)
{
    unsigned found = 0;

    if (status->uidvalidity != marks->uidvalidity)
        found |= SCAN_DIFF_UIDVALIDITY;
    else if (status->uidnext > marks->uidnext)
        found |= SCAN_DIFF_NEW_MESSAGES;
    else if (status->uidnext < marks->uidnext)
        found |= SCAN_DIFF_UIDNEXT_BACK;
    if (status->exists != marks->exists)
        found |= SCAN_DIFF_MESSAGES;
    if (status->has_unseen && marks->has_unseen && status->unseen != marks->unseen)
        found |= SCAN_DIFF_UNSEEN;
    if (status->highestmodseq != 0 && marks->has_highestmodseq &&
        status->highestmodseq != marks->highestmodseq)
        found |= SCAN_DIFF_MODSEQ;
    return found;
}

/* Both sides have a HIGHESTMODSEQ: it stands for every flag and keyword (RFC 7162 section 3.1.2). */
static bool modseq_speaks(const struct imap_folder_status *status, const struct store_marks *marks)
{
    return status->highestmodseq != 0 && marks->has_highestmodseq;
}

bool scan_compare_wants_flags(const struct scan_folder *folder, const struct store_marks *marks,
                              const struct scan_flags_rule *rule)
{
    if (folder->has_digest || !scan_compare_is_whole(folder) || marks == NULL || marks->gone ||
        !has_all_marks(marks) || !marks->has_flags_digest)
        return false;
    if (modseq_speaks(folder->status, marks) || figures_differ(folder->status, marks) != 0)
        return false;
    return folder->status->exists <= rule->max_messages || rule->full_look;
}

/* Without a digest in the marks nothing speaks for the flags: the copier must list them once. */
static unsigned flags_differ(const struct scan_folder *folder, const struct store_marks *marks)
{
    if (modseq_speaks(folder->status, marks))
        return 0;
    if (!marks->has_flags_digest)
        return SCAN_DIFF_FLAGS;
    if (folder->has_digest && memcmp(folder->digest, marks->flags_digest, sizeof(folder->digest)) != 0)
        return SCAN_DIFF_FLAGS;
    return 0;
}

static unsigned compare_folder(const struct scan_folder *folder, const struct store_marks *marks,
                               bool first_copy, bool *unproven_out)
{
    unsigned found;

    if (marks == NULL || marks->gone) {
        if (first_copy)
            return SCAN_DIFF_NEVER_MIRRORED;
        found = SCAN_DIFF_NEW_FOLDER;
        if (folder->status != NULL && folder->status->has_exists && folder->status->exists > 0)
            found |= SCAN_DIFF_NEW_MESSAGES;
        return found;
    }
    if (!has_all_marks(marks))
        return SCAN_DIFF_NEVER_MIRRORED;
    if (folder->failed || !scan_compare_is_whole(folder))
        *unproven_out = true;
    if (!scan_compare_is_whole(folder))
        return 0;
    found = figures_differ(folder->status, marks);
    return found != 0 ? found : flags_differ(folder, marks);
}

static void add_difference(struct scan_verdict *verdict, unsigned found, const char *folder)
{
    unsigned before = verdict->differences;

    if (found == 0)
        return;
    verdict->differences |= found;
    /* Lower bits are graver. */
    if (before == 0 || (found & -found) < (before & -before))
        verdict->folder = folder;
}

static bool is_listed(const struct scan_folder *folders, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(folders[i].name, name))
            return true;
    }
    return false;
}

void scan_compare_mirror(const struct scan_folder *folders, size_t count, const struct scan_marks *marks,
                         struct scan_verdict *verdict_out)
{
    *verdict_out = (struct scan_verdict){0};
    for (size_t i = 0; i < count; i++) {
        unsigned found = compare_folder(&folders[i], scan_compare_find(marks, folders[i].name),
                                        marks->count == 0, &verdict_out->unproven);

        add_difference(verdict_out, found, folders[i].name);
    }
    for (size_t i = 0; i < marks->count; i++) {
        if (!marks->folders[i].gone && !is_listed(folders, count, marks->folders[i].name))
            add_difference(verdict_out, SCAN_DIFF_FOLDER_MISSING, marks->folders[i].name);
    }
}

uint32_t scan_compare_priority(unsigned differences)
{
    return differences & SCAN_DIFF_NEW_MESSAGES ? SCAN_PRIORITY_NEW : SCAN_PRIORITY_ORDINARY;
}
