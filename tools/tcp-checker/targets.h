/* The list of targets. */
#ifndef TCP_CHECKER_TARGETS_H
#define TCP_CHECKER_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history;

struct target {
    char *text;         /* "host:port", as the library is asked for it */
    char *name;         /* as people read it, if it is not the text; else NULL */
    const char *origin; /* the file it came from; NULL: the command line */
    size_t line;
    bool malformed;     /* already reported, however often it is checked */
    bool judged;        /* there is a verdict */
    bool was_up;        /* by some check */
    int32_t status;     /* of the last verdict */
    uint32_t rtt_us;    /* of the last answer */
    uint32_t started;   /* checks */
    uint64_t due_us;    /* when the next check is to start; of spaced runs */
    struct history *history; /* NULL unless each target has more than one check */
};

struct targets {
    struct target *items;
    size_t count;
};

void targets_add(struct targets *targets, const char *text, const char *origin, size_t line);
/* "host:port", "host" and behind it "port", "host" alone. */
void targets_add_operands(struct targets *targets, char **operands, size_t count);
/* One a line; - is standard input. */
void targets_read(struct targets *targets, const char *path);
/* Gives each target that names no port this one. Their names stay as they are if names_stay. */
void targets_complete(struct targets *targets, const char *port, bool names_stay);
void targets_free(struct targets *targets);

/* "host:port", with brackets round an IPv6 address that has none. To be freed. */
char *target_text(const char *host, const char *port);
const char *target_name(const struct target *target);
/* Says on standard error that the target is malformed, and where it stands. */
void target_complain(const struct target *target);
bool target_names_port(const char *text);
/* Where the port begins in "host:port"; NULL if the text has none. */
const char *target_port(const char *text);

#endif
