/*
 * The state of a mirror in one word.
 */
#include "store/store_state.h"

const char *store_state_word(const struct store_state_facts *facts)
{
    const struct {
        bool holds;
        const char *word;
    } ladder[] = {
        {facts->paused, "paused"},
        {facts->site_stopped, "stopped"},
        {facts->working, "working"},
        {facts->fail_count > 0, "failing"},
        {facts->look_fail_count > 0, "not looked at"},
        {!facts->ever_done, "new"},
        {!facts->ever_looked, "not looked at"},
        {facts->behind, "behind"},
        {facts->wanted, "waiting"},
        {!facts->equal, "not equal"},
        {facts->held, "held"},
        {facts->going, "deleting"},
    };
    for (unsigned i = 0; i < sizeof(ladder) / sizeof(*ladder); i++)
        if (ladder[i].holds)
            return ladder[i].word;
    return "equal";
}
