/*
 * mirror-scanner: looks at production and wakes the copiers. Several may run; they share the work through the store.
 */
#include "daemon/daemon.h"
#include "scanner/scanner.h"

int main(int argc, char **argv)
{
    static const struct daemon_program program = {
        .name = "scanner",
        .start = scanner_start,
        .step = scanner_step,
        .reload = scanner_reload,
        .stop = scanner_stop,
    };

    return daemon_main(&program, argc, argv);
}
