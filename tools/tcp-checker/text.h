/* Other people's text, made fit to be shown. */
#ifndef TCP_CHECKER_TEXT_H
#define TCP_CHECKER_TEXT_H

#include <stdio.h>

/* With ? for what would steer a terminal. */
void text_print_plain(const char *text, FILE *out);
/* In UTF-8, with U+FFFD for what is none. To be freed. */
char *text_utf8(const char *text);

#endif
