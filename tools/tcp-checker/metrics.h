/* What the checker counted, as Prometheus text. */
#ifndef TCP_CHECKER_METRICS_H
#define TCP_CHECKER_METRICS_H

#include <stdio.h>

#include "rtt.h"
#include "tcpshaker.h"

void metrics_print(const shaker_stats *stats, const struct rtt *rtt, FILE *out);

#endif
