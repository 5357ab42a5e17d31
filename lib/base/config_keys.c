/*
 * The table of configuration keys; see config_keys.h. Read by every process.
 *
 * The order is that of README's table. Times carry their unit in the name; defaults are what a first real site needs.
 */
#include "base/config_keys.h"

#include "base/config.h"
#include "base/config_wrong.h"
#include "base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *const tls_names[] = {"never", "starttls", "always", NULL};
static const char *const tls_versions[] = {"1.0", "1.1", "1.2", "1.3", NULL};
static const char *const database_modes[] = {"managed", "server", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const change_detections[] = {"auto", "syncrepl", "modify_timestamp", "full", NULL};
static const char *const log_levels[] = {"debug", "info", "warning", "error", NULL};

#define AT(type, member) .offset = offsetof(struct type, member), .bytes = sizeof(((struct type *)0)->member)
#define LIST_AT(type, member, counter) AT(type, member), .count_offset = offsetof(struct type, counter)
#define LATER(name)                                                                                          \
    {                                                                                                        \
        .path = (name), .type = CONFIG_KEY_LATER                                                             \
    }
#define LATER_EMPTY(name)                                                                                    \
    {                                                                                                        \
        .path = (name), .type = CONFIG_KEY_LATER_EMPTY                                                       \
    }

static const struct config_key keys[] = {
    {.path = "data_dir",
     .type = CONFIG_KEY_PATH,
     AT(config, data_dir),
     .fallback = "/var/lib/message-mirror",
     .help = "private directory of run files, sockets and the managed database"},

    {.path = "database.mode",
     .type = CONFIG_KEY_ENUM,
     AT(config, database.mode),
     .names = database_modes,
     .fallback = "managed",
     .help = "`managed`: the supervisor runs a private MariaDB under data_dir; `server`: one of yours"},
    {.path = "database.hosts",
     .type = CONFIG_KEY_STRINGS,
     AT(config, database.hosts),
     .min = 1,
     .max = 9,
     .wrong = config_wrong_host_port,
     .help = "servers as `host` or `host:port`, in order of preference: all write to the first that lives"},
    {.path = "database.name",
     .type = CONFIG_KEY_STRING,
     AT(config, database.name),
     .fallback = "mirror",
     .wrong = config_wrong_database_name,
     .help = "name of the database"},
    {.path = "database.user",
     .type = CONFIG_KEY_STRING,
     AT(config, database.user),
     .fallback = "mirror",
     .wrong = config_wrong_word,
     .help = "user at the server (mode `server`)"},
    {.path = "database.password_file",
     .type = CONFIG_KEY_PATH,
     AT(config, database.password_file),
     .help = "file that holds that user's password (mode `server`)"},
    {.path = "database.tls_ca_file",
     .type = CONFIG_KEY_PATH,
     AT(config, database.tls_ca_file),
     .help = "CA certificates that the server's certificate must come from; given, TLS is demanded (mode "
             "`server`)"},
    {.path = "database.run_as",
     .type = CONFIG_KEY_STRING,
     AT(config, database.run_as),
     .fallback = "mysql",
     .wrong = config_wrong_word,
     .help = "user that the managed database runs as when the supervisor was started as root"},

    {.path = "sites",
     .type = CONFIG_KEY_MAPS,
     LIST_AT(config, sites, site_count),
     .item_bytes = sizeof(struct config_site),
     .min = 1,
     .max = 200,
     .required = true,
     .help = "the messaging systems"},
    {.path = "sites[].name",
     .type = CONFIG_KEY_STRING,
     AT(config_site, name),
     .wrong = config_wrong_name,
     .required = true,
     .help = "what routes call this site"},
    {.path = "sites[].imap.host",
     .type = CONFIG_KEY_STRING,
     AT(config_site, imap.host),
     .wrong = config_wrong_host,
     .required = true,
     .help = "name or address of the message store"},
    {.path = "sites[].imap.port",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, imap.port),
     .shown = "143; 993 with tls: always",
     .min = 1,
     .max = 65535,
     .help = "its IMAP port"},
    {.path = "sites[].imap.tls",
     .type = CONFIG_KEY_ENUM,
     AT(config_site, imap.tls),
     .names = tls_names,
     .fallback = "starttls",
     .help = "`starttls` is demanded, never only tried; `always`: TLS from the first byte; `never`: "
             "everybody on the way can read"},
    {.path = "sites[].imap.ca_file",
     .type = CONFIG_KEY_PATH,
     AT(config_site, imap.ca_file),
     .shown = "the system's",
     .help = "CA certificates that the store's certificate must come from"},
    {.path = "sites[].imap.tls_min_version",
     .type = CONFIG_KEY_ENUM,
     AT(config_site, imap.tls_min_version),
     .names = tls_versions,
     .fallback = "1.2",
     .help = "oldest TLS that is accepted; old stores may need 1.0"},
    {.path = "sites[].imap.source_address",
     .type = CONFIG_KEY_STRING,
     AT(config_site, imap.source_address),
     .shown = "the system's choice",
     .wrong = config_wrong_word,
     .help = "our own address towards the store, where its trusted server is bound to one"},
    {.path = "sites[].imap.proxy",
     .type = CONFIG_KEY_STRING,
     AT(config_site, imap.proxy),
     .shown = "none",
     .wrong = config_wrong_proxy,
     .unsaid = true,
     .help = "proxy on the way, such as `socks5h://10.1.1.1:1080`"},
    {.path = "sites[].imap.max_sessions",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, imap.max_sessions),
     .fallback = "16",
     .min = 1,
     .max = 10000,
     .help = "sessions at the store at one time, over all workers together"},
    {.path = "sites[].imap.max_logins_per_second",
     .type = CONFIG_KEY_NUMBER,
     AT(config_site, imap.max_logins_per_second),
     .fallback = "10",
     .min = 0.01,
     .max = 1000,
     .help = "logins per second, over all workers together"},
    {.path = "sites[].imap.max_message_bytes",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, imap.max_message_bytes),
     .fallback = "104857600",
     .min = 1024,
     .max = 4294967295.0,
     .unit = "bytes",
     .help = "larger messages are listed, not copied"},
    {.path = "sites[].imap.connect_seconds",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, imap.connect_seconds),
     .fallback = "20",
     .min = 1,
     .max = 60,
     .unit = "seconds",
     .help = "time limit for connection, TLS and login"},
    {.path = "sites[].imap.answer_seconds",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, imap.answer_seconds),
     .fallback = "20",
     .min = 1,
     .max = 60,
     .unit = "seconds",
     .help = "a store that says nothing for this long while we wait for it is given up"},
    {.path = "sites[].imap.disable_capabilities",
     .type = CONFIG_KEY_STRINGS,
     AT(config_site, imap.disable_capabilities),
     .shown = "none",
     .max = 100,
     .wrong = config_wrong_capability,
     .help = "capabilities that the store announces and that are not to be used, such as `MULTIAPPEND`"},
    {.path = "sites[].trusted_server.name",
     .type = CONFIG_KEY_STRING,
     AT(config_site, trusted_name),
     .required = true,
     .help = "name of the trusted server that may enter every mailbox"},
    {.path = "sites[].trusted_server.password_file",
     .type = CONFIG_KEY_PATH,
     AT(config_site, trusted_password_file),
     .required = true,
     .help = "file that holds the trusted server's password and that only its owner may read"},
    {.path = "sites[].login",
     .type = CONFIG_KEY_STRING,
     AT(config_site, login),
     .fallback = "{mailbox}*{trusted}",
     .wrong = config_wrong_login,
     .unsaid = true,
     .help =
         "form of the login: a template with `{mailbox}` and `{trusted}`, or `sasl-plain`, or `proxyauth`"},
    {.path = "sites[].test_mailboxes",
     .type = CONFIG_KEY_STRINGS,
     AT(config_site, test_mailboxes),
     .shown = "none",
     .max = 100,
     .wrong = config_wrong_mailbox,
     .help = "mailboxes that may be entered to find out whether the store or one mailbox refuses us"},
    {.path = "sites[].test_passwords",
     .type = CONFIG_KEY_MAPS,
     LIST_AT(config_site, test_passwords, test_password_count),
     .item_bytes = sizeof(struct config_test_password),
     .shown = "none",
     .max = 20,
     .help = "users' own passwords on production, to prove that they work on the target once the directory "
             "is equal"},
    {.path = "sites[].test_passwords[].mailbox",
     .type = CONFIG_KEY_STRING,
     AT(config_test_password, mailbox),
     .wrong = config_wrong_mailbox,
     .required = true,
     .help = "a test mailbox"},
    {.path = "sites[].test_passwords[].password_file",
     .type = CONFIG_KEY_PATH,
     AT(config_test_password, password_file),
     .required = true,
     .help = "file that holds its user's password and that only its owner may read"},
    {.path = "sites[].auth_failures_until_stop",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, auth_failures_until_stop),
     .fallback = "3",
     .min = 2,
     .max = 100,
     .help = "refused logins in a row, over the whole site, after which it is left alone"},
    {.path = "sites[].auth_retry_minutes",
     .type = CONFIG_KEY_NUMBER,
     AT(config_site, auth_retry_minutes),
     .fallback = "15",
     .min = 0.01,
     .max = 1440,
     .unit = "minutes",
     .help = "for how long, unless the password file changes"},
    {.path = "sites[].folders.include",
     .type = CONFIG_KEY_STRINGS,
     AT(config_site, folders_include),
     .fallback = "*",
     .max = 1000,
     .help = "folders that are mirrored; `/` between levels, `*` for any text, `?` for one character"},
    {.path = "sites[].folders.exclude",
     .type = CONFIG_KEY_STRINGS,
     AT(config_site, folders_exclude),
     .shown = "none",
     .max = 1000,
     .help = "folders that are not, although included"},
    {.path = "sites[].folders.rename",
     .type = CONFIG_KEY_LATER,
     .help = "folders are renamed on the way to one target; write it at the route"},
    {.path = "sites[].greetings.folders",
     .type = CONFIG_KEY_STRINGS,
     AT(config_site, greetings_folders),
     .fallback = "Greetings, GREETINGS",
     .max = 100,
     .help =
         "folders that hold greetings (they are mirrored like all others; this is what reports call them)"},
    {.path = "sites[].retention_days",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, retention_days),
     .fallback = "0",
     .shown = "not known",
     .max = 36500,
     .unit = "days",
     .help = "the store removes older messages by itself: on production what passed this age in the last two "
             "days "
             "does not count towards the limits when it goes, on the target older ones are not copied again"},
    {.path = "sites[].ldap.host",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.host),
     .wrong = config_wrong_host,
     .help = "name or address of the directory; with this section on both ends of a route, subscribers and "
             "COS are mirrored too"},
    {.path = "sites[].ldap.port",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, ldap.port),
     .shown = "389; 636 with tls: always",
     .min = 1,
     .max = 65535,
     .help = "its LDAP port"},
    {.path = "sites[].ldap.tls",
     .type = CONFIG_KEY_ENUM,
     AT(config_site, ldap.tls),
     .names = tls_names,
     .fallback = "starttls",
     .help = "as for `imap`"},
    {.path = "sites[].ldap.ca_file",
     .type = CONFIG_KEY_PATH,
     AT(config_site, ldap.ca_file),
     .shown = "the system's",
     .help = "CA certificates that the directory's certificate must come from"},
    {.path = "sites[].ldap.tls_min_version",
     .type = CONFIG_KEY_ENUM,
     AT(config_site, ldap.tls_min_version),
     .names = tls_versions,
     .fallback = "1.2",
     .help = "oldest TLS that is accepted"},
    {.path = "sites[].ldap.bind_dn",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.bind_dn),
     .wrong = config_wrong_dn,
     .help = "DN that we bind as; must be given unless `sasl_mechanism` is"},
    {.path = "sites[].ldap.password_file",
     .type = CONFIG_KEY_PATH,
     AT(config_site, ldap.password_file),
     .shown = "the trusted server's",
     .help = "file that holds its password and that only its owner may read"},
    {.path = "sites[].ldap.sasl_mechanism",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.sasl_mechanism),
     .shown = "none: simple bind",
     .wrong = config_wrong_word,
     .help = "SASL mechanism to bind with, such as `PLAIN`, `SCRAM-SHA-256` or `EXTERNAL`"},
    {.path = "sites[].ldap.sasl_user",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.sasl_user),
     .shown = "none",
     .wrong = config_wrong_word,
     .help = "name that the SASL mechanism authenticates"},
    {.path = "sites[].ldap.people_dn",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.people_dn),
     .wrong = config_wrong_dn,
     .help = "DN under which the subscribers are; must be given"},
    {.path = "sites[].ldap.cos_dn",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.cos_dn),
     .wrong = config_wrong_dn,
     .help = "DN under which the classes of service are; must be given"},
    {.path = "sites[].ldap.subscriber_filter",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.subscriber_filter),
     .fallback = "(objectClass=standinSubscriber)",
     .wrong = config_wrong_filter,
     .help = "which entries there are subscribers"},
    {.path = "sites[].ldap.cos_filter",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.cos_filter),
     .fallback = "(objectClass=standinClassOfService)",
     .wrong = config_wrong_filter,
     .help = "which entries there are classes of service"},
    {.path = "sites[].ldap.mailbox_attribute",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.mailbox_attribute),
     .fallback = "standinMailbox",
     .wrong = config_wrong_attribute,
     .help = "attribute that holds a subscriber's mailbox number"},
    {.path = "sites[].ldap.id_attribute",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.id_attribute),
     .fallback = "standinId",
     .wrong = config_wrong_attribute,
     .help = "attribute that stays when number and name change, and tells one person from the next with the "
             "same number; `none` if there is none: then a changed number is another person"},
    {.path = "sites[].ldap.cos_attribute",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.cos_attribute),
     .fallback = "standinCos",
     .wrong = config_wrong_attribute,
     .help = "attribute by which a subscriber refers to his COS"},
    {.path = "sites[].ldap.cos_number_attribute",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.cos_number_attribute),
     .fallback = "standinCosNumber",
     .wrong = config_wrong_attribute,
     .help = "attribute that holds a COS's number"},
    {.path = "sites[].ldap.display_attribute",
     .type = CONFIG_KEY_STRING,
     AT(config_site, ldap.display_attribute),
     .fallback = "cn",
     .wrong = config_wrong_attribute,
     .help = "attribute that reports call a subscriber or COS by"},
    {.path = "sites[].ldap.password_attributes",
     .type = CONFIG_KEY_STRINGS,
     AT(config_site, ldap.password_attributes),
     .fallback = "standinPassword, userPassword",
     .max = 20,
     .wrong = config_wrong_attribute,
     .help = "secret ones: mirrored, and never shown anywhere"},
    {.path = "sites[].ldap.name_audio_attributes",
     .type = CONFIG_KEY_STRINGS,
     AT(config_site, ldap.name_audio_attributes),
     .fallback = "standinNameAudio",
     .max = 20,
     .wrong = config_wrong_attribute,
     .help = "recorded names: what reports call them"},
    {.path = "sites[].ldap.required_attributes",
     .type = CONFIG_KEY_STRINGS,
     AT(config_site, ldap.required_attributes),
     .shown = "mailbox number, COS and the first of `password_attributes`",
     .max = 50,
     .wrong = config_wrong_attribute,
     .help = "what every subscriber must have; where no entry shows one, we may not read it, and nothing is "
             "written"},
    {.path = "sites[].ldap.change_detection",
     .type = CONFIG_KEY_ENUM,
     AT(config_site, ldap.change_detection),
     .names = change_detections,
     .fallback = "auto",
     .help = "`auto`: the best that the server has; or `syncrepl`, `modify_timestamp`, or `full` comparisons "
             "only"},
    {.path = "sites[].ldap.page_size",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, ldap.page_size),
     .fallback = "500",
     .max = 10000,
     .unit = "entries",
     .help = "entries a page (RFC 2696); 0: the server knows no pages"},
    {.path = "sites[].ldap.connect_seconds",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, ldap.connect_seconds),
     .fallback = "20",
     .min = 1,
     .max = 20,
     .unit = "seconds",
     .help = "time limit for connection, TLS and bind"},
    {.path = "sites[].ldap.answer_seconds",
     .type = CONFIG_KEY_INTEGER,
     AT(config_site, ldap.answer_seconds),
     .fallback = "20",
     .min = 1,
     .max = 60,
     .unit = "seconds",
     .help = "a directory that says nothing for this long while we wait for it is given up"},
    LATER("sites[].greetings.attributes"),
    LATER("sites[].keywords"),
    LATER("sites[].smtp"),
    LATER("sites[].files"),
    LATER("sites[].release"),
    LATER("sites[].fingerprint"),
    LATER("sites[].max_clock_skew_seconds"),
    LATER("sites[].maintenance"),

    {.path = "routes",
     .type = CONFIG_KEY_MAPS,
     LIST_AT(config, routes, route_count),
     .item_bytes = sizeof(struct config_route),
     .min = 1,
     .max = 200,
     .required = true,
     .help = "what is mirrored where"},
    {.path = "routes[].name",
     .type = CONFIG_KEY_STRING,
     AT(config_route, name),
     .wrong = config_wrong_name,
     .required = true,
     .help = "what commands and reports call this route"},
    {.path = "routes[].from",
     .type = CONFIG_KEY_STRING,
     AT(config_route, from),
     .wrong = config_wrong_name,
     .required = true,
     .help = "name of the production site"},
    {.path = "routes[].to",
     .type = CONFIG_KEY_STRING,
     AT(config_route, to),
     .wrong = config_wrong_name,
     .required = true,
     .help = "name of the site that is made equal to it"},
    {.path = "routes[].target_lag_minutes",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, target_lag_minutes),
     .fallback = "5",
     .min = 0.01,
     .max = 10080,
     .unit = "minutes",
     .help = "a mirror further behind production than this is reported"},
    {.path = "routes[].late_command_minutes",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, late_command_minutes),
     .fallback = "10",
     .min = 0.01,
     .max = 1440,
     .unit = "minutes",
     .help = "how long after a lost connection the target may still carry out a command that was on its way"},
    {.path = "routes[].folders.rename",
     .type = CONFIG_KEY_MAPS,
     LIST_AT(config_route, folders_rename, folders_rename_count),
     .item_bytes = sizeof(struct config_rename),
     .shown = "none",
     .max = 1000,
     .help = "folders that are called otherwise on the target"},
    {.path = "routes[].folders.rename[].from",
     .type = CONFIG_KEY_STRING,
     AT(config_rename, from),
     .required = true,
     .help = "name on production, `/` between levels"},
    {.path = "routes[].folders.rename[].to",
     .type = CONFIG_KEY_STRING,
     AT(config_rename, to),
     .required = true,
     .help = "name on the target, `/` between levels"},
    {.path = "routes[].deletions.delay_seconds",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, deletions.delay_seconds),
     .fallback = "300",
     .min = 0.1,
     .max = 86400,
     .unit = "seconds",
     .help =
         "what is gone from production is looked for once more after this long, before its copy is removed"},
    {.path = "routes[].deletions.mailbox_messages",
     .type = CONFIG_KEY_INTEGER,
     AT(config_route, deletions.mailbox_messages),
     .fallback = "30",
     .min = 0,
     .max = 1000000,
     .unit = "messages",
     .help = "a mailbox may lose this many within the window, whatever its size"},
    {.path = "routes[].deletions.mailbox_share",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, deletions.mailbox_share),
     .fallback = "0.5",
     .min = 0,
     .max = 1,
     .help = "more than that, and more than this share of its messages, are held for a person to decide"},
    {.path = "routes[].deletions.route_messages",
     .type = CONFIG_KEY_INTEGER,
     AT(config_route, deletions.route_messages),
     .fallback = "100",
     .min = 0,
     .max = 100000000,
     .unit = "messages",
     .help = "all mailboxes of a route together may lose this many within the window, or five for each "
             "mailbox if that is more"},
    {.path = "routes[].deletions.route_share",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, deletions.route_share),
     .fallback = "0.2",
     .min = 0,
     .max = 1,
     .help = "more than that, and more than this share of all messages, are held"},
    {.path = "routes[].deletions.route_mailboxes_share",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, deletions.route_mailboxes_share),
     .fallback = "0.05",
     .min = 0,
     .max = 1,
     .help = "so they are if more than this share of the mailboxes was emptied (of 10 messages or more)"},
    {.path = "routes[].deletions.window_minutes",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, deletions.window_minutes),
     .fallback = "60",
     .min = 1,
     .max = 10080,
     .unit = "minutes",
     .help = "over how long both limits count"},

    {.path = "routes[].directory.enabled",
     .type = CONFIG_KEY_BOOL,
     AT(config_route, directory.enabled),
     .fallback = "true",
     .help =
         "`false`: subscribers and COS of this route are not mirrored, although both its sites have `ldap`"},
    {.path = "routes[].directory.write",
     .type = CONFIG_KEY_BOOL,
     AT(config_route, directory.write),
     .fallback = "true",
     .help = "`false`: nothing is written yet, and `mirrorctl directory diff` shows what would be"},
    {.path = "routes[].directory.exclude_attributes",
     .type = CONFIG_KEY_STRINGS,
     AT(config_route, directory.exclude_attributes),
     .fallback = "standinModified",
     .max = 200,
     .wrong = config_wrong_attribute,
     .help = "attributes that are not mirrored; operational ones never are"},
    {.path = "routes[].directory.keep_attributes",
     .type = CONFIG_KEY_STRINGS,
     AT(config_route, directory.keep_attributes),
     .shown = "none",
     .max = 200,
     .wrong = config_wrong_attribute,
     .help = "attributes that a new entry gets from production, and that stay as the target has them from "
             "then on"},
    {.path = "routes[].directory.dn_attributes",
     .type = CONFIG_KEY_STRINGS,
     AT(config_route, directory.dn_attributes),
     .fallback = "manager, secretary, seeAlso, owner, member",
     .max = 200,
     .wrong = config_wrong_attribute,
     .help = "attributes whose values are DNs: production's base DN in them becomes the target's"},
    {.path = "routes[].directory.rename_attributes",
     .type = CONFIG_KEY_MAPS,
     LIST_AT(config_route, directory.rename_attributes, directory.rename_attributes_count),
     .item_bytes = sizeof(struct config_rename),
     .shown = "none",
     .max = 200,
     .help = "attributes that are called otherwise on the target"},
    {.path = "routes[].directory.rename_attributes[].from",
     .type = CONFIG_KEY_STRING,
     AT(config_rename, from),
     .wrong = config_wrong_attribute,
     .required = true,
     .help = "name on production"},
    {.path = "routes[].directory.rename_attributes[].to",
     .type = CONFIG_KEY_STRING,
     AT(config_rename, to),
     .wrong = config_wrong_attribute,
     .required = true,
     .help = "name on the target"},
    {.path = "routes[].directory.rename_classes",
     .type = CONFIG_KEY_MAPS,
     LIST_AT(config_route, directory.rename_classes, directory.rename_classes_count),
     .item_bytes = sizeof(struct config_rename),
     .shown = "none",
     .max = 50,
     .help = "object classes that are called otherwise on the target"},
    {.path = "routes[].directory.rename_classes[].from",
     .type = CONFIG_KEY_STRING,
     AT(config_rename, from),
     .wrong = config_wrong_attribute,
     .required = true,
     .help = "name on production"},
    {.path = "routes[].directory.rename_classes[].to",
     .type = CONFIG_KEY_STRING,
     AT(config_rename, to),
     .shown = "left out",
     .wrong = config_wrong_attribute,
     .help = "name on the target; without it the class is left out there"},
    {.path = "routes[].directory.replace_values",
     .type = CONFIG_KEY_MAPS,
     LIST_AT(config_route, directory.replace_values, directory.replace_values_count),
     .item_bytes = sizeof(struct config_replace),
     .shown = "none",
     .max = 200,
     .help = "what differs between the sites by design, such as host names"},
    {.path = "routes[].directory.replace_values[].attribute",
     .type = CONFIG_KEY_STRING,
     AT(config_replace, attribute),
     .wrong = config_wrong_attribute,
     .required = true,
     .help = "in which attribute, as production calls it"},
    {.path = "routes[].directory.replace_values[].from",
     .type = CONFIG_KEY_STRING,
     AT(config_replace, from),
     .required = true,
     .help = "text in its values on production"},
    {.path = "routes[].directory.replace_values[].to",
     .type = CONFIG_KEY_STRING,
     AT(config_replace, to),
     .required = true,
     .help = "text that stands there on the target"},
    {.path = "routes[].directory.write_without_refused",
     .type = CONFIG_KEY_BOOL,
     AT(config_route, directory.write_without_refused),
     .fallback = "false",
     .help = "`true`: an entry goes over without an attribute that the target refuses, and counts as not "
             "equal; `false`: it waits as it is"},
    {.path = "routes[].directory.poll_seconds",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, directory.poll_seconds),
     .fallback = "5",
     .min = 0.1,
     .max = 3600,
     .unit = "seconds",
     .help = "production is asked for changes this often"},
    {.path = "routes[].directory.list_minutes",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, directory.list_minutes),
     .fallback = "10",
     .min = 0.01,
     .max = 1440,
     .unit = "minutes",
     .help = "production is asked for all its numbers this often: what is gone is found so"},
    {.path = "routes[].directory.compare_hours",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, directory.compare_hours),
     .fallback = "24",
     .min = 0.001,
     .max = 720,
     .unit = "hours",
     .help = "both directories are read and compared whole this often: also what was changed on the target "
             "is found so"},
    {.path = "routes[].directory.overlap_seconds",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, directory.overlap_seconds),
     .fallback = "60",
     .min = 0,
     .max = 86400,
     .unit = "seconds",
     .help =
         "changes up to this much older than the newest one seen are asked for again, since clocks differ"},
    {.path = "routes[].directory.delay_seconds",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, directory.delay_seconds),
     .fallback = "300",
     .min = 0.1,
     .max = 86400,
     .unit = "seconds",
     .help = "what is gone from production is looked for once more after this long, before it is removed "
             "from the target"},
    {.path = "routes[].directory.removed_entries",
     .type = CONFIG_KEY_INTEGER,
     AT(config_route, directory.removed_entries),
     .fallback = "20",
     .min = 0,
     .max = 1000000,
     .unit = "entries",
     .help = "so many subscribers, and so many COS, may go within a day"},
    {.path = "routes[].directory.removed_share",
     .type = CONFIG_KEY_NUMBER,
     AT(config_route, directory.removed_share),
     .fallback = "0.02",
     .min = 0,
     .max = 1,
     .help = "more than that, and more than this share of all, are held for a person to decide"},
    {.path = "routes[].directory.hold_dir",
     .type = CONFIG_KEY_PATH,
     AT(config_route, directory.hold_dir),
     .shown = "`data_dir/held`",
     .help = "where the former owner's messages go when a mailbox number becomes another person's; with "
             "copiers on "
             "several hosts a directory that all of them share"},
    {.path = "routes[].directory.subscribe_filter",
     .type = CONFIG_KEY_STRING,
     AT(config_route, directory.subscribe_filter),
     .shown = "nobody",
     .wrong = config_wrong_filter,
     .help = "subscribers of production that match are subscribed by themselves: an LDAP filter, of a COS or "
             "a community"},
    {.path = "routes[].directory.subscribe_numbers",
     .type = CONFIG_KEY_STRINGS,
     LIST_AT(config_route, directory.subscribe_numbers.items, directory.subscribe_numbers.count),
     .max = 100,
     .wrong = config_wrong_range,
     .shown = "all that match",
     .help = "likewise those with a number in one of these ranges, such as `4000-4999`; with a filter both "
             "must hold"},

    {.path = "workers.scanner",
     .type = CONFIG_KEY_INTEGER,
     AT(config, workers.scanner),
     .fallback = "1",
     .max = 64,
     .help = "processes that look for changes"},
    {.path = "workers.copier",
     .type = CONFIG_KEY_INTEGER,
     AT(config, workers.copier),
     .fallback = "4",
     .max = 1024,
     .help = "processes that copy; each works on one mailbox at a time"},
    {.path = "workers.ldapsync",
     .type = CONFIG_KEY_INTEGER,
     AT(config, workers.ldapsync),
     .fallback = "1",
     .max = 64,
     .help = "processes that keep directories equal; each works on one route at a time (none are started if "
             "no route has a directory)"},
    {.path = "workers.api",
     .type = CONFIG_KEY_INTEGER,
     AT(config, workers.api),
     .fallback = "1",
     .max = 1,
     .help = "processes that answer HTTP"},
    LATER_EMPTY("workers.notifier"),

    {.path = "scan.look_interval_seconds",
     .type = CONFIG_KEY_NUMBER,
     AT(config, scan.look_interval_seconds),
     .fallback = "10",
     .min = 0.1,
     .max = 86400,
     .unit = "seconds",
     .help = "each mailbox is looked at this often, as far as the site's sessions and logins allow"},
    {.path = "scan.full_look_minutes",
     .type = CONFIG_KEY_NUMBER,
     AT(config, scan.full_look_minutes),
     .fallback = "15",
     .min = 0.01,
     .max = 10080,
     .unit = "minutes",
     .help = "how often the flags of big folders are read where the store offers no CONDSTORE"},
    {.path = "scan.flags_look_max_messages",
     .type = CONFIG_KEY_INTEGER,
     AT(config, scan.flags_look_max_messages),
     .fallback = "500",
     .max = 1000000,
     .help = "folders of up to this many messages count as small: their flags are read at every look"},
    {.path = "scan.kept_sessions",
     .type = CONFIG_KEY_INTEGER,
     AT(config, scan.kept_sessions),
     .fallback = "4",
     .max = 1000,
     .help = "sessions that a scanner keeps open for the next look"},

    {.path = "copy.batch_messages",
     .type = CONFIG_KEY_INTEGER,
     AT(config, copy.batch_messages),
     .fallback = "250",
     .min = 1,
     .max = 1000,
     .help = "messages that are copied and recorded in one go"},
    {.path = "copy.batch_bytes",
     .type = CONFIG_KEY_INTEGER,
     AT(config, copy.batch_bytes),
     .fallback = "16777216",
     .min = 1,
     .max = 1073741824,
     .unit = "bytes",
     .help = "a batch ends before it is larger than this, unless a single message is"},
    {.path = "copy.turn_seconds",
     .type = CONFIG_KEY_NUMBER,
     AT(config, copy.turn_seconds),
     .fallback = "20",
     .min = 0.1,
     .max = 3600,
     .unit = "seconds",
     .help = "after this long with one mailbox the others get their turn"},
    {.path = "copy.lease_seconds",
     .type = CONFIG_KEY_NUMBER,
     AT(config, copy.lease_seconds),
     .fallback = "120",
     .min = 5,
     .max = 3600,
     .unit = "seconds",
     .help = "a mailbox whose copier said nothing for this long is given to another"},

    {.path = "api.listen",
     .type = CONFIG_KEY_STRING,
     AT(config, api.listen),
     .fallback = "127.0.0.1:8080",
     .wrong = config_wrong_listen,
     .help = "address and port of the HTTP API"},
    {.path = "api.tls.cert_file",
     .type = CONFIG_KEY_PATH,
     AT(config, api.cert_file),
     .shown = "none: plain HTTP",
     .help = "certificate of the API, PEM"},
    {.path = "api.tls.key_file",
     .type = CONFIG_KEY_PATH,
     AT(config, api.key_file),
     .help = "its private key, PEM, in a file that only its owner may read"},
    {.path = "api.allow_plain_http",
     .type = CONFIG_KEY_BOOL,
     AT(config, api.allow_plain_http),
     .fallback = "false",
     .help = "`true` lets the API listen without TLS on an address that others can reach"},

    {.path = "log.format",
     .type = CONFIG_KEY_ENUM,
     AT(config, log.json),
     .names = log_formats,
     .fallback = "text",
     .help = "`text` for people, `json` for one object a line"},
    {.path = "log.level",
     .type = CONFIG_KEY_ENUM,
     AT(config, log.level),
     .names = log_levels,
     .fallback = "info",
     .help = "the least that is logged"},

    {.path = "supervisor.grace_seconds",
     .type = CONFIG_KEY_NUMBER,
     AT(config, supervisor.grace_seconds),
     .fallback = "30",
     .max = 600,
     .unit = "seconds",
     .help = "at a stop, work in hand gets this long to end"},
    {.path = "supervisor.pulse_seconds",
     .type = CONFIG_KEY_NUMBER,
     AT(config, supervisor.pulse_seconds),
     .fallback = "45",
     .min = 6,
     .max = 3600,
     .unit = "seconds",
     .help = "a process that gave no sign of life for this long is killed and started again"},

    LATER_EMPTY("bus"),
    {.path = "ldap",
     .type = CONFIG_KEY_LATER,
     .help = "each site has its own directory; write it at the site"},
    LATER("smtp"),
    {.path = NULL},
};

