/*
 * Unit tests of what is pure in ldapsync: names and DNs, the mapping, the smallest change and its digests, ranges of numbers,
 * the marks, the values of syncrepl's controls, and the brake.
 */
#include "base/str.h"
#include "ldapsync/change.h"
#include "ldapsync/change_marks.h"
#include "ldapsync/dn.h"
#include "ldapsync/ranges.h"
#include "ldapsync/sync_value.h"
#include "store/store_entry_brake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ldap.h>

/* ---- a route ---- */

static char *kept[] = {(char[]){"roomNumber"}}, *excluded[] = {(char[]){"standinModified"}},
            *dns[] = {(char[]){"manager"}}, *secrets[] = {(char[]){"standinPassword"}};
static struct config_rename renames[] = {{(char[]){"fax"}, (char[]){"facsimile"}}};
static struct config_replace replaces[] = {{(char[]){"host"}, (char[]){"one"}, (char[]){"two"}}};
static struct config_site from = {.ldap = {.people_dn = (char[]){"ou=People,dc=a"},
                                           .cos_dn = (char[]){"ou=COS,dc=a"},
                                           .mailbox_attribute = (char[]){"number"},
                                           .cos_attribute = (char[]){"cos"},
                                           .password_attributes = {secrets, 1}}},
                          to = {.ldap = {.people_dn = (char[]){"ou=P,o=b"}, .cos_dn = (char[]){"ou=C,o=b"}}};
static struct config_route route = {.from_site = &from,
                                    .to_site = &to,
                                    .directory = {.exclude_attributes = {excluded, 1},
                                                  .keep_attributes = {kept, 1},
                                                  .dn_attributes = {dns, 1},
                                                  .rename_attributes = renames,
                                                  .rename_attributes_count = 1,
                                                  .replace_values = replaces,
                                                  .replace_values_count = 1}};

static struct mapping *new_mapping(const struct schema_view *schema)
{
    return mapping_new(
        &(struct mapping_params){.route = &route, .production = schema, .target = schema, .key = {7}});
}

/* "dn|name=value|name=value" */
static struct entry make(const char *text)
{
    struct entry entry = {0};
    char *copy = str_copy(text), *rest = copy, *part;
    entry.dn = str_copy(strsep(&rest, "|"));
    while ((part = strsep(&rest, "|")) != NULL) {
        char *value = strchr(part, '=');
        *value++ = '\0';
        entry_add(&entry, part, value, strlen(value));
    }
    free(copy);
    return entry;
}

static void test_names_and_dns(void **state)
{
    char text[200];
    (void)state;
    assert_int_equal(entry_name_compare("CN;lang-de;x-1", "cn;X-1;lang-DE"), 0);
    assert_int_not_equal(entry_name_compare("cn", "cn;lang-de"), 0);
    assert_true(entry_name_is_of("cn;lang-de", "CN") && !entry_name_is_of("cnx", "cn"));
    assert_int_equal(dn_normalise("UID = Anna ,  OU=People,DC=a", text, sizeof(text)), 0);
    assert_string_equal(text, "uid=Anna,ou=People,dc=a");
    assert_int_equal(dn_normalise("no DN", text, sizeof(text)), -1);
    assert_true(dn_move("uid=x,OU=people,dc=A", "ou=People,dc=a", "o=b", NULL, 0));
    assert_false(dn_move("uid=x,ou=Other People,dc=a", "ou=People,dc=a", "o=b", NULL, 0));
}

/* Those that are handled as text come out as libldap would have it. */
static void test_plain_dns(void **state)
{
    static const struct {
        const char *dn;
        bool plain;
    } table[] = {{"uid=1,ou=People,dc=a", true},
                 {"CN=Anna B. Meyer,OU=x-1,o=b/c@d_e", true},
                 {"cn= a,o=b", false},
                 {"cn=a ,o=b", false},
                 {"cn=a,o=b ", false},
                 {"cn=a, o=b", false},
                 {"cn=a  b,o=b", false},
                 {"cn=a+uid=1,o=b", false},
                 {"cn=a\\,b,o=b", false},
                 {"cn=\"a\",o=b", false},
                 {"cn=#0401,o=b", false},
                 {"1.2.3=a,o=b", false},
                 {"cn=\xc3\xa4,o=b", false},
                 {"cn=,o=b", false},
                 {"cn=a,,o=b", false},
                 {"cn=a;o=b", false},
                 {"cn=a,o=b,", false},
                 {"", false},
                 {"cn", false}};
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        LDAPDN parts = NULL;
        char *printed = NULL, normal[100];
        assert_int_equal(dn_is_plain(table[i].dn), table[i].plain);
        if (!table[i].plain)
            continue;
        assert_int_equal(ldap_str2dn(table[i].dn, &parts, LDAP_DN_FORMAT_LDAPV3), LDAP_SUCCESS);
        assert_int_equal(ldap_dn2str(parts, &printed, LDAP_DN_FORMAT_LDAPV3), LDAP_SUCCESS);
        assert_string_equal(printed, table[i].dn);
        assert_int_equal(dn_normalise(table[i].dn, normal, sizeof(normal)), 0);
        assert_int_equal(strcasecmp(normal, printed), 0);
        assert_int_equal(dn_normalise(table[i].dn, normal, strlen(table[i].dn)), -1);
        ldap_memfree(printed);
        ldap_dnfree(parts);
    }
}

