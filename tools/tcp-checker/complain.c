/* What is wrong with the command line or the machine, told on standard error. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "complain.h"
#include "options.h"

void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("tcp-checker: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n(tcp-checker --help lists the options)\n", stderr);
    va_end(arguments);
    exit(EXIT_USAGE);
}

void give_up(const char *what, shaker_status status)
{
    fprintf(stderr, "tcp-checker: %s: %s\n", what, shaker_status_str(status));
    exit(EXIT_NO_VERDICT);
}

void *must(void *memory)
{
    if (memory == NULL) {
        fputs("tcp-checker: out of memory\n", stderr);
        exit(EXIT_NO_VERDICT);
    }
    return memory;
}
