/*
 * The configuration: every refusal word by word, defaults, what a full file gives, and the table for README.
 */
#include "base/config.h"

#include "base/config_keys.h"
#include "base/log.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SITE_A "  - { name: a, imap: { host: a.example }, trusted_server: { name: t, password_file: p } }\n"
#define SITE_B "  - { name: b, imap: { host: b.example }, trusted_server: { name: t, password_file: p } }\n"
#define SITE_C "  - { name: c, imap: { host: c.example }, trusted_server: { name: t, password_file: p } }\n"
#define ROUTE "  - { name: r, from: a, to: b }\n"
#define SITES "sites:\n" SITE_A SITE_B "routes:\n"
#define GOOD SITES ROUTE
/* Line 4 is `more`, a key of the first site. */
#define SITE_WITH(more)                                                                                      \
    "sites:\n  - name: a\n    trusted_server: { name: t, password_file: p }\n    " more "\n" SITE_B          \
    "routes:\n" ROUTE
#define IMAP_WITH(more) SITE_WITH("imap: { host: a.example, " more " }")

struct refusal {
    const char *yaml, *error; /* behind "mirror.yaml:" */
};

static const struct refusal yaml_cases[] = {
    {"", "1:1: the file is empty; write at least sites and routes"},
    {"# only a comment\n", "1:1: the file is empty; write at least sites and routes"},
    {"[]\n", "1:1: is a list; write keys, such as 'sites:' and 'routes:'"},
    {"a\n", "1:1: is a single value; write keys, such as 'sites:' and 'routes:'"},
    {"sites: [\n", "2:1: did not find expected node content while parsing a flow node; write a value, or "
                   "close the bracket"},
    {"sites:\n\tx: 1\n",
     "2:1: found character that cannot start any token while scanning for the next token; "
     "indent with blanks, not tabs; quote a text that begins with @ or `"},
    {"a: 'x\n",
     "2:1: found unexpected end of stream while scanning a quoted scalar that began at 1:4; close the quote"},
    {"a: \xff\n", "1:4: invalid leading UTF-8 octet; write the file in UTF-8"},
    {"a: \x01\n", "1:4: control characters are not allowed; take this character out"},
    {"x: &a [ *a ]\n", "1:9: aliases (*name) are not supported; write the value out"},
    {"x: *a\n", "1:4: aliases (*name) are not supported; write the value out"},
    {"x: !!int 5\n", "1:4: tags (!name) are not supported; leave it out"},
    {"!x {}\n", "1:1: tags (!name) are not supported; leave it out"},
    {"a: 1\n---\nb: 1\n", "2:1: a second document; one file holds one configuration"},
    {"x: [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n",
     "1:19: nested more than 16 levels deep; is it the right file?"},
    {"a: b: c\n",
     "1:5: mapping values are not allowed in this context; quote a text that holds ': ', or begin a "
     "new line"},
    {"a: [ b\nc: d\n", "2:2: did not find expected ',' or ']' while parsing a flow sequence that began at "
                       "1:4; write a comma, or close the bracket"},
    {"a: { b: c\nd: e\n", "2:2: did not find expected ',' or '}' while parsing a flow mapping that began at "
                          "1:4; write a comma, or close the bracket"},
    {"a: b\n c: d\n",
     "2:3: mapping values are not allowed in this context; quote a text that holds ': ', or begin a "
     "new line"},
    {"a:\n  b: 1\n c: 2\n", "3:2: did not find expected key while parsing a block mapping that began at 1:1; "
                            "indent it like the line that it belongs to, and close all brackets"},
    {"a:\n- b\nc\n",
     "4:1: could not find expected ':' while scanning a simple key that began at 3:1; write 'key: value'"},
    {"a:\n- b\n- c\n  x\n d: 1\n",
     "5:3: mapping values are not allowed in this context; quote a text that holds ': ', or "
     "begin a new line"},
    {"a:\n  - b\n  c: 1\n", "3:3: did not find expected '-' indicator while parsing a block collection that "
                            "began at 2:3; begin each item with '- ', all in one column"},
    {"a: \"b\\q\"\n", "1:6: found unknown escape character while parsing a quoted scalar that began at 1:4; "
                      "use single quotes, in which \\ is itself"},
    {"a: - b\n",
     "1:4: block sequence entries are not allowed in this context; begin the list on a line of its own"},
    {"a: |x\n", "1:5: did not find expected comment or line break while scanning a block scalar that began "
                "at 1:4; look at indentation, quotes and brackets, here and in the line before"},
    {"{} x\n",
     "1:4: did not find expected <document start>; write 'key: value' lines only; is it the right file?"},
    {"? [a]\n: b\n", "1:3: is a list; write a name before each ':'"},
    {"\"data_dir\\0\": x\n", "1:1: data_dir: unknown key; did you mean 'data_dir'?"},
};

