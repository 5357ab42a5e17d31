/*
 * The whole of the configuration; see config_check.h. Pure but for config_check_files().
 */
#include "base/config_check.h"

#include "base/config_keys.h"
#include "base/config_wrong.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LABEL_BYTES = 96, TRUSTED_NAME_LONGEST = 10 };

static const char *label(char text[LABEL_BYTES], const char *list, size_t i, const char *key)
{
    snprintf(text, LABEL_BYTES, "%s[%zu].%s", list, i, key);
    return text;
}

static void upper(char *text)
{
    for (; *text; text++)
        if (*text >= 'a' && *text <= 'z')
            *text = (char)(*text - 'a' + 'A');
}

static void complete_site(struct config_site *site)
{
    if (site->imap.port == 0)
        site->imap.port = site->imap.tls == CONFIG_TLS_ALWAYS ? 993 : 143;
    if (site->ldap.port == 0)
        site->ldap.port = site->ldap.tls == CONFIG_TLS_ALWAYS ? 636 : 389;
    if (site->ldap.id_attribute && str_equal_nocase(site->ldap.id_attribute, "none"))
        site->ldap.id_attribute[0] = 0;
    for (size_t i = 0; i < site->imap.disable_capabilities.count; i++)
        upper(site->imap.disable_capabilities.items[i]);
}

/* A section without host is a mistake, and so is one that says not where the entries are. */
static int check_ldap(const struct config_ldap *ldap, size_t i, const struct config_marks *marks,
                      struct err *err)
{
    const struct {
        const char *name, *value, *write;
    } needed[] = {
        {"ldap.people_dn", ldap->people_dn, "the DN under which the subscribers are"},
        {"ldap.cos_dn", ldap->cos_dn, "the DN under which the classes of service are"},
        {"ldap.bind_dn", ldap->sasl_mechanism ? "" : ldap->bind_dn, "the DN to bind as, or sasl_mechanism"},
    };
    char where[LABEL_BYTES];
    bool begun = ldap->bind_dn || ldap->people_dn || ldap->cos_dn || ldap->sasl_mechanism;
    if (ldap->host == NULL && begun)
        return config_marks_fail(marks, err, label(where, "sites", i, "ldap.host"),
                                 "missing; write it: name or address of the directory");
    for (size_t j = 0; ldap->host && j < sizeof(needed) / sizeof(needed[0]); j++)
        if (needed[j].value == NULL)
            return config_marks_fail(marks, err, label(where, "sites", i, needed[j].name),
                                     "missing; write it: %s", needed[j].write);
    return 0;
}

static int check_sites(struct config *config, const struct config_marks *marks, struct err *err)
{
    char where[LABEL_BYTES];
    for (size_t i = 0; i < config->site_count; i++) {
        const char *name = config->sites[i].name;
        complete_site(&config->sites[i]);
        if (config_site_find(config, name) != &config->sites[i])
            return config_marks_fail(marks, err, label(where, "sites", i, "name"),
                                     "a second site called '%s'; give each its own name", name);
        if (check_ldap(&config->sites[i].ldap, i, marks, err) < 0)
            return -1;
    }
    return 0;
}

static int no_such_site(const struct config *config, const struct config_marks *marks, const char *where,
                        const char *name, struct err *err)
{
    const char *best = NULL;
    size_t best_distance = strlen(name) / 3 + 2;
    for (size_t i = 0; i < config->site_count; i++) {
        size_t distance = config_keys_distance(name, config->sites[i].name);
        if (distance < best_distance) {
            best_distance = distance;
            best = config->sites[i].name;
        }
    }
    if (best != NULL)
        return config_marks_fail(marks, err, where, "there is no site '%s'; did you mean '%s'?", name, best);
    return config_marks_fail(marks, err, where, "there is no site '%s'; write the name of one under sites",
                             name);
}

