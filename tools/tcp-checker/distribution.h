/* The distribution of round-trip times, drawn for people. */
#ifndef TCP_CHECKER_DISTRIBUTION_H
#define TCP_CHECKER_DISTRIBUTION_H

#include <stdio.h>

#include "rtt.h"

void distribution_print(const struct rtt *rtt, FILE *out);

#endif
