/* Whose turn it is: target after target, round after round; or each target an interval after its last check began. */
#include <stdlib.h>

#include "complain.h"
#include "schedule.h"

/* ---- a heap of targets ---- */

static void swap(struct target **a, struct target **b)
{
    struct target *target = *a;

    *a = *b;
    *b = target;
}

static void push(struct schedule *schedule, struct target *target)
{
    struct target **heap = schedule->waiting;
    size_t at = schedule->waiting_count++;

    heap[at] = target;
    for (; at > 0 && heap[(at - 1) / 2]->due_us > heap[at]->due_us; at = (at - 1) / 2)
        swap(&heap[at], &heap[(at - 1) / 2]);
}

static struct target *pop(struct schedule *schedule)
{
    struct target **heap = schedule->waiting, *first = heap[0];
    size_t count = --schedule->waiting_count, at = 0, child;

    heap[0] = heap[count];
    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && heap[child + 1]->due_us < heap[child]->due_us)
            child++;
        if (heap[at]->due_us <= heap[child]->due_us)
            break;
        swap(&heap[at], &heap[child]);
        at = child;
    }
    return first;
}

/* ---- turns ---- */

void schedule_start(struct schedule *schedule, struct options *options, uint64_t now_us)
{
    *schedule = (struct schedule){.options = options};
    if (!options->spaced)
        return;
    schedule->waiting = must(malloc(options->targets.count * sizeof *schedule->waiting));
    for (size_t i = 0; i < options->targets.count; i++) {
        options->targets.items[i].due_us = now_us;
        push(schedule, &options->targets.items[i]);
    }
}

bool schedule_is_over(const struct schedule *schedule)
{
    if (schedule->options->spaced)
        return schedule->waiting_count == 0 && schedule->under_way == 0;
    return schedule->started == schedule->options->checks;
}

uint64_t schedule_allows(const struct schedule *schedule, uint64_t now_us)
{
    if (!schedule->options->spaced)
        return schedule->options->checks - schedule->started;
    /* How many more are due shows after each of them. */
    return schedule->waiting_count > 0 && schedule->waiting[0]->due_us <= now_us;
}

struct target *schedule_next(struct schedule *schedule, uint64_t now_us)
{
    const struct options *options = schedule->options;
    struct target *target;

    if (!options->spaced)
        return &options->targets.items[schedule->started++ % options->targets.count];
    schedule->started++;
    schedule->under_way++;
    target = pop(schedule);
    target->started++;
    target->due_us += (uint64_t)options->interval_ms * 1000;
    /* What a slow answer or a slow machine made late is not made up for. */
    if (target->due_us < now_us)
        target->due_us = now_us;
    return target;
}

void schedule_ended(struct schedule *schedule, struct target *target, uint64_t now_us)
{
    const struct options *options = schedule->options;

    if (!options->spaced)
        return;
    schedule->under_way--;
    /* A malformed target stays one. */
    if (target->malformed || (options->each > 0 && target->started >= options->each))
        return;
    if (target->due_us < now_us)
        target->due_us = now_us;
    push(schedule, target);
}

uint64_t schedule_wait_us(const struct schedule *schedule, uint64_t now_us)
{
    if (!schedule->options->spaced)
        return schedule->started < schedule->options->checks ? 0 : UINT64_MAX;
    if (schedule->waiting_count == 0)
        return UINT64_MAX;
    return schedule->waiting[0]->due_us > now_us ? schedule->waiting[0]->due_us - now_us : 0;
}

void schedule_free(struct schedule *schedule)
{
    free(schedule->waiting);
}
