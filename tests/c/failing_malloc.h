/* This program's own malloc(3), which fails for large allocations while it is told to. */
#ifndef FAILING_MALLOC_H
#define FAILING_MALLOC_H

#include "expect.h"

#include <malloc.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
  *__libc_memalign(size_t, size_t);

static size_t least; /* so large are those that fail */
static atomic_int counting, asked; /* and how many were asked for */
static int from, to; /* the first and the last that fail, in the order they are asked for */
static int (*is_chosen)(int number); /* says instead of those whether one fails; asked on each thread */

static int fails(size_t size) {
  if (!counting || size < least) return 0;
  int number = ++asked;
  if (is_chosen != NULL ? !is_chosen(number) : number < from || number > to) return 0;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t size) {
  return fails(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  return fails(count * size) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  return fails(size) ? NULL : __libc_realloc(old, size);
}

int posix_memalign(void **made, size_t alignment, size_t size) {
  if (fails(size)) return ENOMEM;
  *made = __libc_memalign(alignment, size);
  return *made == NULL ? ENOMEM : 0;
}

#endif
