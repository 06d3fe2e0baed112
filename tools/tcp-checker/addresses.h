/* --all-addresses: each address of a name is a target. */
#ifndef TCP_CHECKER_ADDRESSES_H
#define TCP_CHECKER_ADDRESSES_H

#include "targets.h"

/* A name that has no address stays a target, whose check says so. */
void addresses_expand(struct targets *targets, int family);

#endif
