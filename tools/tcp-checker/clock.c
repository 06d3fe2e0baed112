/* What time it is. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"

uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

const char *clock_rfc3339(char *text, size_t capacity)
{
    /* Many lines have the same. */
    static time_t second = -1;
    static char date[32];
    struct timespec now;
    struct tm parts;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != second) {
        second = now.tv_sec;
        gmtime_r(&now.tv_sec, &parts);
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    snprintf(text, capacity, "%s.%06ldZ", date, now.tv_nsec / 1000);
    return text;
}

const char *clock_since_epoch(char *text, size_t capacity)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(text, capacity, "%lld.%05ld", (long long)now.tv_sec, now.tv_nsec / 10000);
    return text;
}

const char *clock_local(char *text, size_t capacity)
{
    time_t now = time(NULL);
    struct tm parts;

    localtime_r(&now, &parts);
    strftime(text, capacity, "%H:%M:%S", &parts);
    return text;
}
