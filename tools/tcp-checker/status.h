/* One word for each status, for tables and for programs. */
#ifndef TCP_CHECKER_STATUS_H
#define TCP_CHECKER_STATUS_H

#include <stddef.h>

#include "tcpshaker.h"

/* Every status that this program knows, in the order of its tables: up, down, no verdict. */
enum { STATUS_KINDS = SHAKER_UNREACHABLE - SHAKER_ERR_INTERNAL + 1 };

shaker_status status_of_kind(size_t kind);
/* A status that this program does not know counts as the last kind, the library's defects. */
size_t status_kind(shaker_status status);

struct status_word {
    char text[24];
};

/* The library's name for it, made short: "refused" for SHAKER_REFUSED, "local" for SHAKER_ERR_LOCAL; "up" for SHAKER_OK. */
struct status_word status_word(shaker_status status);

#endif
