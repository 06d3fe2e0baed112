/* quantiles: what the programs sort are their latencies, so qsort is where they can be told in full.
 *
 * Linked with -Wl,--wrap=qsort, which leaves bare_loop.c as it is and measures both programs alike.
 */
#include <stdio.h>
#include <stdlib.h>

void __real_qsort(void *base, size_t count, size_t size, int (*order)(const void *, const void *));

void __wrap_qsort(void *base, size_t count, size_t size, int (*order)(const void *, const void *)) {
  const double *seconds = base;
  __real_qsort(base, count, size, order);
  printf("p50_ns=%.0f p90_ns=%.0f p99_ns=%.0f p999_ns=%.0f\n", seconds[count / 2] * 1e9, seconds[count * 9 / 10] * 1e9,
         seconds[count * 99 / 100] * 1e9, seconds[count * 999 / 1000] * 1e9);
}