const struct config_key *config_keys(void)
{
    return keys;
}

const struct config_key *config_keys_find(const char *pattern)
{
    for (const struct config_key *key = keys; key->path != NULL; key++)
        if (strcmp(key->path, pattern) == 0)
            return key;
    return NULL;
}

/* What stands behind "pattern." in the path, or NULL if the key is not in this group. */
static const char *below(const struct config_key *key, const char *pattern)
{
    size_t len = strlen(pattern);
    if (len == 0)
        return key->path;
    return strncmp(key->path, pattern, len) == 0 && key->path[len] == '.' ? key->path + len + 1 : NULL;
}

bool config_keys_is_group(const char *pattern)
{
    for (const struct config_key *key = keys; key->path != NULL; key++)
        if (below(key, pattern) != NULL)
            return true;
    return false;
}

bool config_keys_at_level(const struct config_key *key, const char *level)
{
    const char *rest = below(key, level);
    return rest != NULL && strchr(rest, '[') == NULL;
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

size_t config_keys_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > LONGEST || b_len > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = least(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b_len];
}

/* The next word of the path behind the group, without "[]". */
static bool child_of(const struct config_key *key, const char *pattern, char child[64])
{
    const char *rest = below(key, pattern);
    bool later = key->type == CONFIG_KEY_LATER || key->type == CONFIG_KEY_LATER_EMPTY;
    if (rest == NULL || later)
        return false;
    size_t len = strcspn(rest, ".[");
    memcpy(child, rest, len);
    child[len] = 0;
    return true;
}

