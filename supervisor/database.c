/*
 * How mariadbd is called. Tricky: started by root it runs as another user, who must be able to reach its directories;
 * and its client programs prove who they are by their user's name over the socket (unix_socket), so the account that
 * the installation makes is that of the user we run as.
 */
#include "supervisor/database.h"

#include "supervisor/data_dir.h"

#include "base/log.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char temporary_prefix[] = "database.new-";

struct database {
    char *data_dir, *files, *run, *socket, *temporary;
    char *server, *installer;
    char *our_name; /* of the user we run as: the account of all our programs */
    struct spawn_user user_buffer;
    const struct spawn_user *user; /* NULL: it runs as we do */
};

const char *database_socket(const struct database *database)
{
    return database->socket;
}

/* ---- where and who ---- */

/* NULL if none of the usual places has it. */
static char *find_program(const char *name)
{
    static const char *const places[] = {"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *path = str_format("%s/%s", places[i], name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static int find_programs(struct database *database, struct err *err)
{
    database->server = find_program("mariadbd");
    database->installer = find_program("mariadb-install-db");
    if (!database->server || !database->installer)
        return err_set(
            err, ERR_PROCESS, ERR_RETRY_NEVER,
            "database: mode managed needs the program %s, which is not installed: install MariaDB's server "
            "(Debian: mariadb-server), or name a server with mode: server",
            database->server ? "mariadb-install-db" : "mariadbd");
    return 0;
}

static int take_user(struct database *database, const struct passwd *entry, struct err *err)
{
    struct spawn_user *user = &database->user_buffer;
    int count = SPAWN_MAX_GROUPS;

    user->uid = entry->pw_uid;
    user->gid = entry->pw_gid;
    if (getgrouplist(entry->pw_name, entry->pw_gid, user->groups, &count) < 0)
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "database.run_as: %s is in too many groups",
                       entry->pw_name);
    user->group_count = (size_t)count;
    database->user = user;
    return 0;
}

/* Only root can and must become somebody else: a database server does not run as root. */
static int find_user(struct database *database, const char *run_as, struct err *err)
{
    const struct passwd *entry = getpwuid(geteuid());

    if (!entry || strpbrk(entry->pw_name, "'\\\"") != NULL)
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER,
                       "database: our user (%u) has no usable name, by which the database could know us",
                       geteuid());
    database->our_name = str_copy(entry->pw_name);
    if (geteuid() != 0)
        return 0;
    entry = getpwnam(run_as ? run_as : "mysql");
    if (!entry)
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER,
                       "database.run_as: there is no user %s: name one that the database shall run as",
                       run_as ? run_as : "mysql");
    if (entry->pw_uid == 0)
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER,
                       "database.run_as: a database server does not run as root: name another user");
    return take_user(database, entry, err);
}

/* The process that has a database's files open, or 0. InnoDB locks its first file as long as it runs, and the kernel
 * tells who holds the lock. */
static pid_t holder_of(const char *directory)
{
    char *path = str_format("%s/ibdata1", directory);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    pid_t holder = 0;

    if (fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
        holder = lock.l_pid;
    if (fd >= 0)
        close(fd);
    free(path);
    return holder;
}

/* MariaDB's installer is a script: killed with its supervisor, what it had started ends only when it has read its
 * input, half a second later. Should that still be about, it is ended here; nobody wants what it makes. */
static void remove_temporary(const char *path)
{
    pid_t holder = holder_of(path);

    log_info("removing what an interrupted first start left", LOG_STR("directory", path),
             LOG_INT("pid", holder));
    if (holder > 1)
        kill(holder, SIGKILL);
    data_dir_remove(path);
}

static void remove_temporaries(const struct database *database)
{
    DIR *dir = opendir(database->data_dir);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, temporary_prefix, sizeof temporary_prefix - 1) != 0)
            continue;
        char *path = str_format("%s/%s", database->data_dir, entry->d_name);
        remove_temporary(path);
        free(path);
    }
    if (dir)
        closedir(dir);
}

static int make_places(struct database *database, struct err *err)
{
    if (database->user && (data_dir_open_passage(database->data_dir, err) != 0 ||
                           data_dir_check_passage(database->run, database->user, err) != 0))
        return -1;
    /* Passage for all: who we are is proven at the socket, and our programs may not be the directory's owner. */
    if (data_dir_make(database->run, database->user, database->user ? 0711 : 0700, err) != 0)
        return -1;
    if (database_has_files(database) && data_dir_make(database->files, database->user, 0700, err) != 0)
        return -1;
    remove_temporaries(database);
    return 0;
}

struct database *database_open(const struct config *config, struct err *err)
{
    struct database *database = mem_new(sizeof *database);

    database->data_dir = str_copy(config->data_dir);
    database->files = config_path(config, "database");
    database->run = config_path(config, "run-db");
    database->socket = config_path(config, "run-db/mariadb.sock");
    if (find_programs(database, err) != 0 || find_user(database, config->database.run_as, err) != 0 ||
        make_places(database, err) != 0) {
        database_free(database);
        return NULL;
    }
    return database;
}

