/*
 * The second look of production (I6), against a scripted server: from which answers it is concluded that a message is gone.
 */
#include "copier/source.h"
#include "imap_client.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OPEN(exists, uidvalidity, uidnext)                                                                   \
    "C: EXAMINE \"INBOX\"", "S: * " exists " EXISTS", "S: * OK [UIDVALIDITY " uidvalidity "] valid",         \
        "S: * OK [UIDNEXT " uidnext "] next", "S: $ OK [READ-ONLY] done"
#define SEARCH "C: UID SEARCH ALL"
#define NOTHING_CONCLUDED ": nothing is concluded from it"

/* Marks: UIDVALIDITY 7, UIDNEXT 10. */
static const struct {
    const char *name, *capabilities;
    const char *uids; /* NULL: an error of the folder, that ends like this: */
    const char *error;
    const char *const *script;
} looks[] = {
    {"whole", "", "1 3 9 ", NULL,
     IMAP_SCRIPT(OPEN("3", "7", "10"), SEARCH, "S: * SEARCH 3 9 1", "S: $ OK done")},
    {"whole, by ESEARCH", "ESEARCH", "3 4 9 ", NULL,
     IMAP_SCRIPT(OPEN("3", "7", "10"), "C: UID SEARCH RETURN (ALL) ALL",
                 "S: * ESEARCH (TAG \"$\") UID ALL 3:4,9", "S: $ OK done")},
    {"empty", "", "", NULL, IMAP_SCRIPT(OPEN("0", "7", "10"), SEARCH, "S: * SEARCH", "S: $ OK done")},
    {"empty by EXISTS, but not by SEARCH", "", NULL,
     "SEARCH gave 2 messages where production counts 0" NOTHING_CONCLUDED,
     IMAP_SCRIPT(OPEN("0", "7", "10"), SEARCH, "S: * SEARCH 1 3", "S: $ OK done")},
    {"no EXISTS at all", "", NULL,
     "the server opens the folder but does not tell how many messages exist in it",
     IMAP_SCRIPT("C: EXAMINE \"INBOX\"", "S: * OK [UIDVALIDITY 7] v", "S: * OK [UIDNEXT 10] n",
                 "S: $ OK done")},
    {"one arrives meanwhile", "", "1 3 9 10 ", NULL,
     IMAP_SCRIPT(OPEN("3", "7", "10"), SEARCH, "S: * SEARCH 1 3 9 10", "S: $ OK done")},
    {"one arrives, and is not listed", "", "1 3 9 ", NULL,
     IMAP_SCRIPT(OPEN("3", "7", "10"), SEARCH, "S: * SEARCH 1 3 9", "S: * 4 EXISTS", "S: $ OK done")},
    {"one goes meanwhile", "", "1 9 ", NULL,
     IMAP_SCRIPT(OPEN("3", "7", "10"), SEARCH, "S: * SEARCH 1 9", "S: * 2 EXPUNGE", "S: $ OK done")},

    {"short", "", NULL, "SEARCH gave 2 messages where production counts 3" NOTHING_CONCLUDED,
     IMAP_SCRIPT(OPEN("3", "7", "10"), SEARCH, "S: * SEARCH 1 3", "S: $ OK done")},
    {"empty", "", NULL, "SEARCH gave 0 messages where production counts 3" NOTHING_CONCLUDED,
     IMAP_SCRIPT(OPEN("3", "7", "10"), SEARCH, "S: * SEARCH", "S: $ OK done")},
    {"no answer but OK", "", NULL, "SEARCH gave 0 messages where production counts 3" NOTHING_CONCLUDED,
     IMAP_SCRIPT(OPEN("3", "7", "10"), SEARCH, "S: $ OK done")},
    {"one twice", "", NULL, "SEARCH gave 2 messages where production counts 3" NOTHING_CONCLUDED,
     IMAP_SCRIPT(OPEN("3", "7", "10"), SEARCH, "S: * SEARCH 1 3 3", "S: $ OK done")},
    {"short, by ESEARCH", "ESEARCH", NULL,
     "SEARCH gave 0 messages where production counts 3" NOTHING_CONCLUDED,
     IMAP_SCRIPT(OPEN("3", "7", "10"), "C: UID SEARCH RETURN (ALL) ALL", "S: * ESEARCH (TAG \"$\") UID",
                 "S: $ OK done")},
    {"longer", "", NULL, "SEARCH gave 4 messages where production counts 3" NOTHING_CONCLUDED,
     IMAP_SCRIPT(OPEN("3", "7", "10"), SEARCH, "S: * SEARCH 1 2 3 4", "S: $ OK done")},
    {"short, and NO", "", NULL, "NO too busy",
     IMAP_SCRIPT(OPEN("3", "7", "10"), SEARCH, "S: * SEARCH 1 3", "S: $ NO too busy")},
    {"another UIDVALIDITY", "", NULL, "made the folder anew between two looks: nothing is concluded",
     IMAP_SCRIPT(OPEN("3", "8", "10"))},
    {"another UIDVALIDITY, and empty", "", NULL,
     "made the folder anew between two looks: nothing is concluded", IMAP_SCRIPT(OPEN("0", "8", "1"))},
    {"no UIDVALIDITY", "", NULL, "made the folder anew between two looks: nothing is concluded",
     IMAP_SCRIPT("C: EXAMINE \"INBOX\"", "S: * 0 EXISTS", "S: $ OK done")},
    {"UIDNEXT went back", "", NULL, "made the folder anew between two looks: nothing is concluded",
     IMAP_SCRIPT(OPEN("0", "7", "9"))},
    {"NO to EXAMINE", "", NULL, "EXAMINE: NO gone", IMAP_SCRIPT("C: EXAMINE \"INBOX\"", "S: $ NO gone")},
};

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void test_second_look(void **state)
{
    const struct imap_list_entry entry = {.name = (char[]){"INBOX"}, .wire_name = (char[]){"INBOX"}};
    const struct store_folder_marks marks = {
        .has_source = true, .source_uidvalidity = 7, .source_uidnext = 10, .source_exists = 3};
    (void)state;
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        struct imap_client client;
        struct imap_uids uids = {0};
        struct err err = {0};
        imap_client_log_in(&client, looks[i].capabilities, looks[i].script);
        int result = source_list_uids(client.session, &entry, &marks, &uids, &err);
        for (size_t k = 0; k < uids.count; k++)
            buf_addf(&client.seen, "%u ", uids.items[k]);
        if (looks[i].uids ? result != 0 || !str_equal(buf_data(&client.seen), looks[i].uids)
                          : result != -1 || err.scope != ERR_FOLDER || !ends_with(err.text, looks[i].error))
            fail_msg("%s: %d, \"%s\", %s", looks[i].name, result, buf_data(&client.seen), err.text);
        imap_uids_fini(&uids);
        imap_client_end(&client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_second_look)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
