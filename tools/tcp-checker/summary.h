/* All checks together, at the end. */
#ifndef TCP_CHECKER_SUMMARY_H
#define TCP_CHECKER_SUMMARY_H

#include "report.h"

void summary_print(const struct report *report, const shaker_stats *stats);

#endif
