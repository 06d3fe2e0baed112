/* What time it is. */
#ifndef TCP_CHECKER_CLOCK_H
#define TCP_CHECKER_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Microseconds of a clock that never jumps, CLOCK_MONOTONIC. */
uint64_t now_us(void);
/* The time of day as RFC 3339 has it, in UTC: "2026-01-31T12:00:00.000000Z". */
const char *clock_rfc3339(char *text, size_t capacity);
/* Seconds since 1970, as fping -D shows them: "1795770494.45549". */
const char *clock_since_epoch(char *text, size_t capacity);
/* "12:00:00", here. */
const char *clock_local(char *text, size_t capacity);

#endif
