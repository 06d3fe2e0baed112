/* One check after the other. */
#ifndef TCP_CHECKER_ONE_AT_A_TIME_H
#define TCP_CHECKER_ONE_AT_A_TIME_H

#include "pace.h"
#include "report.h"
#include "tcpshaker.h"

/* Makes all checks, or as many as there are before an interrupt. */
void run_one_at_a_time(shaker_checker *checker, struct pace *pace, struct report *report);

#endif
