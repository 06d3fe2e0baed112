/* Makes the checks. */
#ifndef TCP_CHECKER_RUN_H
#define TCP_CHECKER_RUN_H

#include "report.h"

/* Makes all checks, or as many as there are before an interrupt. */
void run(shaker_checker *checker, struct options *options, struct report *report);

#endif
