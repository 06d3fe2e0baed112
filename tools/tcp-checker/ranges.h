/* Targets by the range: -g CIDR:port. */
#ifndef TCP_CHECKER_RANGES_H
#define TCP_CHECKER_RANGES_H

#include <stdbool.h>

#include "targets.h"

/* More addresses than this are checked only if the user says so. */
enum { MANY_ADDRESSES = 1024 };

/* Adds the addresses of "192.0.2.0/24:80", "[2001:db8::/120]:80", or of one without a port. Of an IPv4 network of four
 * addresses and more neither its own nor the broadcast address is meant. */
void ranges_add(struct targets *targets, const char *range, bool many_allowed);

#endif
