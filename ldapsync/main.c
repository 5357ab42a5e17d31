/*
 * mirror-ldapsync: keeps the directories of the targets equal to production's. Several may run; each works on one route
 * at a time, and they share the routes through the store.
 */
#include "ldapsync/ldapsync.h"

int main(int argc, char **argv)
{
    return daemon_main(&ldapsync_program, argc, argv);
}
