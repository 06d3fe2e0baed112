/* The table of watched targets, on a terminal. */
#ifndef TCP_CHECKER_WATCH_TABLE_H
#define TCP_CHECKER_WATCH_TABLE_H

#include "watch.h"

/* Takes a screen of its own, and gives back the other one at the end. */
void watch_table_start(void);
/* Draws it, if it is time to. */
void watch_table_tick(const struct watch *watch);
void watch_table_end(void);

#endif
