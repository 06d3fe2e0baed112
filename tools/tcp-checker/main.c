/* tcp-checker: checks many TCP ports at once from the command line; tcp-checker -h says how.
 *
 * The command line is read in options.c; the checks are made in window.c or one_at_a_time.c, at the rate of pace.c;
 * printing is done in report.c, and rtt.c keeps the distribution of round-trip times.
 */
#define _XOPEN_SOURCE 700

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "interrupt.h"
#include "one_at_a_time.h"
#include "options.h"
#include "pace.h"
#include "report.h"
#include "window.h"

/* Every check in flight of the kernel's TCP holds a socket. The soft limit is a default that a program may raise for
 * itself; the hard one is the administrator's word. */
static void make_room_for_sockets(uint32_t at_once)
{
    enum { OTHER_DESCRIPTORS = 100 };
    rlim_t needed = (rlim_t)at_once + OTHER_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < needed) {
        fprintf(stderr, "tcp-checker: -c %lu: the limit of descriptors (ulimit -Hn) leaves room for %lu\n",
                (unsigned long)at_once,
                limit.rlim_max > OTHER_DESCRIPTORS ? (unsigned long)limit.rlim_max - OTHER_DESCRIPTORS : 0UL);
        exit(EXIT_USAGE);
    }
    limit.rlim_cur = needed;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    struct options options;
    struct pace pace;
    struct report report;
    shaker_checker *checker;
    shaker_stats stats = {0};
    shaker_status status;
    int exit_status;

    options_read(&options, argc, argv);
    status = shaker_checker_new(options.config, &checker);
    if (status == SHAKER_ERR_UNSUPPORTED && options.engine == SHAKER_ENGINE_RAW) {
        fputs("tcp-checker: --engine raw: this needs CAP_NET_RAW, which root has\n", stderr);
        exit(EXIT_USAGE);
    }
    if (status != SHAKER_OK)
        give_up("starting the checker", status);
    if (shaker_checker_engine(checker) == SHAKER_ENGINE_SOCKET)
        make_room_for_sockets(options.at_once);
    interrupt_catch();

    report_start(&report, &options);
    pace_start(&pace, &options, report.started_us);
    if (options.at_once == 1)
        run_one_at_a_time(checker, &pace, &report);
    else
        run_window(checker, &pace, &report);
    shaker_checker_stats(checker, &stats, sizeof stats);
    exit_status = report_end(&report, &stats);

    shaker_checker_free(checker);
    options_free(&options);
    return exit_status;
}
