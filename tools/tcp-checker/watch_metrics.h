/* --metrics-file: what is watched, as Prometheus text for node_exporter's textfile collector. */
#ifndef TCP_CHECKER_WATCH_METRICS_H
#define TCP_CHECKER_WATCH_METRICS_H

#include "watch.h"

struct watch_metrics {
    const char *path; /* NULL: not asked for */
    char *behind;     /* the file that the path is a link to; NULL: it is none */
    uint64_t due_us;
    bool changed;     /* since it was written */
    bool failed;      /* and that was told */
};

/* Counts an answer. */
void watch_metrics_count(struct watched *watched, uint32_t rtt_us);
/* Writes the file for the first time; ends the program with EXIT_USAGE if that cannot be done. */
void watch_metrics_start(const struct watch *watch, struct watch_metrics *metrics);
/* Writes it when something has changed, at most once a second. */
void watch_metrics_tick(const struct watch *watch, struct watch_metrics *metrics, size_t changes);
void watch_metrics_end(const struct watch *watch, struct watch_metrics *metrics);

#endif