static void test_moved_dns(void **state)
{
    static const struct {
        const char *dn, *from, *to, *moved;
    } table[] = {{"uid=1,ou=People,dc=a", "OU=people,dc=a", "o=b", "uid=1,o=b"},
                 {"uid=1,ou=People,dc=a", "ou=People, dc=a", "o=b", "uid=1,o=b"},
                 {"ou=People,dc=a", "ou=People,dc=a", "o=b", "o=b"},
                 {"ou=People , dc=a", "ou=People,dc=a", "o=b", "o=b"},
                 {"uid=1,xou=People,dc=a", "ou=People,dc=a", "o=b", NULL},
                 {"uid=1+cn=x,ou=People,dc=a", "ou=People,dc=a", "o=b", "uid=1+cn=x,o=b"},
                 {"dc=a", "ou=People,dc=a", "o=b", NULL},
                 {"uid=1,dc=a", "dc=a", "o=this is far too long for the room that there is", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char moved[40];
        assert_int_equal(dn_move(table[i].dn, table[i].from, table[i].to, moved, sizeof(moved)),
                         table[i].moved != NULL);
        if (table[i].moved)
            assert_string_equal(moved, table[i].moved);
    }
}

static void test_mapping(void **state)
{
    struct schema_view *schema = schema_view_new();
    struct mapping *mapping = new_mapping(schema);
    struct entry production = make("uid=1,ou=People,dc=a|number=1|fax;x-1=5|standinModified=now|host=one.one|"
                                   "manager=uid=9,ou=People,dc=a|roomNumber=7"),
                 wanted;
    struct err err = {0};
    char lacks[100];
    (void)state;
    assert_int_equal(mapping_wanted(mapping, &production, &wanted, &err), 0);
    assert_string_equal(wanted.dn, "uid=1,ou=P,o=b");
    assert_non_null(entry_find(&wanted, "facsimile;x-1"));
    assert_null(entry_find(&wanted, "standinModified"));
    assert_string_equal(entry_find(&wanted, "host")->values[0].bv_val, "two.two");
    assert_string_equal(entry_find(&wanted, "manager")->values[0].bv_val, "uid=9,ou=P,o=b");
    assert_int_equal(mapping_lacks(mapping, &production, lacks, sizeof(lacks)), 2);
    assert_string_equal(lacks, "cos standinPassword");
    uint8_t straight[32], copied[32];
    assert_int_equal(mapping_digest_wanted(mapping, &production, straight, &err), 0);
    mapping_digest(mapping, &wanted, copied);
    assert_memory_equal(straight, copied, sizeof(copied));
    entry_fini(&production);
    entry_fini(&wanted);
    mapping_free(mapping);
    schema_view_free(schema);
}

/* wanted, what is there, the change as "op name=values;" */
static const struct {
    const char *wanted, *target, *change;
} changes[] = {
    {"uid=1,o=b|a=1", "uid=1,o=b|a=1", ""},
    {"uid=1,o=b|A=1", "uid=1,o=b|a=1", ""},
    {"uid=1,o=b|a=1|a=2", "uid=1,o=b|a=2|a=3", "delete a=3;add a=1;"},
    {"uid=1,o=b|a;x-1=1", "uid=1,o=b|a=1", "add a;x-1=1;delete a=1;"},
    {"uid=1,o=b|objectClass=Person", "uid=1,o=b|objectClass=person", ""},
    {"uid=1,o=b|a=1|b=1", "uid=1,o=b|b=1|A=1", ""},
    {"uid=1,o=b|a;y;x=1|a;z=2", "uid=1,o=b|a;Z=2|a;x;y=1", ""},
    {"uid=1,o=b|a=12", "uid=1,o=b|a=1", "delete a=1;add a=12;"},
    {"uid=1,o=b|blob=1", "uid=1,o=b|blob=2", "replace blob=1;"},
    {"uid=1,o=b", "uid=1,o=b|blob=2", "replace blob;"},
    {"uid=1,o=b|roomNumber=1", "uid=1,o=b|roomNumber=2", ""},
    {"uid=2,o=b|uid=2|a=1", "uid=1,o=b|uid=1|a=2", "rename uid=2;delete a=2;add a=1;"},
    {"uid=2,o=b|uid=2", "uid=2,ou=x,o=b|uid=2", "rename uid=2;"},
    {"cn=x+uid=2,o=b|cn=x|uid=2", "cn=x+uid=1,o=b|cn=x|uid=1", "rename cn=x+uid=2;"},
    {"cn=x,o=b|cn=x|uid=1", "uid=1,o=b|uid=1", "rename cn=x and keep the old;"},
    {"cn=x,o=b|cn=x|uid=2", "uid=1,o=b|uid=1", "rename cn=x;add uid=2;"},
    {"cn=x,o=b|cn=x|uid=1", "uid=1+a=2,o=b|uid=1|a=2", "rename cn=x and keep the old;delete a=2;"},
};

static void print_change(const struct change *change, char *text, size_t size)
{
    static const char *const ops[] = {"add", "delete", "replace"};
    size_t len = 0;
    text[0] = '\0';
    if (change->new_rdn)
        len += (size_t)snprintf(text, size, "rename %s%s;", change->new_rdn,
                                change->keep_old_rdn ? " and keep the old" : "");
    for (size_t i = 0; i < change->mod_count; i++) {
        const LDAPMod *mod = change->mods[i];
        len +=
            (size_t)snprintf(text + len, size - len, "%s %s", ops[mod->mod_op & LDAP_MOD_OP], mod->mod_type);
        for (size_t j = 0; mod->mod_bvalues[j]; j++)
            len +=
                (size_t)snprintf(text + len, size - len, "%s%s", j ? "," : "=", mod->mod_bvalues[j]->bv_val);
        len += (size_t)snprintf(text + len, size - len, ";");
    }
}

/* Equal digests if and only if nothing is to be changed: what is compared in bulk and what is written agree. */
static void test_changes_and_digests(void **state)
{
    struct schema_view *schema = schema_view_new();
    (void)state;
    schema_view_add_type(schema, "( 1.1 NAME 'blob' SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )");
    schema_view_add_type(schema,
                         "( 1.2 NAME 'a' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )");
    struct mapping *mapping = new_mapping(schema);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct entry wanted = make(changes[i].wanted), target = make(changes[i].target);
        struct change change;
        char text[300];
        uint8_t one[32], other[32];
        change_make(&(struct change_request){.mapping = mapping, .wanted = &wanted, .target = &target},
                    &change);
        print_change(&change, text, sizeof(text));
        assert_string_equal(text, changes[i].change);
        mapping_digest(mapping, &wanted, one);
        mapping_digest(mapping, &target, other);
        assert_int_equal(memcmp(one, other, 32) == 0, change_is_empty(&change));
        change_fini(&change);
        entry_fini(&wanted);
        entry_fini(&target);
    }
    mapping_free(mapping);
    schema_view_free(schema);
}