static const struct refusal keys_cases[] = {
    {GOOD "data_dri: /x\n", "6:1: data_dri: unknown key; did you mean 'data_dir'?"},
    {GOOD "colour: red\n", "6:1: colour: unknown key; known here are data_dir, database, sites, routes, "
                           "workers, scan, copy, api, log, supervisor"},
    {GOOD "imap: { port: 1 }\n", "6:1: imap: unknown key; known here are data_dir, database, sites, routes, "
                                 "workers, scan, copy, api, log, supervisor"},
    {SITE_WITH("host: a.example\n    imap: {}"),
     "4:5: sites[0].host: unknown key; did you mean 'imap.host'?"},
    {IMAP_WITH("prot: 143"), "4:30: sites[0].imap.prot: unknown key; did you mean 'port'?"},
    {IMAP_WITH("something_else: 143"),
     "4:30: sites[0].imap.something_else: unknown key; known here are host, port, tls, ca_file, "
     "tls_min_version, source_address, proxy, max_sessions, max_logins_per_second, max_message_bytes, "
     "connect_seconds, answer_seconds, disable_capabilities"},
    {GOOD "\"\": x\n", "6:1: unknown key; known here are data_dir, database, sites, routes, workers, scan, "
                       "copy, api, log, supervisor"},
    {GOOD "\"log.level\": debug\n", "6:1: log.level: unknown key; known here are data_dir, database, sites, "
                                    "routes, workers, scan, copy, api, log, supervisor"},
    {GOOD "\"sites[]\": debug\n", "6:1: sites[]: unknown key; did you mean 'sites'?"},
    {GOOD "log: { level: info, level: debug }\n",
     "6:21: log.level: given twice, first in line 6; leave one out"},
    {GOOD "log: {}\nlog: {}\n", "7:1: log: given twice, first in line 6; leave one out"},
    {GOOD "sites: []\n", "6:1: sites: given twice, first in line 2; leave one out"},
    {GOOD "routs: []\n", "6:1: routs: unknown key; did you mean 'routes'?"},
    {GOOD "<<: { a: b }\n", "6:1: <<: unknown key; known here are data_dir, database, sites, routes, "
                            "workers, scan, copy, api, log, supervisor"},
    {GOOD "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1\n",
     "6:1: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: unknown key; known here are data_dir, database, "
     "sites, routes, workers, scan, copy, api, log, supervisor"},
};

static const struct refusal types_cases[] = {
    {GOOD "log: 5\n", "6:6: log: is a single value; write a map: its keys below it, indented"},
    {GOOD "log: [ text ]\n", "6:6: log: is a list; write a map: its keys below it, indented"},
    {GOOD "log: { level: loud }\n",
     "6:15: log.level: 'loud' is not one of the choices; write debug, info, warning or error"},
    {GOOD "log: { level: }\n", "6:15: log.level: is empty; write a value, or leave the key out"},
    {GOOD "log: { level: [ info ] }\n", "6:15: log.level: is a list; write a single value"},
    {GOOD "log: { level: { a: b } }\n", "6:15: log.level: is a map; write a single value"},
    {IMAP_WITH("port: many"),
     "4:36: sites[0].imap.port: 'many' is not a whole number; write one from 1 to 65535"},
    {IMAP_WITH("port: \"143\""), "4:36: sites[0].imap.port: a whole number stands without quotes; write 143"},
    {IMAP_WITH("port: 0"),
     "4:36: sites[0].imap.port: 0 is out of range; write a whole number from 1 to 65535"},
    {IMAP_WITH("port: 70000"),
     "4:36: sites[0].imap.port: 70000 is out of range; write a whole number from 1 to 65535"},
    {IMAP_WITH("port: -1"),
     "4:36: sites[0].imap.port: -1 is out of range; write a whole number from 1 to 65535"},
    {IMAP_WITH("port: 1.5"),
     "4:36: sites[0].imap.port: '1.5' is not a whole number; write one from 1 to 65535"},
    {IMAP_WITH("port: 0x10"),
     "4:36: sites[0].imap.port: '0x10' is not a whole number; write one from 1 to 65535"},
    {IMAP_WITH("port: 99999999999999999999999"), "4:36: sites[0].imap.port: 99999999999999999999999 is out "
                                                 "of range; write a whole number from 1 to 65535"},
    {IMAP_WITH("port: ~"), "4:36: sites[0].imap.port: is empty; write a value, or leave the key out"},
    {IMAP_WITH("port: [ 1 ]"), "4:36: sites[0].imap.port: is a list; write a single value"},
    {IMAP_WITH("max_message_bytes: 5000000000"),
     "4:49: sites[0].imap.max_message_bytes: 5000000000 is out of range; write a whole number from 1024 to "
     "4294967295 bytes"},
    {IMAP_WITH("max_logins_per_second: 0"),
     "4:53: sites[0].imap.max_logins_per_second: 0 is out of range; write a number from 0.01 to 1000"},
    {IMAP_WITH("max_logins_per_second: fast"),
     "4:53: sites[0].imap.max_logins_per_second: 'fast' is not a number; write one from 0.01 to 1000"},
    {IMAP_WITH("max_logins_per_second: 1e3"),
     "4:53: sites[0].imap.max_logins_per_second: '1e3' is not a number; write one from 0.01 to 1000"},
    {IMAP_WITH("max_logins_per_second: nan"),
     "4:53: sites[0].imap.max_logins_per_second: 'nan' is not a number; write one from 0.01 to 1000"},
    {GOOD "api: { allow_plain_http: yes }\n",
     "6:26: api.allow_plain_http: 'yes' is neither true nor false; write true or false"},
    {GOOD "api: { allow_plain_http: \"true\" }\n",
     "6:26: api.allow_plain_http: 'true' is neither true nor false; write true or false"},
    {IMAP_WITH("tls: 'off'"),
     "4:35: sites[0].imap.tls: 'off' is not one of the choices; write never, starttls or always"},
    {IMAP_WITH("tls_min_version: 1.4"),
     "4:47: sites[0].imap.tls_min_version: '1.4' is not one of the choices; write 1.0, 1.1, 1.2 or 1.3"},
    {IMAP_WITH("disable_capabilities: UIDPLUS"),
     "4:52: sites[0].imap.disable_capabilities: is a single value; write a list, such as [ a, b ]"},
    {IMAP_WITH("disable_capabilities: [ [ a ] ]"),
     "4:54: sites[0].imap.disable_capabilities[0]: is a list; write a single value"},
    {IMAP_WITH("disable_capabilities: [ \"A B\" ]"),
     "4:54: sites[0].imap.disable_capabilities[0]: 'A B': write a name as in the server's CAPABILITY, such "
     "as LITERAL+"},
    {GOOD "database: { mode: server, hosts: [] }\n", "6:34: database.hosts: has 0 items; write 1 to 9"},
    {"sites: x\n", "1:8: sites: is a single value; write a list of maps, each beginning with '- '"},
    {"sites: [ x ]\n", "1:10: sites[0]: is a single value; write a map, such as { name: dr }"},
    {"sites: []\n", "1:8: sites: has 0 items; write 1 to 200"},
    {"sites: { name: a }\n", "1:8: sites: is a map; write a list of maps, each beginning with '- '"},
    {GOOD "supervisor: { grace_seconds: 601 }\n",
     "6:30: supervisor.grace_seconds: 601 is out of range; write a number from 0 to 600 seconds"},
    {GOOD "data_dir: \"\"\n", "6:11: data_dir: is empty; write a value, or leave the key out"},
    {GOOD "data_dir: \"a\\nb\"\n",
     "6:11: data_dir: holds a control character; write it on one line, without tabs"},
    {GOOD "data_dir: \"a\\0b\"\n", "6:11: data_dir: holds a NUL character; leave it out"},
};

