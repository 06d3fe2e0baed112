/* How many checks the rate (-r) lets start now. */
#ifndef TCP_CHECKER_PACE_H
#define TCP_CHECKER_PACE_H

#include <stdint.h>

#include "options.h"

struct pace {
    const struct options *options;
    double allowance;      /* checks that the rate allows now */
    uint64_t allowance_us; /* when it was worked out */
};

void pace_start(struct pace *pace, const struct options *options, uint64_t started_us);
/* How many checks may start now; UINT64_MAX without a limit. */
uint64_t pace_allows(struct pace *pace);
/* How many checks wait their turn in a quarter of their timeout; at least one. */
double pace_most(const struct pace *pace);
void pace_spend(struct pace *pace, uint64_t checks);
/* How long until the next check may start; not above 0 if one may start now. */
double pace_next_ms(const struct pace *pace);

#endif
