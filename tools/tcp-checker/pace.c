/* A check's timeout runs from its submission, so one that the rate does not allow yet is kept back
 * here. The library's own limit then only smooths what is handed over. */
#include "clock.h"
#include "pace.h"

void pace_start(struct pace *pace, const struct options *options, uint64_t started_us)
{
    *pace = (struct pace){.options = options, .allowance = 1, .allowance_us = started_us};
}

double pace_most(const struct pace *pace)
{
    uint32_t timeout_ms = pace->options->timeout_ms < 400 ? pace->options->timeout_ms : 400;
    double most = pace->options->rate * timeout_ms / 4000;

    return most > 1 ? most : 1;
}

uint64_t pace_allows(struct pace *pace)
{
    uint64_t now = now_us();
    double rate = pace->options->rate, most = pace_most(pace);

    if (pace->options->rate == 0)
        return UINT64_MAX;
    pace->allowance += rate * (double)(now - pace->allowance_us) / 1e6;
    pace->allowance_us = now;
    /* What went unused is made up for, but never so much that it waits long with the library. */
    if (pace->allowance > most)
        pace->allowance = most;
    return (uint64_t)pace->allowance;
}

void pace_spend(struct pace *pace, uint64_t checks)
{
    pace->allowance -= (double)checks;
}

double pace_next_ms(const struct pace *pace)
{
    return pace->options->rate > 0 ? (1 - pace->allowance) * 1000 / pace->options->rate : 0;
}
