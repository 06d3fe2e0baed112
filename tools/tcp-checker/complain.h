/* What is wrong with the command line or the machine, told on standard error. */
#ifndef TCP_CHECKER_COMPLAIN_H
#define TCP_CHECKER_COMPLAIN_H

#include "tcpshaker.h"

/* Ends the program with EXIT_USAGE. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the program with EXIT_NO_VERDICT, and says what could not be done. */
_Noreturn void give_up(const char *what, shaker_status status);
/* The memory, which is there. */
void *must(void *memory);

#endif