static const struct refusal required_cases[] = {
    {"data_dir: /x\n", "1:1: sites: missing; write it: the messaging systems"},
    {"sites:\n" SITE_A SITE_B, "1:1: routes: missing; write it: what is mirrored where"},
    {"sites:\n  - { name: a }\nroutes: []\n",
     "2:5: sites[0].imap.host: missing; write it: name or address of the message store"},
    {"sites:\n  - { imap: { host: h } }\n",
     "2:5: sites[0].name: missing; write it: what routes call this site"},
    {"sites:\n  - { name: a, imap: { host: h } }\n",
     "2:5: sites[0].trusted_server.name: missing; write it: name of the trusted server that may enter every "
     "mailbox"},
    {"sites:\n  - { name: a, imap: { host: h }, trusted_server: { name: t } }\n",
     "2:51: sites[0].trusted_server.password_file: missing; write it: file that holds the trusted server's "
     "password and that only its owner may read"},
    {SITES "  - { name: r, from: a }\n",
     "5:5: routes[0].to: missing; write it: name of the site that is made equal to it"},
    {SITES "  - { name: r, from: a, to: b, folders: { rename: [ { from: x } ] } }\n",
     "5:53: routes[0].folders.rename[0].to: missing; write it: name on the target, `/` between levels"},
    {SITES "  - {}\n", "5:5: routes[0].name: missing; write it: what commands and reports call this route"},
};

