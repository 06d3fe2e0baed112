/* A line that moves, on a terminal, while a long run goes on. */
#ifndef TCP_CHECKER_PROGRESS_H
#define TCP_CHECKER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool wanted;
    uint64_t started_us, due_us;
    int width; /* of the line now on the terminal */
};

struct progress_counts {
    uint64_t finished, checks, up, down;
};

void progress_start(struct progress *progress, bool wanted, uint64_t now_us);
void progress_show(struct progress *progress, const struct progress_counts *counts, uint64_t now_us);
void progress_clear(struct progress *progress);

#endif
