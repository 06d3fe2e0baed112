/* What was counted in a run, as Prometheus text. */
#ifndef TCP_CHECKER_METRICS_H
#define TCP_CHECKER_METRICS_H

#include <stdio.h>

#include "rtt.h"
#include "targets.h"
#include "tcpshaker.h"

void metrics_print(const shaker_stats *stats, const struct rtt *rtt, const struct targets *targets, FILE *out);

/* The text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/), for all that write it. */
void metrics_describe(FILE *out, const char *name, const char *type, const char *help);
/* A label's value, with what the format wants escaped. */
void metrics_print_label(FILE *out, const char *value);
/* The base unit is the second. Written from whole microseconds, no number is rounded. */
void metrics_print_seconds(FILE *out, uint64_t us);

#endif
