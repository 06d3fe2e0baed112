/* The values of options. Each function ends the program if the text is none. */
#ifndef TCP_CHECKER_VALUES_H
#define TCP_CHECKER_VALUES_H

#include <stdint.h>

uint64_t value_number(const char *option, const char *text, uint64_t min, uint64_t max);
/* In decimal, or in hexadecimal behind 0x, as firewalls and ip(8) show them. */
uint64_t value_bits(const char *option, const char *text, uint64_t max);
/* Milliseconds: "100ms", "1.5s", "2m", "1h", or a bare number of the unit. */
uint32_t value_time(const char *option, const char *text, const char *unit, uint32_t min_ms);
/* A shaker_engine. */
int32_t value_engine(const char *text);

#endif