void database_free(struct database *database)
{
    if (!database)
        return;
    free(database->data_dir);
    free(database->files);
    free(database->run);
    free(database->socket);
    free(database->temporary);
    free(database->server);
    free(database->installer);
    free(database->our_name);
    free(database);
}

bool database_has_files(const struct database *database)
{
    /* Not the directory alone: an empty one may have been made for it beforehand. */
    char *first = str_format("%s/ibdata1", database->files);
    bool has = access(first, F_OK) == 0;

    free(first);
    return has;
}

/* ---- the first start ---- */

int database_spawn_install(struct database *database, struct spawn *spawn_out, struct err *err)
{
    if (database->temporary)
        data_dir_remove(database->temporary); /* of the try before */
    free(database->temporary);
    database->temporary = str_format("%s/%sXXXXXX", database->data_dir, temporary_prefix);
    if (!mkdtemp(database->temporary))
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "%s: %s", database->temporary, strerror(errno));
    if (data_dir_make(database->temporary, database->user, 0700, err) != 0)
        return -1;
    spawn_out->user = database->user;
    spawn_out->directory = database->run;
    spawn_arg(spawn_out, "%s", database->installer);
    spawn_arg(spawn_out, "--no-defaults");
    spawn_arg(spawn_out, "--datadir=%s", database->temporary);
    spawn_arg(spawn_out, "--auth-root-authentication-method=socket");
    spawn_arg(spawn_out, "--auth-root-socket-user=%s", database->our_name);
    spawn_arg(spawn_out, "--skip-test-db");
    spawn_arg(spawn_out, "--skip-name-resolve");
    spawn_arg(spawn_out, "--cross-bootstrap"); /* no account for this host's name */
    return 0;
}

/* The rename is what makes them the database, so it is made durable before anything is stored there. */
int database_take_files(struct database *database, struct err *err)
{
    int fd = -1, result = -1;

    if (rename(database->temporary, database->files) != 0) {
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "%s: rename: %s", database->files, strerror(errno));
        goto out;
    }
    fd = open(database->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "%s: fsync: %s", database->data_dir, strerror(errno));
        goto out;
    }
    result = 0;
out:
    if (fd >= 0)
        close(fd);
    return result;
}

/* ---- the server ---- */

/* Each worker keeps a few connections, and more workers may come by a reload without the database restarting. */
static unsigned connections(const struct config *config)
{
    unsigned workers = config->workers.scanner + config->workers.copier + config->workers.api;

    return 100 + 8 * workers;
}

static void add_sizes(struct spawn *spawn, const struct config *config)
{
    spawn_arg(spawn, "--max-connections=%u", connections(config));
    spawn_arg(spawn, "--innodb-buffer-pool-size=128M");
    spawn_arg(spawn, "--innodb-log-file-size=64M");
    spawn_arg(spawn, "--table-open-cache=400");
    spawn_arg(spawn, "--max-allowed-packet=16M");
    spawn_arg(spawn, "--performance-schema=OFF");
    spawn_arg(spawn, "--innodb-use-native-aio=OFF"); /* not everywhere allowed, and not needed at this size */
}

int database_spawn_server(const struct database *database, const struct config *config,
                          struct spawn *spawn_out, struct err *err)
{
    if (!database_has_files(database))
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "%s: has no files of a database", database->files);
    /* Before each start: who runs it may have changed since, or a restored backup may belong to somebody else. */
    if (data_dir_make(database->files, database->user, 0700, err) != 0)
        return -1;
    spawn_out->user = database->user;
    spawn_out->directory = database->files;
    spawn_arg(spawn_out, "%s", database->server);
    spawn_arg(spawn_out, "--no-defaults"); /* has to be the first */
    spawn_arg(spawn_out, "--datadir=%s", database->files);
    spawn_arg(spawn_out, "--skip-networking");
    spawn_arg(spawn_out, "--socket=%s", database->socket);
    spawn_arg(spawn_out, "--pid-file=%s/mariadb.pid", database->run);
    spawn_arg(spawn_out, "--tmpdir=%s", database->run);
    spawn_arg(spawn_out, "--innodb-flush-log-at-trx-commit=1");
    spawn_arg(spawn_out, "--character-set-server=utf8mb4");
    spawn_arg(spawn_out, "--sql-mode=STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION");
    spawn_arg(spawn_out, "--skip-name-resolve");
    spawn_arg(spawn_out, "--skip-symbolic-links");
    spawn_arg(spawn_out, "--local-infile=OFF");
    spawn_arg(spawn_out, "--log-warnings=1");
    add_sizes(spawn_out, config);
    return 0;
}

pid_t database_files_holder(const struct database *database)
{
    return holder_of(database->files);
}