static const struct refusal texts_cases[] = {
    {"sites:\n  - { name: \"a b\" }\n",
     "2:13: sites[0].name: 'a b': write 1 to 64 letters, digits, '.', '_' or '-'"},
    {"sites:\n  - { name: 12345678901234567890123456789012345678901234567890123456789012345 }\n",
     "2:13: sites[0].name: '1234567890123456789012345678901234567890123456789012345678901234': write 1 to 64 "
     "letters, digits, '.', '_' or '-'"},
    {SITE_WITH("imap: { host: \"a.example:143\" }"), "4:19: sites[0].imap.host: 'a.example:143': write the "
                                                     "host alone; the port has a key of its own, 'port'"},
    {SITE_WITH("imap: { host: \"fe80::zz\" }"),
     "4:19: sites[0].imap.host: 'fe80::zz': write a host name, an IPv4 or an IPv6 address"},
    {SITE_WITH("imap: { host: \"a b\" }"),
     "4:19: sites[0].imap.host: 'a b': write a host name, an IPv4 or an IPv6 address"},
    {IMAP_WITH("proxy: 10.1.1.1"),
     "4:37: sites[0].imap.proxy: write scheme://host:port, such as socks5h://10.1.1.1:1080"},
    {IMAP_WITH("proxy: \"socks5h://me:secret@10.1.1.1:1080\""),
     "4:37: sites[0].imap.proxy: a proxy with user and password is not supported; write scheme://host:port"},
    {IMAP_WITH("source_address: \"a b\""),
     "4:46: sites[0].imap.source_address: 'a b': write it without blanks"},
    {SITE_WITH("imap: { host: h }\n    login: \"{trusted}\""),
     "5:12: sites[0].login: write a template that holds {mailbox}, such as "
     "\"{mailbox}*{trusted}\", or sasl-plain, or proxyauth"},
    {SITE_WITH("imap: { host: h }\n    login: \"{mailbox}*{user}\""),
     "5:12: sites[0].login: only {mailbox} and {trusted} are filled in; write no other "
     "braces"},
    {SITE_WITH("imap: { host: h }\n    test_mailboxes: [ 1001, \"10 02\" ]"),
     "5:29: sites[0].test_mailboxes[1]: '10 02': write a mailbox number: 1 to 64 digits, letters, '.', '_', "
     "'-', '@' or '+', not beginning with '-'"},
    {GOOD "database: { mode: server, hosts: [ \"db1:0\" ] }\n",
     "6:36: database.hosts[0]: 'db1:0': write host, host:port or [IPv6 address]:port"},
    {GOOD "database: { mode: server, name: a-b }\n",
     "6:33: database.name: 'a-b': write 1 to 64 letters, digits or '_'"},
    {GOOD "api: { listen: 8080 }\n",
     "6:16: api.listen: '8080': write address:port, such as 127.0.0.1:8080 or [::1]:8080"},
    {GOOD "api: { listen: \"api.example:8080\" }\n",
     "6:16: api.listen: 'api.example:8080': write address:port, such as 127.0.0.1:8080 or [::1]:8080"},
    {GOOD "api: { listen: \"127.0.0.1:70000\" }\n",
     "6:16: api.listen: '127.0.0.1:70000': write address:port, such as 127.0.0.1:8080 or [::1]:8080"},
};

static const struct refusal whole_cases[] = {
    {"sites:\n" SITE_A SITE_A "routes:\n" ROUTE,
     "3:13: sites[1].name: a second site called 'a'; give each its own name"},
    {GOOD ROUTE, "6:13: routes[1].name: a second route called 'r'; give each its own name"},
    {SITES "  - { name: r, from: aa, to: b }\n",
     "5:22: routes[0].from: there is no site 'aa'; did you mean 'a'?"},
    {SITES "  - { name: r, from: a, to: production }\n",
     "5:29: routes[0].to: there is no site 'production'; write the name of one under sites"},
    {SITES "  - { name: r, from: a, to: a }\n", "5:29: routes[0].to: leads from 'a' back to 'a': every "
                                                "message would be doubled for ever; name another site"},
    {"sites:\n" SITE_A "  - { name: b, imap: { host: A.Example, port: 143 }, trusted_server: { name: t, "
     "password_file: p } }\nroutes:\n" ROUTE,
     "5:29: routes[0].to: 'a' and 'b' are one store (A.Example port 143): every message would be doubled for "
     "ever; correct the address of one"},
    {GOOD "  - { name: r2, from: a, to: b }\n",
     "6:30: routes[1].to: route 'r' has the same two ends: every message would arrive twice; leave one out"},
    {GOOD "  - { name: r2, from: b, to: a }\n",
     "5:29: routes[0].to: from 'b' routes lead back to 'a', in a circle: every message would be doubled for "
     "ever; leave out one of these routes"},
    {"sites:\n" SITE_A SITE_B SITE_C "routes:\n" ROUTE
     "  - { name: r2, from: b, to: c }\n  - { name: r3, from: c, to: a }\n",
     "6:29: routes[0].to: from 'b' routes lead back to 'a', in a circle: every message would be doubled for "
     "ever; leave out one of these routes"},
    {GOOD "database: { hosts: [ db1 ] }\n",
     "6:20: database.hosts: means nothing to a managed database; leave it out, or write mode: server"},
    {GOOD "database: { mode: managed, user: x }\n",
     "6:34: database.user: means nothing to a managed database; leave it out, or write mode: server"},
    {GOOD "database: { mode: server }\n",
     "6:11: database.hosts: missing; write it: the database servers, such as [ db1 ]"},
    {GOOD "database: { mode: server, hosts: [ db1 ] }\n",
     "6:11: database.password_file: missing; write it: the file that holds the password of user 'mirror'"},
    {GOOD "database: { mode: server, hosts: [ db1 ], password_file: p, run_as: x }\n",
     "6:69: database.run_as: means nothing with mode: server; leave it out, or write mode: managed"},
    {GOOD "api: { listen: \"0.0.0.0:8080\" }\n",
     "6:16: api.listen: '0.0.0.0:8080' can be reached by others, and without TLS they could read along; "
     "write tls: { cert_file: …, key_file: … }, or allow_plain_http: true"},
    {GOOD "api: { tls: { cert_file: c } }\n",
     "6:13: api.tls.key_file: missing; write it: certificate and key go together"},
    {GOOD "api: { tls: { key_file: c } }\n",
     "6:13: api.tls.cert_file: missing; write it: certificate and key go together"},
    {GOOD "api: { listen: \"[::]:8080\" }\n",
     "6:16: api.listen: '[::]:8080' can be reached by others, and without TLS they could read along; write "
     "tls: { cert_file: …, key_file: … }, or allow_plain_http: true"},
};

