/* Ctrl-C and SIGTERM: the run ends early, with a summary. */
#ifndef TCP_CHECKER_INTERRUPT_H
#define TCP_CHECKER_INTERRUPT_H

#include <stdbool.h>

void interrupt_catch(void);
bool interrupted(void);

#endif
