/* tcp-checker: checks TCP ports from the command line; tcp-checker(1) and tcp-checker --help say how.
 *
 * options.c reads the command line, settings.c puts together what it asks for, targets.c, ranges.c and addresses.c make
 * the list of targets. run.c makes the checks: schedule.c says whose turn it is, pace.c at what rate. report.c counts
 * what becomes of them and has it printed. watch.c has a monitor of the library make them instead. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "complain.h"
#include "options.h"
#include "report.h"
#include "run.h"
#include "signals.h"
#include "watch.h"

static shaker_checker *make_checker(const struct options *options)
{
    shaker_checker *checker;
    shaker_status status = shaker_checker_new(options->config, &checker);

    if (status == SHAKER_ERR_UNSUPPORTED && options->engine == SHAKER_ENGINE_RAW)
        fail("--engine raw: this needs CAP_NET_RAW, which root has");
    if (options->namespace != NULL && (status == SHAKER_ERR_UNSUPPORTED || status == SHAKER_ERR_LOCAL))
        fail("--netns %s: %s", options->namespace,
             status == SHAKER_ERR_LOCAL ? "there is no such network namespace"
                                        : "this needs CAP_SYS_ADMIN, which root has");
    if (status == SHAKER_ERR_UNSUPPORTED)
        fail("a mark (-M) needs CAP_NET_ADMIN, which root has");
    if (status != SHAKER_OK)
        give_up("starting the checker", status);
    return checker;
}

/* A standard descriptor that was closed by whoever started this would become a socket's or a poller's, and what is printed
 * would go there. These can be neither read nor written, as before. */
static void hold_standard_descriptors(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++) {
        if (fcntl(descriptor, F_GETFD) < 0)
            open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* the lowest number that is free */
    }
}

static void complain_of_output(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return;
    fputs("tcp-checker: the output could not be written\n", stderr);
    _exit(EXIT_NO_VERDICT);
}

int main(int argc, char **argv)
{
    struct options options;
    struct report report;
    shaker_checker *checker;
    shaker_stats stats = {0};
    int exit_status;

    hold_standard_descriptors();
    atexit(complain_of_output);
    options_read(&options, argc, argv);
    checker = make_checker(&options);
    signals_catch();

    if (options.watch) {
        exit_status = watch_run(checker, &options);
    } else {
        report_start(&report, &options);
        run(checker, &options, &report);
        shaker_checker_stats(checker, &stats, sizeof stats);
        exit_status = report_end(&report, &stats);
    }

    shaker_checker_free(checker);
    options_free(&options);
    return exit_status;
}
