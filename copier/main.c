/*
 * mirror-copier: makes mirrors equal to production, one at a time. How many run is the concurrency.
 */
#include "copier/copier.h"

int main(int argc, char **argv)
{
    return daemon_main(&copier_program, argc, argv);
}
