/*
 * Migrations (in the supervisor, before anything else starts). The tricky thing: DDL commits by itself, so neither a
 * transaction nor a row lock can guard a migration. The lock is a row with a time limit; and a step is recorded after its
 * DDL, so the last one of a killed run is carried out again: it must not mind (rules in schema/README.md).
 */
#include "store/store_migrate.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "store/store_dump.h"
#include "store/store_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* A step may rebuild a big table: its answer has an hour, and so has the lock. Whoever finds the owner's connection gone
 * does not wait for that. */
enum { STEP_SECONDS = 3600, WAIT_SECONDS = 120 };

struct migration {
    struct store *store;
    const struct config *config;
    const struct schema_file *files;
    size_t count;
    char owner[128];
};

/* ---- text ---- */

static bool is_comment(const char *line, size_t len)
{
    return len >= 2 && line[0] == '-' && line[1] == '-';
}

static bool ends_statement(const char *line, size_t len)
{
    while (len && strchr(" \t\r", line[len - 1]))
        len--;
    return len && line[len - 1] == ';';
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n;")] == '\0';
}

char *store_migrate_next(const char **sql)
{
    char *statement = mem_new(strlen(*sql) + 1);
    size_t used = 0;
    bool done = false;
    while (**sql && !done) {
        size_t len = strcspn(*sql, "\n");
        if (!is_comment(*sql, len)) {
            memcpy(statement + used, *sql, len);
            used += len;
            done = ends_statement(*sql, len) && !is_blank(statement);
            statement[used++] = '\n';
        }
        *sql += len + ((*sql)[len] == '\n');
    }
    statement[used ? used - 1 : 0] = '\0';
    if (!is_blank(statement))
        return statement;
    free(statement);
    return NULL;
}

unsigned store_migrate_version(const char *name)
{
    unsigned version = 0;
    for (int i = 0; i < 6 && name[i] >= '0' && name[i] <= '9'; i++)
        version = version * 10 + (unsigned)(name[i] - '0');
    return version;
}

static unsigned count_statements(const char *sql)
{
    unsigned count = 0;
    char *statement;
    for (; (statement = store_migrate_next(&sql)); count++)
        free(statement);
    return count;
}

/* ---- database and lock ---- */

static int pause_or_fail(int64_t deadline, const char *holder, struct err *err)
{
    const struct timespec pause = {.tv_nsec = 300 * 1000 * 1000};
    if (clock_boot_ms() >= deadline)
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "store: the database is being migrated by %s",
                       holder);
    nanosleep(&pause, NULL);
    return 0;
}

static int create_database(struct store *store, const char *name, struct err *err)
{
    if (!*name || strpbrk(name, "`\\"))
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "store: '%s' is no name for a database", name);
    char *create =
        str_format("CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", name);
    char *use = str_format("USE `%s`", name);
    int result = store_link_run(store, use, err);
    /* A user without the right to create one may still have been given one. */
    if (result)
        result = store_link_connect(store, err) || store_link_run(store, create, err) ||
                         store_link_run(store, use, err)
                     ? -1
                     : 0;
    free(create);
    free(use);
    return result;
}

static int create_tables(struct store *store, struct err *err)
{
    static const char *const tables[] = {
        "CREATE TABLE IF NOT EXISTS schema_step (version INT UNSIGNED NOT NULL, step INT UNSIGNED NOT NULL, "
        "name VARBINARY(100) NOT NULL, applied_at DATETIME(6) NOT NULL, PRIMARY KEY (version, step))",
        "CREATE TABLE IF NOT EXISTS schema_lock (lock_id TINYINT UNSIGNED NOT NULL PRIMARY KEY, "
        "owner VARBINARY(128) NULL, server VARBINARY(300) NULL, connection_id BIGINT UNSIGNED NULL, "
        "until DATETIME(6) NULL)",
        "INSERT IGNORE INTO schema_lock (lock_id) VALUES (1)",
    };
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        if (store_link_run(store, tables[i], err))
            return -1;
    return 0;
}

#define THIS_SERVER "CONCAT(@@hostname, ' ', @@datadir)"

/* Free, over, ours, or of a connection that this same server does not have any more. Connections of our own user are seen
 * without a privilege. */
static int64_t try_lock(struct migration *migration, struct err *err)
{
    return STORE_EXEC(
        migration->store, err,
        "UPDATE schema_lock SET owner = ?, server = " THIS_SERVER ", connection_id = CONNECTION_ID(), "
        "until = UTC_TIMESTAMP(6) + INTERVAL ? SECOND WHERE lock_id = 1 AND (owner IS NULL "
        "OR until <= UTC_TIMESTAMP(6) OR owner = ? OR (server = " THIS_SERVER " AND connection_id NOT IN "
        "(SELECT p.ID FROM information_schema.PROCESSLIST p)))",
        bind_text(migration->owner), bind_u64(STEP_SECONDS), bind_text(migration->owner));
}

static int read_holder(struct store *store, char *holder, size_t size, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err, "SELECT owner FROM schema_lock WHERE lock_id = 1");
    if (query && store_query_next(query))
        store_query_copy(query, holder, size);
    return store_query_end(query, err);
}

static int take_lock(struct migration *migration, struct err *err)
{
    const int64_t deadline = clock_boot_ms() + 1000 * WAIT_SECONDS;
    for (;;) {
        char holder[129] = "";
        int64_t rows = try_lock(migration, err);
        if (rows)
            return rows < 0 ? -1 : 0;
        if (read_holder(migration->store, holder, sizeof(holder), err) ||
            pause_or_fail(deadline, holder, err))
            return -1;
    }
}

