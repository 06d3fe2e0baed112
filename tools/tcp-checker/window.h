/* Many checks at once. */
#ifndef TCP_CHECKER_WINDOW_H
#define TCP_CHECKER_WINDOW_H

#include "pace.h"
#include "report.h"
#include "tcpshaker.h"

/* Makes all checks, or as many as there are before an interrupt. */
void run_window(shaker_checker *checker, struct pace *pace, struct report *report);

#endif