static void list_children(const char *pattern, char *text, size_t size)
{
    char child[64], last[64] = "";
    size_t len = (size_t)snprintf(text, size, "known here are");
    for (const struct config_key *key = keys; key->path != NULL && len < size; key++) {
        if (!child_of(key, pattern, child) || str_equal(child, last))
            continue;
        len += (size_t)snprintf(text + len, size - len, "%s %s", *last ? "," : "", child);
        str_into(last, sizeof(last), child);
    }
}

/* A key of that name deeper in this group: written one level too high. */
static const char *deeper(const char *pattern, const char *name)
{
    for (const struct config_key *key = keys; key->path != NULL; key++) {
        const char *rest = below(key, pattern);
        const char *dot = rest ? strrchr(rest, '.') : NULL;
        if (dot != NULL && strchr(rest, '[') == NULL && strcmp(dot + 1, name) == 0)
            return rest;
    }
    return NULL;
}

/* "password" of "password_file". */
static bool is_first_word(const char *name, const char *child)
{
    size_t len = strlen(name);
    return len > 0 && strncmp(name, child, len) == 0 && child[len] == '_';
}

void config_keys_suggest(const char *pattern, const char *name, char *text, size_t size)
{
    char child[64], best[64] = "";
    size_t best_distance = strlen(name) / 3 + 2;
    for (const struct config_key *key = keys; key->path != NULL; key++) {
        if (!child_of(key, pattern, child))
            continue;
        size_t distance = is_first_word(name, child) ? 1 : config_keys_distance(name, child);
        if (distance < best_distance) {
            best_distance = distance;
            str_into(best, sizeof(best), child);
        }
    }
    const char *inner = deeper(pattern, name);
    if (*best || inner != NULL)
        snprintf(text, size, "did you mean '%s'?", inner ? inner : best);
    else
        list_children(pattern, text, size);
}