/* Both directories the same one: everything would be equal to itself, and a number's next owner never seen. */
static bool is_same_directory(const struct config_ldap *a, const struct config_ldap *b)
{
    return a->host && b->host && str_equal_nocase(a->host, b->host) && a->port == b->port &&
           str_equal_nocase(a->people_dn, b->people_dn);
}

/* By what the file says; two names for one machine are found by the fingerprint of what answers there. */
static bool is_same_store(const struct config_site *a, const struct config_site *b)
{
    return a == b || (str_equal_nocase(a->imap.host, b->imap.host) && a->imap.port == b->imap.port);
}

/* Who somebody is must be the same on both sides: nobody would be known again. */
static int check_replaced(const struct config_route *route, size_t i, const struct config_marks *marks,
                          struct err *err)
{
    const struct config_ldap *ldap = &route->from_site->ldap;
    const char *const fixed[] = {ldap->id_attribute, ldap->mailbox_attribute, ldap->cos_number_attribute};
    char where[LABEL_BYTES];
    for (size_t j = 0; ldap->host && j < route->directory.replace_values_count; j++)
        for (size_t k = 0; k < sizeof(fixed) / sizeof(fixed[0]); k++)
            if (str_equal_nocase(route->directory.replace_values[j].attribute, fixed[k]))
                return config_marks_fail(
                    marks, err, label(where, "routes", i, "directory.replace_values"),
                    "'%s' tells who an entry is, and must be the same on both sides; leave it out", fixed[k]);
    return 0;
}

static int check_route(struct config *config, size_t i, const struct config_marks *marks, struct err *err)
{
    struct config_route *route = &config->routes[i];
    char where[LABEL_BYTES];
    if (config_route_find(config, route->name) != route)
        return config_marks_fail(marks, err, label(where, "routes", i, "name"),
                                 "a second route called '%s'; give each its own name", route->name);
    route->from_site = config_site_find(config, route->from);
    if (route->from_site == NULL)
        return no_such_site(config, marks, label(where, "routes", i, "from"), route->from, err);
    route->to_site = config_site_find(config, route->to);
    if (route->to_site == NULL)
        return no_such_site(config, marks, label(where, "routes", i, "to"), route->to, err);
    if (route->from_site == route->to_site)
        return config_marks_fail(
            marks, err, label(where, "routes", i, "to"),
            "leads from '%s' back to '%s': every message would be doubled for ever; name another "
            "site",
            route->from, route->to);
    if (is_same_store(route->from_site, route->to_site))
        return config_marks_fail(
            marks, err, label(where, "routes", i, "to"),
            "'%s' and '%s' are one store (%s port %u): every message would be doubled for ever; "
            "correct the address of one",
            route->from, route->to, route->to_site->imap.host, route->to_site->imap.port);
    if (is_same_directory(&route->from_site->ldap, &route->to_site->ldap))
        return config_marks_fail(marks, err, label(where, "routes", i, "to"),
                                 "'%s' and '%s' have one directory (%s port %u); correct the address of one",
                                 route->from, route->to, route->to_site->ldap.host,
                                 route->to_site->ldap.port);
    return check_replaced(route, i, marks, err);
}

static bool has_same_ends(const struct config_route *a, const struct config_route *b)
{
    return is_same_store(a->from_site, b->from_site) && is_same_store(a->to_site, b->to_site);
}

/* Two mirrors of one mailbox in one target mailbox would each bring every message. */
static int check_parallel(const struct config *config, size_t i, const struct config_marks *marks,
                          struct err *err)
{
    char where[LABEL_BYTES];
    for (size_t j = 0; j < i; j++)
        if (has_same_ends(&config->routes[i], &config->routes[j]))
            return config_marks_fail(
                marks, err, label(where, "routes", i, "to"),
                "route '%s' has the same two ends: every message would arrive twice; leave one out",
                config->routes[j].name);
    return 0;
}

