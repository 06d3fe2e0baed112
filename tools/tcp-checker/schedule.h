/* Whose turn it is. */
#ifndef TCP_CHECKER_SCHEDULE_H
#define TCP_CHECKER_SCHEDULE_H

#include "options.h"

struct schedule {
    struct options *options;
    uint64_t started;       /* checks */
    /* Of spaced runs: the targets that wait, in a heap whose first is due first. */
    struct target **waiting;
    size_t waiting_count;
    size_t under_way;       /* targets whose check has not come to its end */
};

void schedule_start(struct schedule *schedule, struct options *options, uint64_t now_us);
/* Whether there is nothing left to start, now or later. */
bool schedule_is_over(const struct schedule *schedule);
/* How many checks may start now. */
uint64_t schedule_allows(const struct schedule *schedule, uint64_t now_us);
/* The target whose turn it is. There must be one. */
struct target *schedule_next(struct schedule *schedule, uint64_t now_us);
/* The check of a target has come to its end. */
void schedule_ended(struct schedule *schedule, struct target *target, uint64_t now_us);
/* In how many microseconds a check may start; UINT64_MAX: none that is known of. */
uint64_t schedule_wait_us(const struct schedule *schedule, uint64_t now_us);
void schedule_free(struct schedule *schedule);

#endif