static void print_limits(FILE *out, const struct config_key *key)
{
    const char *unit = key->unit ? key->unit : "";
    if (key->type == CONFIG_KEY_BOOL)
        fprintf(out, "true, false");
    for (size_t i = 0; key->type == CONFIG_KEY_ENUM && key->names[i]; i++)
        fprintf(out, "%s%s", i ? ", " : "", key->names[i]);
    if (key->type == CONFIG_KEY_INTEGER || key->type == CONFIG_KEY_NUMBER)
        fprintf(out, "%.15g to %.15g%s%s", key->min, key->max, *unit ? " " : "", unit);
    if (key->type == CONFIG_KEY_STRINGS || key->type == CONFIG_KEY_MAPS)
        fprintf(out, "list, up to %.15g", key->max);
    if (key->type == CONFIG_KEY_PATH)
        fprintf(out, "path");
    if (key->type == CONFIG_KEY_STRING)
        fprintf(out, "text");
}

static void print_default(FILE *out, const struct config_key *key)
{
    if (key->shown != NULL)
        fprintf(out, "%s", key->shown);
    else if (key->fallback != NULL)
        fprintf(out, "`%s`", key->fallback);
    else
        fprintf(out, "%s", key->required ? "must be given" : "none");
}

void config_print_keys(FILE *out)
{
    fprintf(out, "| key | default | limits | meaning |\n|---|---|---|---|\n");
    for (const struct config_key *key = keys; key->path != NULL; key++) {
        if (key->type == CONFIG_KEY_LATER || key->type == CONFIG_KEY_LATER_EMPTY)
            continue;
        fprintf(out, "| `%s` | ", key->path);
        print_default(out, key);
        fprintf(out, " | ");
        print_limits(out, key);
        fprintf(out, " | %s |\n", key->help);
    }
}
