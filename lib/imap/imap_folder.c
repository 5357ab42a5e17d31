/*
 * A folder's figures; see imap_folder.h. Zero is no UIDVALIDITY and no UIDNEXT (RFC 3501 section 9: nz-number), so it
 * counts as not told.
 */
#include "imap/imap_folder.h"

#include "base/str.h"
#include "imap/imap_flags.h"

#include <string.h>
#include <strings.h>

void imap_folder_status_fini(struct imap_folder_status *status)
{
    imap_flags_fini(&status->permanent);
    *status = (struct imap_folder_status){0};
}

static void take_number(const char *value, bool zero_allowed, uint32_t *number, bool *has)
{
    uint32_t told;
    if (str_to_u32(value, &told) != 0 || (told == 0 && !zero_allowed))
        return;
    *number = told;
    *has = true;
}

static void take_modseq(const char *value, uint64_t *modseq)
{
    uint64_t told;
    if (str_to_u64(value, &told) == 0)
        *modseq = told;
}

void imap_folder_take_status(struct imap_folder_status *status, const char *name, const char *value)
{
    if (str_equal_nocase(name, "MESSAGES"))
        take_number(value, true, &status->exists, &status->has_exists);
    else if (str_equal_nocase(name, "UIDNEXT"))
        take_number(value, false, &status->uidnext, &status->has_uidnext);
    else if (str_equal_nocase(name, "UIDVALIDITY"))
        take_number(value, false, &status->uidvalidity, &status->has_uidvalidity);
    else if (str_equal_nocase(name, "UNSEEN"))
        take_number(value, true, &status->unseen, &status->has_unseen);
    else if (str_equal_nocase(name, "HIGHESTMODSEQ"))
        take_modseq(value, &status->highestmodseq);
}

/* More keywords than we keep, or one that we could not write: then the server decides, one STORE at a time. */
static void take_permanent(struct imap_folder_status *status, const char *list)
{
    imap_flags_fini(&status->permanent);
    status->permanent_any_keyword = false;
    list += strspn(list, " (");
    while (*list && *list != ')') {
        size_t len = strcspn(list, " )");
        if (len == 2 && strncmp(list, "\\*", 2) == 0)
            status->permanent_any_keyword = true;
        else if (imap_flags_add(&status->permanent, list, len) != 0)
            status->permanent_any_keyword = true;
        list += len;
        list += strspn(list, " ");
    }
}

/* The value behind `name`, or NULL if the code is another one. */
static const char *value_of(const char *code, const char *name)
{
    size_t len = strlen(name);
    if (strncasecmp(code, name, len) != 0 || (code[len] != ' ' && code[len] != 0))
        return NULL;
    return code + len + strspn(code + len, " ");
}

/* Not UNSEEN: in SELECT it is the number of the first unseen message, in STATUS their count. */
void imap_folder_take_code(struct imap_folder_status *status, const char *code)
{
    const char *value;
    if ((value = value_of(code, "UIDVALIDITY")))
        take_number(value, false, &status->uidvalidity, &status->has_uidvalidity);
    else if ((value = value_of(code, "UIDNEXT")))
        take_number(value, false, &status->uidnext, &status->has_uidnext);
    else if ((value = value_of(code, "HIGHESTMODSEQ")))
        take_modseq(value, &status->highestmodseq);
    else if (value_of(code, "NOMODSEQ"))
        status->highestmodseq = 0;
    else if (value_of(code, "READ-ONLY"))
        status->read_only = true;
    else if (value_of(code, "READ-WRITE"))
        status->read_only = false;
    else if ((value = value_of(code, "PERMANENTFLAGS")))
        take_permanent(status, value);
}

void imap_folder_begin(struct imap_folder_status *status)
{
    imap_folder_status_fini(status);
    status->permanent_any_keyword = true;
}

/* RFC 3501 section 7.1: without PERMANENTFLAGS all flags can be changed; PERMANENTFLAGS comes after FLAGS. */
void imap_folder_take_flags(struct imap_folder_status *status, const struct imap_flags *flags)
{
    if (status->permanent_any_keyword)
        imap_flags_copy(&status->permanent, flags);
}
