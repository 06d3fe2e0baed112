/* What a terminal can show. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "terminal.h"

bool terminal_has_colours(FILE *out)
{
    const char *unwanted = getenv("NO_COLOR"), *kind = getenv("TERM");

    return isatty(fileno(out)) != 0 && (unwanted == NULL || *unwanted == '\0')
           && (kind == NULL || strcmp(kind, "dumb") != 0);
}

int terminal_columns(FILE *out)
{
    struct winsize size;

    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

int terminal_lines(FILE *out)
{
    struct winsize size;

    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

const char *colour_of(bool colours, shaker_status status)
{
    enum { GREEN, RED, YELLOW };
    static const char *const CODES[] = {"\033[32m", "\033[31m", "\033[33m"};

    return !colours ? "" : CODES[status == SHAKER_OK ? GREEN : status > SHAKER_OK ? RED : YELLOW];
}

const char *colour_end(bool colours)
{
    return colours ? "\033[0m" : "";
}