static const struct refusal later_cases[] = {
    {GOOD "smtp: { host: relay.example }\n", "6:7: smtp: not supported by this version yet; leave it out"},
    {GOOD "ldap: {}\n", "6:7: ldap: each site has its own directory; write it at the site"},
    {GOOD "bus: { endpoints: [] }\n", "6:6: bus: not supported by this version yet; leave it out"},
    {GOOD "workers: { notifier: 2 }\n",
     "6:22: workers.notifier: not supported by this version yet; leave it out"},
    {SITE_WITH("imap: { host: h }\n    files: { path: /srv }"),
     "5:12: sites[0].files: not supported by this version yet; leave it out"},
    {SITE_WITH("imap: { host: h }\n    folders: { rename: [] }"),
     "5:24: sites[0].folders.rename: folders are renamed on the way to one target; write it at the route"},
    {SITE_WITH("imap: { host: h }\n    greetings: { attributes: [ x ] }"),
     "5:30: sites[0].greetings.attributes: not supported by this version yet; leave it out"},
    {SITE_WITH("imap: { host: h }\n    release: 6.3"),
     "5:14: sites[0].release: not supported by this version yet; leave it out"},
    {SITES "  - { name: r, from: a, to: b, deletions: { mailbox_share: 50 } }\n",
     "5:60: routes[0].deletions.mailbox_share: 50 is out of range; write a number from 0 to 1"},
};

static void check_refusals(const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct err err = {0};
        char *expected = str_format("mirror.yaml:%s", cases[i].error);
        assert_null(config_parse(cases[i].yaml, strlen(cases[i].yaml), "mirror.yaml", &err));
        assert_string_equal(err.text, expected);
        assert_int_equal(err.scope, ERR_PROCESS);
        free(expected);
    }
}

