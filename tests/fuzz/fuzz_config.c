/*
 * Any bytes as configuration file: an error with a place, or a configuration that holds what it promises.
 */
#include "base/config.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct config *config = config_parse((const char *)data, size, "mirror.yaml", &err);
    if (config == NULL) {
        ASSERT(err.scope == ERR_PROCESS && strncmp(err.text, "mirror.yaml:", 12) == 0);
        ASSERT(str_is_utf8(err.text, strlen(err.text)));
        return 0;
    }
    ASSERT(config->site_count > 0 && config->route_count > 0);
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        ASSERT(route->from_site != NULL && route->to_site != NULL && route->from_site != route->to_site);
        ASSERT(config_route_find(config, route->name) == route);
    }
    config_free(config);
    return 0;
}
