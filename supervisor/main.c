/*
 * mirror-supervisor: starts and watches all other programs. The arguments, and what it can do without starting
 * anything.
 */
#include "supervisor/migrate.h"
#include "supervisor/supervise.h"

#include "base/config.h"
#include "base/log.h"
#include "base/str.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum mode { MODE_RUN, MODE_CHECK, MODE_MIGRATE, MODE_HELP, MODE_HELP_CONFIG, MODE_VERSION };

static const char usage[] =
    "Usage: mirror-supervisor [--config FILE]\n"
    "       mirror-supervisor [--config FILE] --check-config | --migrate\n"
    "\n"
    "Message Mirror copies the mailboxes of a messaging system to a second one and keeps the copy equal.\n"
    "This program reads the configuration, starts and watches all others, and stays in the foreground\n"
    "until it is told to end. It logs to stderr. How the mirrors are: mirrorctl status\n"
    "\n"
    "  --config FILE    the configuration (/etc/message-mirror/mirror.yaml)\n"
    "  --check-config   say whether the configuration is right, or what is wrong where; nothing is started\n"
    "  --migrate        bring the database up to date (every start does that by itself)\n"
    "  --help-config    all keys of the configuration, as a Markdown table\n"
    "  --help, --version\n"
    "\n"
    "SIGTERM or SIGINT (Ctrl-C): finish the work in hand, and end. SIGHUP: read configuration and secrets "
    "again.\n"
    "Exit: 0 ended as told, or all is right; 1 it failed, or something is wrong; 2 wrong use\n";

static int parse(int argc, char **argv, enum mode *mode_out, const char **config_out)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, MODE_CHECK},
        {"migrate", no_argument, NULL, MODE_MIGRATE},
        {"help", no_argument, NULL, MODE_HELP},
        {"help-config", no_argument, NULL, MODE_HELP_CONFIG},
        {"version", no_argument, NULL, MODE_VERSION},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        if (option == '?')
            return -1;
        if (option == 'c')
            *config_out = optarg;
        else
            *mode_out = (enum mode)option;
    }
    return optind == argc ? 0 : -1;
}

/* Pipes must not get the numbers of stdin, stdout or stderr, should we be started without. */
static void open_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* The folder of our own program: the others are beside it, whatever PATH says. Free it; NULL if the kernel won't say. */
static char *program_dir(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);

    if (len <= 0)
        return NULL;
    path[len] = '\0';
    *strrchr(path, '/') = '\0';
    return str_copy(path);
}

static int run_supervisor(struct config *config, const char *config_path)
{
    char *directory = program_dir(), *absolute = realpath(config_path, NULL);
    const struct supervise_parameters parameters = {
        .config = config,
        .config_path = absolute ? absolute : config_path,
        .program_dir = directory,
    };
    static const struct rlimit no_core = {0, 0};
    int result = EXIT_FAILED;

    setrlimit(RLIMIT_CORE, &no_core);
    if (!directory)
        log_error("cannot find the folder of this program: is /proc mounted?");
    else if (supervise(&parameters) == 0)
        result = EXIT_OK;
    free(directory);
    free(absolute);
    return result;
}

static int run_migrate(struct config *config)
{
    struct err err = {0};
    int result = migrate_run(config, &err);

    if (result != 0)
        log_error("the database cannot be brought up to date", LOG_STR("error", err.text));
    config_free(config);
    return result == 0 ? EXIT_OK : EXIT_FAILED;
}

static int run_check(struct config *config, const char *config_path)
{
    const char *slash = strrchr(config_path, '/');

    config_log_warnings(config);
    printf("%s: ok, %zu sites, %zu route%s\n", slash ? slash + 1 : config_path, config->site_count,
           config->route_count, config->route_count == 1 ? "" : "s");
    config_free(config);
    return EXIT_OK;
}

/* What every mode that needs the configuration begins with. */
static struct config *load(const char *path)
{
    struct err err = {0};
    struct config *config = config_load(path, &err);

    if (config && config_check_files(config, &err) == 0)
        return config;
    fprintf(stderr, "%s\n", err.text);
    config_free(config);
    return NULL;
}

int main(int argc, char **argv)
{
    const char *config_path = "/etc/message-mirror/mirror.yaml";
    enum mode mode = MODE_RUN;
    struct config *config;

    open_standard_descriptors();
    if (parse(argc, argv, &mode, &config_path) != 0) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (mode == MODE_HELP)
        return fputs(usage, stdout) < 0;
    if (mode == MODE_VERSION)
        return printf("mirror-supervisor %s\n", MM_VERSION) < 0;
    if (mode == MODE_HELP_CONFIG) {
        config_print_keys(stdout);
        return EXIT_OK;
    }
    config = load(config_path);
    if (!config)
        return EXIT_FAILED;
    log_init(mode == MODE_MIGRATE ? "migrate" : "supervisor", (enum log_level)config->log.level,
             config->log.json);
    if (mode == MODE_CHECK)
        return run_check(config, config_path);
    return mode == MODE_MIGRATE ? run_migrate(config) : run_supervisor(config, config_path);
}
