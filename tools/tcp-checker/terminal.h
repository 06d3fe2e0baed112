/* What a terminal can show. */
#ifndef TCP_CHECKER_TERMINAL_H
#define TCP_CHECKER_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

#include "tcpshaker.h"

/* Whether colours are welcome there: on a terminal, unless NO_COLOR (https://no-color.org) or TERM says otherwise. */
bool terminal_has_colours(FILE *out);
/* How many columns and lines it has now; 80 and 24 where nobody knows. */
int terminal_columns(FILE *out);
int terminal_lines(FILE *out);

/* What switches the colour of a status on, and off again; empty texts without colours. */
const char *colour_of(bool colours, shaker_status status);
const char *colour_end(bool colours);

#endif