/* Marks what can be reached from the route's target, route by route, until nothing is added. */
static bool leads_back(const struct config *config, size_t start)
{
    bool *reached = mem_new(config->route_count * sizeof(*reached));
    bool found = false, more = true;
    reached[start] = true;
    while (more && !found) {
        more = false;
        for (size_t i = 0; i < config->route_count; i++)
            for (size_t j = 0; reached[i] && j < config->route_count; j++) {
                if (!is_same_store(config->routes[i].to_site, config->routes[j].from_site))
                    continue;
                found |= j == start;
                more |= !reached[j];
                reached[j] = true;
            }
    }
    free(reached);
    return found;
}

static int check_routes(struct config *config, const struct config_marks *marks, struct err *err)
{
    char where[LABEL_BYTES];
    for (size_t i = 0; i < config->route_count; i++)
        if (check_route(config, i, marks, err) < 0 || check_parallel(config, i, marks, err) < 0)
            return -1;
    for (size_t i = 0; i < config->route_count; i++)
        if (leads_back(config, i))
            return config_marks_fail(
                marks, err, label(where, "routes", i, "to"),
                "from '%s' routes lead back to '%s', in a circle: every message would be doubled "
                "for ever; leave out one of these routes",
                config->routes[i].to, config->routes[i].from);
    return 0;
}

