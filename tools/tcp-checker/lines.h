/* A line a check, for people. */
#ifndef TCP_CHECKER_LINES_H
#define TCP_CHECKER_LINES_H

#include "report.h"

void lines_print(struct report *report, const struct target *target, const shaker_result *result);
/* What can be said of all targets only at the end. */
void lines_end(struct report *report);
/* Milliseconds with as many digits as fping has: "0.045", "1.23", "45.6". In the text. */
const char *lines_ms(uint64_t us, char *text, size_t capacity);

#endif
