/*
 * The configuration: one YAML file, one table of keys (config_keys.c), one struct.
 *
 * Loading checks everything that can be checked without a network: unknown keys, types, ranges, names that are
 * referred to, a route to nowhere or back to its own store. An error reads "mirror.yaml:12:7: ..." and says what
 * to write instead. Secret files are named here, not read: each program opens only its own (base/secret.h).
 */
#ifndef MIRROR_BASE_CONFIG_H
#define MIRROR_BASE_CONFIG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_tls { CONFIG_TLS_NEVER, CONFIG_TLS_STARTTLS, CONFIG_TLS_ALWAYS };
enum config_tls_version { CONFIG_TLS_1_0, CONFIG_TLS_1_1, CONFIG_TLS_1_2, CONFIG_TLS_1_3 };
enum config_database_mode { CONFIG_DATABASE_MANAGED, CONFIG_DATABASE_SERVER };

struct config_strings {
    char **items;
    size_t count;
};

struct config_rename {
    char *from, *to;
};

struct config_imap {
    char *host;          /* NULL: this site has no imap section */
    uint32_t port;       /* 143, or 993 with tls: always */
    enum config_tls tls; /* starttls */
    char *ca_file;       /* NULL: the system's */
    enum config_tls_version tls_min_version;
    char *source_address;  /* NULL: the system's choice */
    char *proxy;           /* NULL: none */
    uint32_t max_sessions; /* over all workers together */
    double max_logins_per_second;
    uint64_t max_message_bytes;                 /* larger ones are listed, not copied */
    uint32_t connect_seconds, answer_seconds;   /* time limits */
    struct config_strings disable_capabilities; /* upper case names as in CAPABILITY */
};

enum config_change_detection {
    CONFIG_CHANGES_AUTO, /* syncrepl where it is offered and pays, else modifyTimestamp */
    CONFIG_CHANGES_SYNCREPL,
    CONFIG_CHANGES_MODIFY_TIMESTAMP,
    CONFIG_CHANGES_FULL
};

/* The directory of a site. Attribute names as in RFC 4512, compared without regard to case. */
struct config_ldap {
    char *host;          /* NULL: this site has no ldap section */
    uint32_t port;       /* 389, or 636 with tls: always */
    enum config_tls tls; /* starttls */
    char *ca_file;       /* NULL: the system's */
    enum config_tls_version tls_min_version;
    char *bind_dn;        /* NULL: SASL */
    char *password_file;  /* NULL: the trusted server's */
    char *sasl_mechanism; /* NULL: simple bind with bind_dn */
    char *sasl_user;      /* authentication identity */
    char *people_dn, *cos_dn;
    char *subscriber_filter, *cos_filter;
    char *mailbox_attribute, *id_attribute, *cos_attribute; /* of a subscriber; id_attribute may be "" */
    char *cos_number_attribute;                             /* of a COS */
    char *display_attribute;                                /* a name for people */
    struct config_strings password_attributes, name_audio_attributes;
    struct config_strings required_attributes; /* what a subscriber must show, or we may not read it */
    enum config_change_detection change_detection;
    uint32_t page_size;                       /* entries; 0: no paging */
    uint32_t connect_seconds, answer_seconds; /* time limits */
};

/* A user's own password, to prove on the target that copied passwords work. */
struct config_test_password {
    char *mailbox, *password_file;
};

struct config_site {
    char *name;
    struct config_imap imap;
    struct config_ldap ldap;
    char *trusted_name;
    char *trusted_password_file;
    char *login; /* template with {mailbox} and {trusted}, or "sasl-plain", or "proxyauth" */
    struct config_strings test_mailboxes;
    struct config_test_password *test_passwords;
    size_t test_password_count;
    uint32_t auth_failures_until_stop; /* 3 */
    double auth_retry_minutes;         /* 15 */
    struct config_strings folders_include,
        folders_exclude; /* names with '/' between levels; '*' any, '?' one */
    struct config_strings greetings_folders;
    uint32_t retention_days; /* the store removes older messages by itself; 0: not known */
};

/* The brake of a route (store_brake.h). */
struct config_deletions {
    double delay_seconds;                      /* between the two looks that prove a deletion */
    uint32_t mailbox_messages, route_messages; /* floors */
    double mailbox_share, route_share, route_mailboxes_share; /* 0 to 1 */
    double window_minutes;
};

