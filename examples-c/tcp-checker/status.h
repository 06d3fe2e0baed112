/* One word for each status, for tables and for programs. */
#ifndef TCP_CHECKER_STATUS_H
#define TCP_CHECKER_STATUS_H

#include <stddef.h>

#include "tcpshaker.h"

enum { STATUS_KINDS = 15 };

struct named_status {
    shaker_status status;
    const char *word;
};

extern const struct named_status STATUSES[STATUS_KINDS];
/* A status that this program does not know counts as the last kind, the library's defects. */
size_t status_index(shaker_status status);
const char *status_word(shaker_status status);

#endif
