/*
 * The table of services. A copier does not need the scanner, nor the scanner a copier: the store is the queue, so each
 * works on (slower) without the other, and a scanner that cannot start must not keep the copiers from ending what is
 * wanted already.
 */
#include "supervisor/services.h"

const struct service services[SERVICE_COUNT] = {
    [SERVICE_DATABASE_FILES] = {.name = "database-files",
                                .runs_once = true,
                                .ready_seconds = 600,
                                .secrets = "none"},
    /* Ready may mean a crash recovery first; stopping writes what is in memory. Both are given time. */
    [SERVICE_DATABASE] = {.name = "database",
                          .needs = SERVICE_BIT(SERVICE_DATABASE_FILES),
                          .ready_seconds = 3600,
                          .stop_seconds = 900,
                          .secrets = "none"},
    [SERVICE_MIGRATE] = {.name = "migrate",
                         .program = "mirror-supervisor",
                         .argument = "--migrate",
                         .needs = SERVICE_BIT(SERVICE_DATABASE),
                         .runs_once = true,
                         .ready_seconds = 3600,
                         .secrets = "database"},
    [SERVICE_SCANNER] = {.name = "scanner",
                         .program = "mirror-scanner",
                         .needs = SERVICE_BIT(SERVICE_DATABASE) | SERVICE_BIT(SERVICE_MIGRATE),
                         .pulses = true,
                         .ready_seconds = 120,
                         .secrets = "database, production sites"},
    [SERVICE_COPIER] = {.name = "copier",
                        .program = "mirror-copier",
                        .needs = SERVICE_BIT(SERVICE_DATABASE) | SERVICE_BIT(SERVICE_MIGRATE),
                        .pulses = true,
                        .ready_seconds = 120,
                        .secrets = "database, all sites"},
    [SERVICE_LDAPSYNC] = {.name = "ldapsync",
                          .program = "mirror-ldapsync",
                          .needs = SERVICE_BIT(SERVICE_DATABASE) | SERVICE_BIT(SERVICE_MIGRATE),
                          .pulses = true,
                          .ready_seconds = 120,
                          .secrets = "database, directories of all sites, test passwords"},
    [SERVICE_API] = {.name = "api",
                     .program = "mirror-api",
                     .needs = SERVICE_BIT(SERVICE_DATABASE) | SERVICE_BIT(SERVICE_MIGRATE),
                     .pulses = true,
                     .ready_seconds = 120,
                     .secrets = "database, its own token and TLS key"},
};

void services_plan(const struct config *config, bool has_database_files, unsigned count_out[SERVICE_COUNT])
{
    bool managed = config->database.mode == CONFIG_DATABASE_MANAGED;

    count_out[SERVICE_DATABASE_FILES] = managed && !has_database_files;
    count_out[SERVICE_DATABASE] = managed;
    count_out[SERVICE_MIGRATE] = 1;
    count_out[SERVICE_SCANNER] = config->workers.scanner;
    count_out[SERVICE_COPIER] = config->workers.copier;
    count_out[SERVICE_LDAPSYNC] = config_has_directory(config) ? config->workers.ldapsync : 0;
    count_out[SERVICE_API] = config->workers.api;
}

bool services_needs_met(enum service_id id, const unsigned count[SERVICE_COUNT],
                        const bool ready[SERVICE_COUNT])
{
    for (unsigned other = 0; other < SERVICE_COUNT; other++) {
        bool needed = (services[id].needs & SERVICE_BIT(other)) != 0;
        if (needed && count[other] > 0 && !ready[other])
            return false;
    }
    return true;
}
