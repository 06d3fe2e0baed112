/* The values of options: numbers, times, names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "tcpshaker.h"
#include "values.h"

static const char DIGITS[] = "0123456789";

uint64_t value_number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    unsigned long long value;

    errno = 0;
    value = strtoull(text, NULL, 10);
    /* strtoull takes a sign and leading blanks, and wraps a negative number round. */
    if (*text == '\0' || text[strspn(text, DIGITS)] != '\0' || errno != 0 || value < min || value > max)
        fail("%s %s: expected a number from %llu to %llu", option, text, (unsigned long long)min,
             (unsigned long long)max);
    return value;
}

uint64_t value_bits(const char *option, const char *text, uint64_t max)
{
    char *end;
    unsigned long long value;

    if (strncmp(text, "0x", 2) != 0 && strncmp(text, "0X", 2) != 0)
        return value_number(option, text, 0, max);
    errno = 0;
    value = strtoull(text + 2, &end, 16);
    if (strspn(text + 2, "0123456789abcdefABCDEF") == 0 || *end != '\0' || errno != 0 || value > max)
        fail("%s %s: expected a number from 0 to 0x%llx", option, text, (unsigned long long)max);
    return value;
}

uint32_t value_time(const char *option, const char *text, const char *unit, uint32_t min_ms)
{
    static const struct {
        const char *unit;
        double ms;
    } UNITS[] = {{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}};
    size_t whole = strspn(text, DIGITS), fraction = text[whole] == '.' ? 1 + strspn(text + whole + 1, DIGITS) : 0;
    const char *given = text + whole + fraction;
    double ms = -1;

    for (size_t i = 0; whole > 0 && fraction != 1 && i < sizeof UNITS / sizeof *UNITS; i++) {
        /* Without a unit, a fraction of a millisecond would be asked for. */
        if (strcmp(*given != '\0' ? given : unit, UNITS[i].unit) == 0 && (UNITS[i].ms > 1 || fraction == 0))
            ms = strtod(text, NULL) * UNITS[i].ms;
    }
    if (ms < min_ms || ms > UINT32_MAX)
        fail("%s %s: expected a time, such as 100ms, 1.5s or 2m, or a number of %s", option, text,
             strcmp(unit, "s") == 0 ? "seconds" : "milliseconds");
    return (uint32_t)(ms + 0.5);
}

int32_t value_engine(const char *text)
{
    if (strcmp(text, "socket") == 0)
        return SHAKER_ENGINE_SOCKET;
    if (strcmp(text, "raw") == 0)
        return SHAKER_ENGINE_RAW;
    if (strcmp(text, "auto") != 0)
        fail("--engine %s: expected socket, raw or auto", text);
    return SHAKER_ENGINE_AUTO;
}
