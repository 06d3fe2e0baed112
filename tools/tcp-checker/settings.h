/* What the options ask for together. */
#ifndef TCP_CHECKER_SETTINGS_H
#define TCP_CHECKER_SETTINGS_H

#include "options.h"

/* The times of -C are kept until the end. */
enum { MOST_AT_ONCE = 1000000, MOST_TIMES = 1000000 };

/* Options whose meaning depends on others. */
struct settings {
    struct options *options;
    const char **ranges;
    size_t range_count;
    bool yes;
    bool listed;          /* -a or -f, as Go's tool is called */
    const char *port;
    const char *short_port; /* the same by its letter, which fping has for something else */
    bool all_addresses;
    int family;           /* 0: both */
    const char *each;     /* the option that said how many checks each target has */
    bool at_once_given;
    const char *interval;
    const char *rate;
    bool called_as_fping; /* -B: by a program that takes this one for fping */
};

void settings_add_range(struct settings *settings, const char *range);
void settings_family(struct settings *settings, int family);
/* 0: for ever. */
void settings_each(struct settings *settings, const char *option, uint64_t each);
/* Settings that the library judges: fails if the status is not SHAKER_OK. */
void settings_judged(shaker_status status, const char *option, const char *text, const char *expected);
void settings_finish(struct settings *settings);

#endif
