/*
 * The connection to MariaDB (in every process that has a store). The session is made alike whatever the server's
 * settings are: UTC, strict, READ COMMITTED, short lock waits. The tricky thing: a Galera node that lost its cluster
 * still accepts connections and fails every query, so a host counts as living only after a query.
 */
#include "store/store_link.h"

#include "base/secret.h"
#include "base/str.h"
#include "store/store_query.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* TIME_ZONE and sql_mode first: all else depends on them. */
static const char session_sql[] =
    "SET time_zone = '+00:00', sql_mode = "
    "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', "
    "autocommit = 1, tx_isolation = 'READ-COMMITTED', innodb_lock_wait_timeout = 4, lock_wait_timeout = 8, "
    "group_concat_max_len = 65536";

/* The managed database knows its clients by the system user that they run as (unix_socket): its account bears that
 * user's name, root or not. */
static char *managed_user(void)
{
    char buffer[4096];
    struct passwd entry, *found = NULL;

    if (getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) != 0 || !found)
        return str_copy("root");
    return str_copy(found->pw_name);
}

static struct store_place place_of(const struct config *config)
{
    const char *name = config->database.name;
    struct store_place place = {
        .managed = config->database.mode == CONFIG_DATABASE_MANAGED,
        .database = str_copy(name && *name ? name : "mirror"),
        .answer_seconds = STORE_CALL_SECONDS,
    };
    if (place.managed) {
        place.socket = str_format("%s/run-db/mariadb.sock", config->data_dir);
        place.user = managed_user();
        return place;
    }
    place.host_count = config->database.hosts.count;
    place.hosts = mem_new((place.host_count + 1) * sizeof(*place.hosts));
    for (size_t i = 0; i < place.host_count; i++)
        place.hosts[i] = str_copy(config->database.hosts.items[i]);
    place.user = str_copy(config->database.user);
    place.password_file = str_copy(config->database.password_file);
    place.tls_ca_file = str_copy(config->database.tls_ca_file);
    return place;
}

static void place_fini(struct store_place *place)
{
    for (size_t i = 0; i < place->host_count; i++)
        free(place->hosts[i]);
    free(place->hosts);
    free(place->socket);
    free(place->user);
    free(place->password_file);
    free(place->tls_ca_file);
    free(place->database);
}

struct store *store_link_new(const struct config *config)
{
    struct store *store = mem_new(sizeof(*store));
    store->place = place_of(config);
    return store;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    store_link_close(store);
    place_fini(&store->place);
    free(store->claim_unknown);
    free(store);
}

void store_link_close(struct store *store)
{
    store_query_cache_free(store->cache);
    store->cache = NULL;
    if (store->mysql)
        mysql_close(store->mysql);
    store->mysql = NULL;
}

enum store_failure store_link_classify(unsigned number)
{
    switch (number) {
    case 0:
        return STORE_FAILURE_NONE;
    case ER_LOCK_DEADLOCK:
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_ERROR_DURING_COMMIT: /* Galera: certification failed */
    case ER_CHECKREAD:
    case ER_NEED_REPREPARE:
        return STORE_FAILURE_CONFLICT;
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_COMMANDS_OUT_OF_SYNC: /* an answer is still on its way: only a new connection is in step */
    case ER_UNKNOWN_COM_ERROR:    /* Galera: this node is not in the cluster now; another may be */
    case ER_SERVER_SHUTDOWN:
    case ER_CONNECTION_KILLED:
    case ER_NEW_ABORTING_CONNECTION:
        return STORE_FAILURE_LOST;
    case ER_DATA_TOO_LONG:
    case ER_WARN_DATA_OUT_OF_RANGE:
    case ER_TRUNCATED_WRONG_VALUE:
    case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
    case ER_BAD_NULL_ERROR:
    case ER_DUP_ENTRY:
    case WARN_DATA_TRUNCATED:
        return STORE_FAILURE_DATA;
    default:
        return STORE_FAILURE_OTHER;
    }
}

int store_link_fail(struct store *store, unsigned number, const char *words, struct err *err)
{
    store->failure = store_link_classify(number);
    enum err_scope scope = store->failure == STORE_FAILURE_DATA ? ERR_MAILBOX : ERR_PROCESS;
    err_set(err, scope, ERR_RETRY_LATER, "store: %s (%u)", words && *words ? words : "no answer", number);
    if (store->failure == STORE_FAILURE_LOST)
        store_link_close(store);
    return -1;
}