static void test_no_secret_is_shown(void **state)
{
    struct schema_view *schema = schema_view_new();
    struct mapping *mapping = new_mapping(schema);
    struct entry wanted = make("uid=1,o=b|standinPassword=12345|sn=Winter");
    struct change change;
    struct buf ldif;
    (void)state;
    buf_init(&ldif, 10000);
    change_make(&(struct change_request){.mapping = mapping, .wanted = &wanted}, &change);
    change_ldif(&change, mapping, &ldif);
    char *json = change_json(&change, mapping);
    assert_non_null(strstr(buf_data(&ldif), "sn: Winter\n"));
    assert_non_null(strstr(buf_data(&ldif), "# standinPassword: not shown\n"));
    assert_null(strstr(buf_data(&ldif), "12345"));
    assert_null(strstr(json, "12345"));
    free(json);
    buf_fini(&ldif);
    change_fini(&change);
    entry_fini(&wanted);
    mapping_free(mapping);
    schema_view_free(schema);
}

/* ---- ranges ---- */

static size_t count_ranges(enum ranges_form form, size_t splits)
{
    struct ranges *ranges = ranges_new("(c=1)", "n", form);
    size_t count = 0;
    for (const char *filter; (filter = ranges_next(ranges)) != NULL; count++) {
        assert_int_equal(strncmp(filter, "(&(c=1)", 7), 0);
        if (splits > 0 && ranges_split(ranges))
            splits--;
    }
    ranges_free(ranges);
    return count;
}

