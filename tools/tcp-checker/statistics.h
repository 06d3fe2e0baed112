/* What became of each target: sent, received, lost, round-trip times. */
#ifndef TCP_CHECKER_STATISTICS_H
#define TCP_CHECKER_STATISTICS_H

#include "report.h"

/* They go to standard error, as fping's, so that lines of checks can be read apart; below the summary of a run in
 * counts they go where that goes. */

/* Of the whole run so far. */
void statistics_now(const struct report *report);
/* Since they were shown last. */
void statistics_of_late(const struct report *report);
void statistics_end(const struct report *report);

#endif