int store_link_run(struct store *store, const char *sql, struct err *err)
{
    if (mysql_real_query(store->mysql, sql, strlen(sql)))
        return store_link_fail(store, mysql_errno(store->mysql), mysql_error(store->mysql), err);
    MYSQL_RES *rows = mysql_store_result(store->mysql);
    if (rows)
        mysql_free_result(rows);
    return 0;
}

static void set_options(MYSQL *mysql, const struct store_place *place)
{
    const unsigned connect_seconds = place->host_count > 1 ? STORE_CALL_SECONDS / 2 : STORE_CALL_SECONDS,
                   off = 0;
    const my_bool on = 1;
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_seconds);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &place->answer_seconds);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &place->answer_seconds);
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &off); /* a server must not ask us for our files */
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (place->tls_ca_file) {
        mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &on);
        mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
        mysql_options(mysql, MYSQL_OPT_SSL_CA, place->tls_ca_file);
    }
}

/* "host", "host:port" or "[address]:port" taken apart. Frees nothing: *host_out is the caller's. */
static int split_host(const char *text, char **host_out, uint32_t *port_out, struct err *err)
{
    const char *start = text, *end = strrchr(text, ':'), *bracket = strchr(text, ']');
    *port_out = 3306;
    if (end && (bracket ? end > bracket : end == strchr(text, ':'))) {
        if (str_to_u32(end + 1, port_out) || *port_out == 0 || *port_out > 65535)
            return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "store: '%s' has no usable port", text);
    } else {
        end = text + strlen(text);
    }
    if (*start == '[' && bracket) {
        start++;
        end = bracket;
    }
    *host_out = str_copy_n(start, (size_t)(end - start));
    return 0;
}

/* FOUND_ROWS: an UPDATE tells how many rows matched, also if it changed nothing. */
static int connect_mysql(struct store *store, const char *host, uint32_t port, const char *password,
                         struct err *err)
{
    const struct store_place *place = &store->place;
    if (mysql_real_connect(store->mysql, host, place->user, password, place->database, port, place->socket,
                           CLIENT_FOUND_ROWS))
        return 0;
    return store_link_fail(store, mysql_errno(store->mysql), mysql_error(store->mysql), err);
}

/* `where`: a host of the list, or NULL for the socket. */
static int connect_one(struct store *store, const char *where, const char *password, struct err *err)
{
    char *host = NULL;
    uint32_t port = 0;
    int result = -1;
    if (where && split_host(where, &host, &port, err))
        return -1;
    store->mysql = mysql_init(NULL);
    if (!store->mysql)
        BUG("out of memory");
    set_options(store->mysql, &store->place);
    if (connect_mysql(store, host, port, password, err) || store_link_run(store, session_sql, err) ||
        store_link_run(store, "SELECT 1", err))
        goto out;
    result = 0;
out:
    if (result) {
        err_prefix(err, "%s", where ? where : store->place.socket);
        store_link_close(store);
    }
    free(host);
    return result;
}

static int connect_hosts(struct store *store, struct err *err)
{
    struct secret *secret = NULL;
    uint64_t version;
    int result = -1;
    if (store->place.password_file && !(secret = secret_read(store->place.password_file, &version, err)))
        return -1;
    const char *password = secret ? secret_reveal(secret) : NULL;
    for (size_t i = 0; i < store->place.host_count && result; i++)
        result = connect_one(store, store->place.hosts[i], password, err);
    secret_free(secret);
    return result;
}

int store_link_connect(struct store *store, struct err *err)
{
    if (store->mysql)
        return 0;
    if (store->in_tx) { /* what follows must not run outside the transaction that was lost */
        store->failure = STORE_FAILURE_LOST;
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "store: the connection was lost in a transaction");
    }
    err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "store: no database host is configured");
    int result = store->place.managed ? connect_one(store, NULL, NULL, err) : connect_hosts(store, err);
    if (result) {
        /* Whatever the reason, nothing was begun: the caller's work can wait. */
        store->failure = STORE_FAILURE_OTHER;
        return -1;
    }
    err_clear(err);
    return 0;
}
