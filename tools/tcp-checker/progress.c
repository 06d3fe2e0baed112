/* A line that moves, on a terminal, while a long run goes on. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "terminal.h"

/* A run that is over sooner needs no progress line. */
enum { FIRST_US = 1000000, EVERY_US = 200000 };

void progress_start(struct progress *progress, bool wanted, uint64_t now_us)
{
    *progress = (struct progress){
        .wanted = wanted && isatty(STDERR_FILENO) != 0, .started_us = now_us, .due_us = now_us + FIRST_US};
}

/* Blanks instead of an escape sequence: they work on every terminal. */
void progress_clear(struct progress *progress)
{
    if (progress->width > 0)
        fprintf(stderr, "\r%*s\r", progress->width, "");
    progress->width = 0;
}

static void print_duration(uint64_t seconds, char *text, size_t capacity)
{
    if (seconds < 60)
        snprintf(text, capacity, "%u s left", (unsigned)seconds);
    else if (seconds < 3600)
        snprintf(text, capacity, "%u min %02u s left", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
    else
        snprintf(text, capacity, "%" PRIu64 " h %02u min left", seconds / 3600, (unsigned)(seconds / 60 % 60));
}

void progress_show(struct progress *progress, const struct progress_counts *counts, uint64_t now_us)
{
    enum { WIDEST = 100 };
    double rate = (double)counts->finished * 1e6 / (double)(now_us - progress->started_us);
    char line[WIDEST], left[32] = "unknown time left";
    /* A line that wraps could not be taken back. */
    int columns = terminal_columns(stderr) - 1, length;

    if (!progress->wanted || now_us < progress->due_us)
        return;
    progress->due_us = now_us + EVERY_US;
    if (counts->finished > 0)
        print_duration((uint64_t)((double)(counts->checks - counts->finished) / rate + 0.5), left, sizeof left);
    snprintf(line, sizeof line, "%" PRIu64 "/%" PRIu64 "  %.0f/s  up %" PRIu64 "  down %" PRIu64 "  %s",
             counts->finished, counts->checks, rate, counts->up, counts->down, left);
    length = (int)strlen(line);
    if (length > columns)
        length = columns;
    /* On a terminal that was made narrower since, the blanks would wrap. */
    if (progress->width > columns)
        progress->width = columns;
    /* Written over the line before, blanks over its rest: cleared first, it would flicker. */
    fprintf(stderr, "\r%.*s%*s", length, line, progress->width > length ? progress->width - length : 0, "");
    fflush(stderr);
    progress->width = length;
}
