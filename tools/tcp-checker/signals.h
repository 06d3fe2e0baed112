/* Ctrl-C and SIGTERM: the run ends early, with a summary. SIGQUIT: statistics, and the run goes on. */
#ifndef TCP_CHECKER_SIGNALS_H
#define TCP_CHECKER_SIGNALS_H

#include <stdbool.h>

void signals_catch(void);
bool interrupted(void);
/* Whether statistics were asked for since the last call. */
bool statistics_wanted(void);
/* Readable while there is word of a signal. -1: there is none. */
int signals_fd(void);

#endif