static void release_lock(struct migration *migration)
{
    struct err ignored;
    if (migration->store->mysql) /* else it is free by itself: the connection is gone */
        STORE_EXEC(migration->store, &ignored,
                   "UPDATE schema_lock SET owner = NULL WHERE lock_id = 1 AND owner = ?",
                   bind_text(migration->owner));
}

/* ---- steps ---- */

static int read_version(struct store *store, unsigned *version_out, unsigned *steps_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT COALESCE(MAX(version), 0), COUNT(*) FROM schema_step "
                                           "WHERE version = (SELECT MAX(version) FROM schema_step)");
    bool found = query && store_query_next(query);
    *version_out = found ? store_query_u32(query) : 0;
    *steps_out = found ? store_query_u32(query) : 0;
    return store_query_end(query, err);
}

static unsigned last_version(const struct schema_file *files, size_t count)
{
    return count ? store_migrate_version(files[count - 1].name) : 0;
}

static int refuse_newer(unsigned found, unsigned known, struct err *err)
{
    if (found <= known)
        return 0;
    return err_set(
        err, ERR_PROCESS, ERR_RETRY_NEVER,
        "the database has schema version %u, made by a newer release of Message Mirror; this one (%s) knows "
        "versions up to %u: install the newer release again, or restore a database of this one",
        found, MM_VERSION, known);
}

static int is_applied(struct store *store, unsigned version, unsigned step, bool *applied_out,
                      struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err, "SELECT 1 FROM schema_step WHERE version = ? AND step = ?", bind_u64(version),
                   bind_u64(step));
    *applied_out = query && store_query_next(query);
    return store_query_end(query, err);
}

static int apply_step(struct migration *migration, unsigned version, unsigned step, const char *statement,
                      const char *name, struct err *err)
{
    struct store *store = migration->store;
    bool applied;
    if (is_applied(store, version, step, &applied, err) || applied)
        return applied ? 0 : -1;
    int64_t locked = try_lock(migration, err);
    if (locked == 0)
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "store: another host took over the migration");
    if (locked <= 0 || store_link_run(store, statement, err))
        return -1;
    return STORE_EXEC(store, err,
                      "INSERT IGNORE INTO schema_step (version, step, name, applied_at) "
                      "VALUES (?, ?, ?, UTC_TIMESTAMP(6))",
                      bind_u64(version), bind_u64(step), bind_cut(name, 100)) < 0
               ? -1
               : 0;
}

static int apply_file(struct migration *migration, const struct schema_file *file, struct err *err)
{
    const char *sql = file->sql;
    unsigned version = store_migrate_version(file->name), step = 0;
    char *statement;
    int result = 0;
    while (!result && (statement = store_migrate_next(&sql))) {
        result = apply_step(migration, version, ++step, statement, file->name, err);
        free(statement);
    }
    return result ? err_prefix(err, "migration %s step %u", file->name, step) : 0;
}

/* A copy of what is there, before the first step of a new version; only where the database is our own. */
static int dump_before(struct migration *migration, unsigned found, unsigned version, struct err *err)
{
    if (found == 0 || version <= found || migration->config->database.mode != CONFIG_DATABASE_MANAGED)
        return 0;
    return store_dump(migration->config, &migration->store->place, version, err);
}

static int apply_files(struct migration *migration, struct err *err)
{
    unsigned found, steps;
    if (read_version(migration->store, &found, &steps, err) ||
        refuse_newer(found, last_version(migration->files, migration->count), err))
        return -1;
    for (size_t i = 0; i < migration->count; i++) {
        unsigned version = store_migrate_version(migration->files[i].name);
        if (version < found)
            continue;
        if (dump_before(migration, found, version, err) || apply_file(migration, &migration->files[i], err))
            return -1;
        if (version > found)
            log_info("database migrated", LOG_UINT("version", version));
    }
    return 0;
}

static void name_owner(char *owner, size_t size)
{
    char host[65] = "";
    gethostname(host, sizeof(host) - 1);
    snprintf(owner, size, "%s:%ld:%lld", host, (long)getpid(), (long long)clock_boot_ms());
}

int store_migrate_files(const struct config *config, const struct schema_file *files, size_t count,
                        struct err *err)
{
    struct store *store = store_link_new(config);
    struct migration migration = {.store = store, .config = config, .files = files, .count = count};
    char *database = store->place.database;
    int result = -1;
    name_owner(migration.owner, sizeof(migration.owner));
    store->place.database = NULL; /* it may have to be made first */
    store->place.answer_seconds = STEP_SECONDS;
    result = store_link_connect(store, err) || create_database(store, database, err) ? -1 : 0;
    store->place.database = database;
    if (result || (result = create_tables(store, err)) || (result = take_lock(&migration, err)))
        goto out;
    result = apply_files(&migration, err);
    release_lock(&migration);
out:
    store_free(store);
    return result;
}

int store_migrate(const struct config *config, struct err *err)
{
    return store_migrate_files(config, schema_files, schema_files_count, err);
}

int store_check_version(struct store *store, struct err *err)
{
    unsigned found, steps, known = last_version(schema_files, schema_files_count);
    if (read_version(store, &found, &steps, err) || refuse_newer(found, known, err))
        return -1;
    if (found == known && steps >= count_statements(schema_files[schema_files_count - 1].sql))
        return 0;
    return err_set(
        err, ERR_PROCESS, ERR_RETRY_LATER,
        "store: the database has schema version %u%s, this program needs %u: the supervisor migrates it when "
        "it starts",
        found, found == known ? " (not complete)" : "", known);
}