#define REFUSALS(name)                                                                                       \
    static void test_refused_##name(void **state)                                                            \
    {                                                                                                        \
        (void)state;                                                                                         \
        check_refusals(name##_cases, sizeof(name##_cases) / sizeof(name##_cases[0]));                        \
    }
REFUSALS(yaml)
REFUSALS(keys)
REFUSALS(types)
REFUSALS(required)
REFUSALS(texts)
REFUSALS(whole)
REFUSALS(later)

static struct config *parse(const char *yaml)
{
    struct err err = {0};
    struct config *config = config_parse(yaml, strlen(yaml), "/etc/mirror/mirror.yaml", &err);
    if (config == NULL)
        fail_msg("%s", err.text);
    return config;
}

/* A password written where none belongs. */
static void test_nothing_secret_is_repeated(void **state)
{
    static const char *const cases[] = {
        IMAP_WITH("proxy: \"http://me:hunter2@h:1\""),
        SITE_WITH("imap: { host: \"me:hunter2@a.example\" }"),
        SITE_WITH("imap: { host: h }\n    login: hunter2"),
        SITE_WITH("imap: { host: h }\n    password: hunter2"),
        GOOD "database: { mode: server, hosts: [ \"me:hunter2@db1\" ] }\n",
        GOOD "database: { mode: server, password: hunter2 }\n",
        GOOD "api: { token: hunter2 }\n",
        "sites:\n  - { name: a, imap: { host: h }, trusted_server: hunter2 }\n",
        "sites:\n  - { name: a, imap: { host: h }, trusted_server: { name: t, password: hunter2 } }\n",
        "sites:\n  - { name: a, imap: { host: h }, trusted_server: { password_file: [ hunter2 ] } }\n",
        "sites:\n  - { name: a, imap: { host: h }, trusted_server: { password_file: 'hunter2 } }\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        assert_null(config_parse(cases[i], strlen(cases[i]), "m", &err));
        assert_null(strstr(err.text, "hunter2"));
    }
}

/* Even where it is taken for the name of a file. */
static void test_a_password_as_password_file(void **state)
{
    static const char *const yaml = "sites:\n  - { name: a, imap: { host: h }, trusted_server: { name: t, "
                                    "password_file: hunter2 } }\n" SITE_B "routes:\n" ROUTE;
    struct err err = {0};
    struct config *config = parse(yaml);
    (void)state;
    assert_int_equal(config_check_files(config, &err), -1);
    assert_string_equal(
        err.text, "/etc/mirror/mirror.yaml:2:77: sites[0].trusted_server.password_file: names no file (No "
                  "such file or directory); write the path of a file that holds the secret, never the "
                  "secret itself");
    config_free(config);
}

static void test_defaults(void **state)
{
    struct config *config = parse(GOOD);
    const struct config_site *site = config_site_find(config, "a");
    const struct config_route *route = config_route_find(config, "r");
    (void)state;
    assert_string_equal(config->data_dir, "/var/lib/message-mirror");
    assert_int_equal(config->database.mode, CONFIG_DATABASE_MANAGED);
    assert_int_equal(site->imap.port, 143);
    assert_int_equal(site->imap.tls, CONFIG_TLS_STARTTLS);
    assert_int_equal(site->imap.tls_min_version, CONFIG_TLS_1_2);
    assert_int_equal(site->imap.max_sessions, 16);
    assert_true(site->imap.max_logins_per_second == 10);
    assert_int_equal(site->imap.max_message_bytes, 104857600);
    assert_null(site->imap.ca_file);
    assert_string_equal(site->login, "{mailbox}*{trusted}");
    assert_string_equal(site->trusted_password_file, "/etc/mirror/p");
    assert_int_equal(site->auth_failures_until_stop, 3);
    assert_int_equal(site->folders_include.count, 1);
    assert_string_equal(site->folders_include.items[0], "*");
    assert_int_equal(site->greetings_folders.count, 2);
    assert_string_equal(site->greetings_folders.items[1], "GREETINGS");
    assert_ptr_equal(route->from_site, site);
    assert_ptr_equal(route->to_site, config_site_find(config, "b"));
    assert_true(route->target_lag_minutes == 5 && route->late_command_minutes == 10);
    assert_int_equal(config->workers.copier, 4);
    assert_int_equal(config->copy.batch_messages, 250);
    assert_true(config->copy.lease_seconds == 120 && config->supervisor.pulse_seconds == 45);
    assert_string_equal(config->api.listen, "127.0.0.1:8080");
    assert_false(config->log.json || config->api.allow_plain_http);
    assert_int_equal(config->log.level, LOG_LEVEL_INFO);
    assert_null(config_site_find(config, "z"));
    assert_null(config_route_find(config, "z"));
    char *path = config_path(config, "run/x");
    assert_string_equal(path, "/var/lib/message-mirror/run/x");
    free(path);
    config_free(config);
    config_free(NULL);
}

static const char full[] = "data_dir: data\n"
                           "database: { mode: server, hosts: [ db1, 'db2:3307', '[fd00::1]:3306' ], name: m, "
                           "user: u, password_file: ../db.secret }\n"
                           "sites:\n"
                           "- name: production\n"
                           "  imap:\n"
                           "    host: fd00::10\n"
                           "    tls: always\n"
                           "    ca_file: /ca.pem\n"
                           "    tls_min_version: 1.0\n"
                           "    source_address: 10.0.0.1\n"
                           "    proxy: 'socks5h://10.1.1.1:1080'\n"
                           "    max_sessions: 40\n"
                           "    max_logins_per_second: 0.5\n"
                           "    disable_capabilities: [ literal+, Condstore ]\n"
                           "  trusted_server: { name: mirror, password_file: t.secret }\n"
                           "  login: proxyauth\n"
                           "  test_mailboxes: [ 0042, 4711 ]\n"
                           "  auth_retry_minutes: 0.05\n"
                           "  folders: { include: [ INBOX, 'Old/*' ], exclude: [ Trash ] }\n"
                           "  greetings: { folders: [] }\n"
                           "- { name: dr, imap: { host: fd00::10, port: 143 }, trusted_server: { name: "
                           "mirror, password_file: t.secret }, login: '{trusted}/{mailbox}' }\n"
                           "- { name: br, imap: { host: br, tls: never }, trusted_server: { name: mirror, "
                           "password_file: t.secret }, login: sasl-plain }\n"
                           "routes:\n"
                           "- { name: one, from: production, to: dr, late_command_minutes: 0.1, folders: { "
                           "rename: [ { from: A/B, to: C }, { from: D, to: E } ] } }\n"
                           "- { name: two, from: production, to: br }\n"
                           "- { name: three, from: dr, to: br }\n"
                           "workers: { scanner: 2, copier: 0, ldapsync: 0, notifier: 0 }\n"
                           "bus: { }\n"
                           "api: { listen: '0.0.0.0:443', tls: { cert_file: c.pem, key_file: k.pem } }\n"
                           "log: { format: json, level: debug }\n";

static void test_full_file(void **state)
{
    struct config *config = parse(full);
    const struct config_imap *imap = &config->sites[0].imap;
    (void)state;
    assert_string_equal(config->data_dir, "/etc/mirror/data");
    assert_int_equal(config->database.hosts.count, 3);
    assert_string_equal(config->database.password_file, "/etc/mirror/../db.secret");
    assert_int_equal(imap->port, 993);
    assert_int_equal(config->sites[1].imap.port, 143);
    assert_int_equal(imap->tls_min_version, CONFIG_TLS_1_0);
    assert_string_equal(imap->ca_file, "/ca.pem");
    assert_true(imap->max_logins_per_second == 0.5);
    assert_string_equal(imap->disable_capabilities.items[0], "LITERAL+");
    assert_string_equal(imap->disable_capabilities.items[1], "CONDSTORE");
    assert_string_equal(config->sites[0].test_mailboxes.items[0], "0042");
    assert_int_equal(config->sites[0].folders_include.count, 2);
    assert_int_equal(config->sites[0].greetings_folders.count, 0);
    assert_int_equal(config->routes[0].folders_rename_count, 2);
    assert_string_equal(config->routes[0].folders_rename[1].to, "E");
    assert_int_equal(config->route_count, 3);
    assert_int_equal(config->workers.copier, 0);
    assert_true(config->log.json);
    assert_int_equal(config->log.level, LOG_LEVEL_DEBUG);
    assert_string_equal(config->api.key_file, "/etc/mirror/k.pem");
    config_free(config);
}

static void test_groups_may_be_empty(void **state)
{
    (void)state;
    config_free(parse(GOOD "log:\napi: {}\nbus:\n"));
    config_free(parse(GOOD "api: { listen: '10.0.0.1:80', allow_plain_http: true }\n"));
    config_free(parse(GOOD "api: { listen: '[::1]:80' }\n"));
    config_free(parse(GOOD "api: { listen: 'localhost:80' }\n"));
    config_free(parse("\xef\xbb\xbf" GOOD));
}

/* As many as are allowed, in a row, and then joined to a circle. */
static void test_many_routes(void **state)
{
    struct {
        char text[40000];
        size_t len;
    } *yaml = mem_new(sizeof(*yaml));
    (void)state;
    yaml->len = (size_t)snprintf(yaml->text, sizeof(yaml->text), "sites:\n");
    for (int i = 0; i < 200; i++)
        yaml->len += (size_t)snprintf(
            yaml->text + yaml->len, sizeof(yaml->text) - yaml->len,
            "- { name: s%d, imap: { host: h%d }, trusted_server: { name: t, password_file: p } }\n", i, i);
    yaml->len += (size_t)snprintf(yaml->text + yaml->len, sizeof(yaml->text) - yaml->len, "routes:\n");
    for (int i = 0; i < 199; i++)
        yaml->len += (size_t)snprintf(yaml->text + yaml->len, sizeof(yaml->text) - yaml->len,
                                      "- { name: r%d, from: s%d, to: s%d }\n", i, i, i + 1);
    struct config *config = parse(yaml->text);
    assert_int_equal(config->route_count, 199);
    config_free(config);
    snprintf(yaml->text + yaml->len, sizeof(yaml->text) - yaml->len,
             "- { name: back, from: s199, to: s0 }\n");
    struct err err;
    assert_null(config_parse(yaml->text, strlen(yaml->text), "m", &err));
    assert_non_null(strstr(err.text, "in a circle"));
    free(yaml);
}

static void test_big_files(void **state)
{
    static char yaml[3 * 1024 * 1024];
    static const char *const pieces[] = {"[",  "{", "- ",    "a: ", "? ",    "- [",
                                         "\n", "'", "{a: [", "#",   "x: 1\n"};
    char path[] = "/tmp/mirror-config-XXXXXX";
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        size_t step = strlen(pieces[i]), len = 0;
        for (; len + step < 200000; len += step)
            memcpy(yaml + len, pieces[i], step);
        assert_null(config_parse(yaml, len, "m", &err));
    }
    int fd = mkstemp(path);
    memset(yaml, '#', sizeof(yaml));
    assert_true(fd >= 0 && write(fd, yaml, sizeof(yaml)) == (ssize_t)sizeof(yaml));
    close(fd);
    assert_null(config_load(path, &err));
    assert_non_null(strstr(err.text, ": larger than 1 MiB; is it the right file?"));
    assert_null(config_load("/tmp", &err));
    assert_string_equal(err.text, "/tmp: cannot be read: Is a directory; --config FILE names another");
    unlink(path);
    assert_null(config_load(path, &err));
    assert_non_null(strstr(err.text, ": cannot be read: No such file or directory"));
}

