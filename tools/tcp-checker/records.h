/* A line a check, for programs: JSON (https://jsonlines.org) or comma-separated values (RFC 4180). */
#ifndef TCP_CHECKER_RECORDS_H
#define TCP_CHECKER_RECORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "options.h"

bool records_wanted(const struct options *options);
/* The names of the columns. */
void records_start(const struct options *options);
void records_print(const struct options *options, const struct target *target, const shaker_result *result, FILE *out);

/* "up", "down" or "none". */
const char *records_verdict(shaker_status status);
/* Prints it as a line, and frees it; NULL means that memory is short. */
void records_print_json(json_t *object, FILE *out);
/* The error's text, or the status's where there is none; of an answer an empty text. */
void records_error(const shaker_result *result, char *text, size_t capacity);

#endif
