/* A line for each change of a target's state. */
#ifndef TCP_CHECKER_WATCH_LINES_H
#define TCP_CHECKER_WATCH_LINES_H

#include <stdio.h>

#include "watch.h"

/* In words, or as JSON. */
void watch_lines_print(const struct watch *watch, const shaker_change *change);
/* What became of each target so far. */
void watch_lines_statistics(const struct watch *watch, FILE *out);
/* "0 s", "59 s", "2 min", "3 h", "4 d". In the text. */
const char *watch_duration(uint64_t us, char *text, size_t capacity);
/* In per cent of the verdicts, rounded down. */
unsigned watch_loss(const shaker_watch_info *info);

#endif