static void put(const char *directory, const char *name, const char *text, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_load_and_secrets(void **state)
{
    char directory[] = "/tmp/mirror-config-XXXXXX", path[64], secret[64], expected[500];
    struct err err = {0};
    (void)state;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chmod(directory, 0755), 0);
    put(directory, "mirror.yaml", GOOD, 0644);
    put(directory, "p", "x", 0644);
    snprintf(path, sizeof(path), "%s/mirror.yaml", directory);
    snprintf(secret, sizeof(secret), "%s/p", directory);
    struct config *config = config_load(path, &err);
    assert_non_null(config);
    assert_string_equal(config->path, path);
    assert_string_equal(config->sites[0].trusted_password_file, secret);
    assert_int_equal(config_check_files(config, &err), -1);
    snprintf(expected, sizeof(expected),
             "%s:2:85: sites[0].trusted_server.password_file: secret file %s: others than its owner may use "
             "it (mode "
             "0644): chmod 600 it, or keep it in a directory of mode 700",
             path, secret);
    assert_string_equal(err.text, expected);
    assert_int_equal(chmod(secret, 0600), 0);
    assert_int_equal(config_check_files(config, &err), 0);
    config_free(config);
    unlink(secret);
    unlink(path);
    rmdir(directory);
}

static void test_relative_to_the_working_directory(void **state)
{
    struct err err;
    char *here = getcwd(NULL, 0), *expected = str_format("%s/conf/p", here);
    (void)state;
    struct config *config = config_parse(GOOD, strlen(GOOD), "conf/mirror.yaml", &err);
    assert_string_equal(config->sites[0].trusted_password_file, expected);
    config_free(config);
    config = config_parse(GOOD, strlen(GOOD), "/mirror.yaml", &err);
    assert_string_equal(config->sites[0].trusted_password_file, "/p");
    config_free(config);
    free(expected);
    free(here);
}