struct config_replace {
    char *attribute, *from, *to; /* `from` anywhere in a value becomes `to` */
};

/* Which entries go above the brake (store_directory_brake.h). */
struct config_directory {
    bool write;   /* else only dry runs */
    bool enabled; /* and both sites have an ldap section: config_route_has_directory() */
    struct config_strings exclude_attributes, keep_attributes, dn_attributes;
    struct config_rename *rename_attributes, *rename_classes;
    size_t rename_attributes_count, rename_classes_count;
    struct config_replace *replace_values;
    size_t replace_values_count;
    bool write_without_refused; /* an entry goes over without an attribute that the target refuses */
    double poll_seconds, list_minutes, compare_hours, overlap_seconds, delay_seconds;
    uint32_t removed_entries;
    double removed_share;                    /* 0 to 1 */
    char *subscribe_filter;                  /* NULL: none */
    struct config_strings subscribe_numbers; /* "4000-4999" */
    char *hold_dir;                          /* NULL: <data_dir>/held */
};

struct config_route {
    char *name;
    char *from, *to;
    const struct config_site *from_site, *to_site; /* point into sites */
    double target_lag_minutes;
    double late_command_minutes;          /* how long a command of a dead owner may still arrive (ghosts) */
    struct config_rename *folders_rename; /* source name -> target name, '/' between levels */
    size_t folders_rename_count;
    struct config_deletions deletions;
    struct config_directory directory;
};

struct config_workers {
    uint32_t scanner, copier, ldapsync, api;
};

struct config {
    char *path;                 /* of the file itself */
    struct config_marks *marks; /* where each value stands in it, for messages */
    char *data_dir;             /* absolute */
    struct {
        enum config_database_mode mode;
        struct config_strings hosts; /* "host" or "host:port", in order of preference */
        char *name, *user, *password_file, *tls_ca_file;
        char *run_as; /* managed, when started as root */
    } database;
    struct config_site *sites;
    size_t site_count;
    struct config_route *routes;
    size_t route_count;
    struct config_workers workers;
    struct {
        double look_interval_seconds; /* each mailbox is looked at this often, budget permitting */
        double full_look_minutes;     /* flags of big folders on servers without CONDSTORE */
        uint32_t flags_look_max_messages;
        uint32_t kept_sessions; /* per scanner */
    } scan;
    struct {
        uint32_t batch_messages; /* one MULTIAPPEND, one commit */
        uint64_t batch_bytes;
        double turn_seconds;  /* a turn of work on one mirror, then others get their turn */
        double lease_seconds; /* 120 */
    } copy;
    struct {
        char *listen; /* "127.0.0.1:8080" */
        char *cert_file, *key_file;
        bool allow_plain_http; /* off loopback without TLS: only if told so in so many words */
    } api;
    struct {
        bool json;
        uint32_t level; /* enum log_level */
    } log;
    struct {
        double grace_seconds; /* drain: work in hand gets this long */
        double pulse_seconds; /* a child silent for this long is killed: 45 */
    } supervisor;
};

/* NULL and an error "<file>:<line>:<column>: ..." (ERR_PROCESS). Relative paths are relative to the file. */
struct config *config_load(const char *path, struct err *err);
struct config *config_parse(const char *yaml, size_t len, const char *path, struct err *err);
void config_free(struct config *config);

const struct config_site *config_site_find(const struct config *config, const char *name);
const struct config_route *config_route_find(const struct config *config, const char *name);

/* Is its directory kept equal: both its sites have one, and nobody switched it off. */
bool config_route_has_directory(const struct config_route *route);
bool config_has_directory(const struct config *config); /* some route's is */

/* That all files named are there, and that nobody else may use the secret ones: "<file>:<line>:<column>: ..." */
int config_check_files(const struct config *config, struct err *err);

/* Logs what is allowed but doubtful: names that the stores may refuse, connections without TLS. Said once, by the
 * supervisor and by --check-config. */
void config_log_warnings(const struct config *config);

/* "<data_dir>/<relative>"; the caller frees. */
char *config_path(const struct config *config, const char *relative);

/* The table of keys as Markdown (README) : key, default, unit or limits, meaning. */
void config_print_keys(FILE *out);

#endif