static int check_managed(const struct config_marks *marks, struct err *err)
{
    static const char *const foreign[] = {"database.hosts", "database.name", "database.user",
                                          "database.password_file", "database.tls_ca_file"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        if (config_marks_find(marks, foreign[i]) != NULL)
            return config_marks_fail(
                marks, err, foreign[i],
                "means nothing to a managed database; leave it out, or write mode: server");
    return 0;
}

static int check_database(const struct config *config, const struct config_marks *marks, struct err *err)
{
    if (config->database.mode == CONFIG_DATABASE_MANAGED)
        return check_managed(marks, err);
    if (config->database.hosts.count == 0)
        return config_marks_fail(marks, err, "database.hosts",
                                 "missing; write it: the database servers, such as [ db1 ]");
    if (config->database.password_file == NULL)
        return config_marks_fail(marks, err, "database.password_file",
                                 "missing; write it: the file that holds the password of user '%s'",
                                 config->database.user);
    if (config_marks_find(marks, "database.run_as") != NULL)
        return config_marks_fail(marks, err, "database.run_as",
                                 "means nothing with mode: server; leave it out, or write mode: managed");
    return 0;
}

static int check_api(const struct config *config, const struct config_marks *marks, struct err *err)
{
    bool has_cert = config->api.cert_file != NULL, has_key = config->api.key_file != NULL;
    if (has_cert != has_key)
        return config_marks_fail(marks, err, has_cert ? "api.tls.key_file" : "api.tls.cert_file",
                                 "missing; write it: certificate and key go together");
    if (!has_cert && !config->api.allow_plain_http && !config_wrong_listen_is_loopback(config->api.listen))
        return config_marks_fail(
            marks, err, "api.listen",
            "'%s' can be reached by others, and without TLS they could read along; write "
            "tls: { cert_file: …, key_file: … }, or allow_plain_http: true",
            config->api.listen);
    return 0;
}

int config_check_all(struct config *config, const struct config_marks *marks, struct err *err)
{
    if (check_sites(config, marks, err) < 0 || check_routes(config, marks, err) < 0)
        return -1;
    if (check_database(config, marks, err) < 0)
        return -1;
    return check_api(config, marks, err);
}

/* Of a secret file that is not there not even the name is repeated: it may be the secret (I8). */
static int check_secret(const struct config *config, const char *where, const char *path, struct err *err)
{
    struct err why = {0};
    if (path == NULL)
        return 0;
    if (access(path, F_OK) < 0)
        return config_marks_fail(
            config->marks, err, where,
            "names no file (%s); write the path of a file that holds the secret, never the "
            "secret itself",
            strerror(errno));
    if (secret_check_file(path, &why) == 0)
        return 0;
    return config_marks_fail(config->marks, err, where, "%s", why.text);
}

static int check_readable(const struct config *config, const char *where, const char *path, struct err *err)
{
    if (path == NULL || access(path, R_OK) == 0)
        return 0;
    return config_marks_fail(config->marks, err, where,
                             "'%.128s' cannot be read (%s); write the path of a file in PEM", path,
                             strerror(errno));
}

static int check_site_files(const struct config *config, size_t i, struct err *err)
{
    char where[LABEL_BYTES];
    const struct config_site *site = &config->sites[i];
    if (check_secret(config, label(where, "sites", i, "trusted_server.password_file"),
                     site->trusted_password_file, err) < 0)
        return -1;
    if (check_secret(config, label(where, "sites", i, "ldap.password_file"), site->ldap.password_file, err) <
            0 ||
        check_readable(config, label(where, "sites", i, "ldap.ca_file"), site->ldap.ca_file, err) < 0)
        return -1;
    for (size_t j = 0; j < site->test_password_count; j++) {
        snprintf(where, sizeof(where), "sites[%zu].test_passwords[%zu].password_file", i, j);
        if (check_secret(config, where, site->test_passwords[j].password_file, err) < 0)
            return -1;
    }
    return check_readable(config, label(where, "sites", i, "imap.ca_file"), site->imap.ca_file, err);
}

int config_check_files(const struct config *config, struct err *err)
{
    for (size_t i = 0; i < config->site_count; i++)
        if (check_site_files(config, i, err) < 0)
            return -1;
    if (check_secret(config, "database.password_file", config->database.password_file, err) < 0 ||
        check_readable(config, "database.tls_ca_file", config->database.tls_ca_file, err) < 0 ||
        check_readable(config, "api.tls.cert_file", config->api.cert_file, err) < 0)
        return -1;
    return check_secret(config, "api.tls.key_file", config->api.key_file, err);
}

/* What the family of the original's systems is known to want; a guess, so nothing is refused. */
static const char *trusted_name_doubt(const char *name)
{
    if (strlen(name) > TRUSTED_NAME_LONGEST)
        return "is longer than 10 characters";
    if (name[0] >= '0' && name[0] <= '9')
        return "begins with a digit";
    return strchr(name, ' ') ? "holds a blank" : NULL;
}

void config_log_warnings(const struct config *config)
{
    for (size_t i = 0; i < config->site_count; i++) {
        const struct config_site *site = &config->sites[i];
        const char *doubt = trusted_name_doubt(site->trusted_name);
        if (doubt != NULL)
            log_warning("the trusted server's name may not be accepted by the store",
                        LOG_STR("site", site->name), LOG_STR("name", site->trusted_name),
                        LOG_STR("because", doubt));
        if (site->imap.tls == CONFIG_TLS_NEVER && !str_equal(site->imap.host, "127.0.0.1"))
            log_warning(
                "the connection to the store is not encrypted: everybody on the way can read voicemail and "
                "password",
                LOG_STR("site", site->name));
    }
    for (size_t i = 0; i < config->site_count; i++)
        if (config->sites[i].ldap.host && config->sites[i].ldap.tls == CONFIG_TLS_NEVER &&
            !str_equal(config->sites[i].ldap.host, "127.0.0.1"))
            log_warning(
                "the connection to the directory is not encrypted: everybody on the way can read passwords",
                LOG_STR("site", config->sites[i].name));
    for (size_t i = 0; i < config->route_count; i++)
        if (!str_equal(config->routes[i].from_site->trusted_name, config->routes[i].to_site->trusted_name))
            log_warning(
                "the two ends of a route have different trusted servers; the stores may want the same",
                LOG_STR("route", config->routes[i].name));
    if (config->copy.lease_seconds <= config->supervisor.pulse_seconds)
        log_warning(
            "copy.lease_seconds is not above supervisor.pulse_seconds: a copier that hangs may lose its "
            "mailbox before it is killed");
}