static const char *warnings_of(const char *yaml, char *text, size_t size)
{
    struct config *config = parse(yaml);
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    config_log_warnings(config);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t len = pread(fileno(file), text, size - 1, 0);
    text[len > 0 ? len : 0] = 0;
    fclose(file);
    config_free(config);
    return text;
}

static void test_warnings(void **state)
{
    static const struct {
        const char *yaml, *warning;
    } cases[] = {
        {SITES "  - { name: r, from: a, to: b }\n", NULL},
        {SITE_WITH("imap: { host: h, tls: never }"), "not encrypted"},
        {SITE_WITH("imap: { host: 127.0.0.1, tls: never }"), NULL},
        {GOOD "copy: { lease_seconds: 45 }\n", "copy.lease_seconds is not above"},
        {"sites:\n" SITE_A
         "  - { name: b, imap: { host: h }, trusted_server: { name: elevenchars, password_file: p } }\n"
         "routes:\n" ROUTE,
         "is longer than 10 characters"},
        {"sites:\n" SITE_A
         "  - { name: b, imap: { host: h }, trusted_server: { name: 1t, password_file: p } }\n"
         "routes:\n" ROUTE,
         "begins with a digit"},
        {"sites:\n" SITE_A
         "  - { name: b, imap: { host: h }, trusted_server: { name: 'a b', password_file: p } }\n"
         "routes:\n" ROUTE,
         "holds a blank"},
        {"sites:\n" SITE_A
         "  - { name: b, imap: { host: h }, trusted_server: { name: T, password_file: p } }\n"
         "routes:\n" ROUTE,
         "different trusted servers"},
    };
    char text[4096];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        warnings_of(cases[i].yaml, text, sizeof(text));
        if (cases[i].warning != NULL)
            assert_non_null(strstr(text, cases[i].warning));
        else
            assert_string_equal(text, "");
    }
}

static void test_distance(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},        {"", "abc", 3},       {"port", "port", 0}, {"prot", "port", 1},
        {"por", "port", 1}, {"ports", "port", 1}, {"pork", "port", 1}, {"kitten", "sitting", 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(config_keys_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(config_keys_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
}

static void test_table_of_keys(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    (void)state;
    config_print_keys(out);
    fclose(out);
    static const char head[] = "| key | default | limits | meaning |\n|---|---|---|---|\n| `data_dir` |";
    assert_int_equal(strncmp(text, head, strlen(head)), 0);
    assert_non_null(
        strstr(text, "\n| `sites[].imap.port` | 143; 993 with tls: always | 1 to 65535 | its IMAP port |\n"));
    assert_non_null(
        strstr(text, "\n| `sites[].name` | must be given | text | what routes call this site |\n"));
    assert_null(strstr(text, "smtp"));
    for (const struct config_key *key = config_keys(); key->path != NULL; key++)
        assert_ptr_equal(config_keys_find(key->path), key);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_yaml),
        cmocka_unit_test(test_refused_keys),
        cmocka_unit_test(test_refused_types),
        cmocka_unit_test(test_refused_required),
        cmocka_unit_test(test_refused_texts),
        cmocka_unit_test(test_refused_whole),
        cmocka_unit_test(test_refused_later),
        cmocka_unit_test(test_nothing_secret_is_repeated),
        cmocka_unit_test(test_a_password_as_password_file),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_full_file),
        cmocka_unit_test(test_groups_may_be_empty),
        cmocka_unit_test(test_many_routes),
        cmocka_unit_test(test_big_files),
        cmocka_unit_test(test_load_and_secrets),
        cmocka_unit_test(test_relative_to_the_working_directory),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_table_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
