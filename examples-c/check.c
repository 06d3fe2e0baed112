/* Would these TCP ports accept me?
 *
 *     ./check host:port [timeout_ms] [host:port [timeout_ms]]...
 *
 * One line a target. Exit status: 0 all are up, 1 some are not, 2 the command line was wrong, 3 nothing could be
 * checked.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpshaker.h"

static int usage(void)
{
    fputs(
        "usage: check host:port [timeout_ms] [host:port [timeout_ms]]...\n"
        "       timeout_ms: 1 to 4294967295, for the target before it; 1000 if left out\n",
        stderr);
    return 2;
}

static int is_number(const char *text)
{
    return text != NULL && *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

int main(int argc, char **argv)
{
    int all_up = 1;

    if (argc < 2)
        return usage();
    for (int i = 1; i < argc; i++) {
        const char *target = argv[i];
        unsigned long long timeout_ms = 0; /* 0: the checker's default */
        shaker_checker *checker;
        shaker_result result;
        char text[256];

        if (is_number(target))
            return usage();
        if (is_number(argv[i + 1])) {
            timeout_ms = strtoull(argv[++i], NULL, 10);
            if (timeout_ms == 0 || timeout_ms > UINT32_MAX)
                return usage();
        }
        checker = shaker_checker_default(); /* the same one each time */
        if (checker == NULL) {
            fputs("check: no checker could be made: no descriptor or no thread is left for it\n", stderr);
            return 3;
        }
        /* Positive: the port is down. Negative: nothing was learned, so do not call it down. */
        if (shaker_check_addr(checker, target, (uint32_t)timeout_ms, &result) != SHAKER_OK)
            all_up = 0;
        shaker_result_describe(&result, target, text, sizeof text);
        puts(text);
    }
    return all_up ? 0 : 1;
}