static void test_ranges(void **state)
{
    (void)state;
    assert_int_equal(count_ranges(RANGES_PREFIXES, 0), 43);
    assert_int_equal(count_ranges(RANGES_PREFIXES, 1), 43 + 43);
    assert_int_equal(count_ranges(RANGES_VALUES, 0), 20);
    struct ranges *ranges = ranges_new("(c=1)", "n", RANGES_VALUES);
    assert_string_equal(ranges_next(ranges), "(&(c=1)(!(n=*)))");
    assert_false(ranges_split(ranges));
    assert_string_equal(ranges_next(ranges), "(&(c=1)(n>=0)(n<=9))");
    assert_true(ranges_split(ranges));
    assert_string_equal(ranges_next(ranges), "(&(c=1)(n>=9)(n<=9))");
    assert_false(ranges_split(ranges));
    ranges_free(ranges);
}

/* ---- marks, controls, brake ---- */

static void test_marks(void **state)
{
    struct change_marks marks = {{{.kind = STORE_MARK_SYNCREPL, .len = 3, .bytes = "a:\0"},
                                  {.kind = STORE_MARK_SYNCREPL}}},
                        back;
    struct store_mark packed, nonsense = {.kind = STORE_MARK_SYNCREPL, .len = 4, .bytes = "2 9:"};
    (void)state;
    assert_int_equal(change_marks_pack(&marks, &packed), 0);
    change_marks_unpack(&packed, &back);
    assert_memory_equal(back.of[0].bytes, "a:\0", 3);
    assert_int_equal(back.of[1].kind, STORE_MARK_SYNCREPL);
    change_marks_unpack(&nonsense, &back);
    assert_int_equal(back.of[0].kind, STORE_MARK_NONE);
    marks.of[0].len = marks.of[1].len = 1500;
    assert_int_equal(change_marks_pack(&marks, &packed), -1);
}

static void test_controls(void **state)
{
    static unsigned char whole[] = {0x30, 21, 0x0a, 1, 3, 0x04, 16, 0, 0, 0, 0, 0,
                                    0,    0,  0,    0, 0, 0,    0,  0, 0, 0, 0};
    struct sync_value_state parsed;
    struct sync_value_info info = {0};
    struct berval value = {.bv_len = sizeof(whole), .bv_val = (char *)whole};
    (void)state;
    assert_int_equal(sync_value_parse_state(&value, &parsed), 0);
    assert_int_equal(parsed.state, LDAP_SYNC_DELETE);
    for (value.bv_len = 0; value.bv_len < sizeof(whole); value.bv_len++)
        assert_int_equal(sync_value_parse_state(&value, &parsed), -1);
    assert_int_equal(sync_value_parse_info(&value, &info), -1);
}

static void test_brake(void **state)
{
    const struct config_directory limits = {.removed_entries = 20, .removed_share = 0.02};
    char reason[STORE_ENTRY_BRAKE_REASON_BYTES];
    (void)state;
    assert_false(store_entry_brake_holds(&limits, &(struct store_entry_brake){5, 20}, "subscribers", reason));
    assert_true(store_entry_brake_holds(&limits, &(struct store_entry_brake){5, 21}, "subscribers", reason));
    assert_string_equal(reason,
                        "21 of 26 subscribers are gone from production: more than 20 and more than 2 %");
    assert_true(store_entry_brake_holds(&limits, &(struct store_entry_brake){0, 1}, "COS", reason));
    assert_string_equal(reason, "production lists no COS at all");
    assert_false(
        store_entry_brake_holds(&limits, &(struct store_entry_brake){9800, 200}, "subscribers", reason));
    assert_true(
        store_entry_brake_holds(&limits, &(struct store_entry_brake){9799, 201}, "subscribers", reason));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_dns),
        cmocka_unit_test(test_plain_dns),
        cmocka_unit_test(test_moved_dns),
        cmocka_unit_test(test_mapping),
        cmocka_unit_test(test_changes_and_digests),
        cmocka_unit_test(test_no_secret_is_shown),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_controls),
        cmocka_unit_test(test_brake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
