/* --metrics-file: written beside itself and renamed, so that nobody ever reads half of it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "complain.h"
#include "metrics.h"
#include "watch_metrics.h"

enum { WRITE_EVERY_US = 1000000 };

/* In microseconds: from a neighbour on the wire to the other side of the world. */
static const uint32_t LIMITS_US[RTT_LIMITS] = {100,   250,    500,    1000,   2500,    5000,    10000,  25000,
                                               50000, 100000, 250000, 500000, 1000000, 2500000, 5000000};

void watch_metrics_count(struct watched *watched, uint32_t rtt_us)
{
    size_t bucket = 0;

    while (bucket < RTT_LIMITS && rtt_us > LIMITS_US[bucket])
        bucket++;
    watched->rtt_counts[bucket]++;
    watched->rtt_count++;
    watched->rtt_sum_us += rtt_us;
}

/* ---- the text ---- */

static void print_series(FILE *out, const char *name, const struct watched *watched, const char *more)
{
    fprintf(out, "%s{target=\"", name);
    metrics_print_label(out, target_name(watched->target));
    fprintf(out, "\"%s} ", more);
}

static void print_rtt(const struct watch *watch, FILE *out)
{
    metrics_describe(out, "tcpshaker_rtt_seconds", "histogram", "Time from SYN to SYN-ACK, as the kernel measured it.");
    for (size_t i = 0; i < watch->count; i++) {
        const struct watched *watched = &watch->items[i];
        uint64_t sum = 0;
        char limit[32];

        for (size_t bucket = 0; bucket < RTT_LIMITS; bucket++) {
            sum += watched->rtt_counts[bucket];
            snprintf(limit, sizeof limit, ",le=\"%g\"", LIMITS_US[bucket] / 1e6);
            print_series(out, "tcpshaker_rtt_seconds_bucket", watched, limit);
            fprintf(out, "%" PRIu64 "\n", sum);
        }
        print_series(out, "tcpshaker_rtt_seconds_bucket", watched, ",le=\"+Inf\"");
        fprintf(out, "%" PRIu64 "\n", watched->rtt_count);
        print_series(out, "tcpshaker_rtt_seconds_sum", watched, "");
        metrics_print_seconds(out, watched->rtt_sum_us);
        print_series(out, "tcpshaker_rtt_seconds_count", watched, "");
        fprintf(out, "%" PRIu64 "\n", watched->rtt_count);
    }
}

static void print_states(const struct watch *watch, FILE *out)
{
    bool any = false;

    for (size_t i = 0; i < watch->count; i++) {
        const struct watched *watched = &watch->items[i];

        if (watched->state == SHAKER_STATE_UNKNOWN)
            continue;
        if (!any)
            metrics_describe(out, "tcpshaker_up", "gauge",
                             "Whether the target is up. Before the first verdict there is no sample.");
        any = true;
        print_series(out, "tcpshaker_up", watched, "");
        fprintf(out, "%d\n", watched->state == SHAKER_STATE_UP);
    }
}

static void print_counts(const struct watch *watch, FILE *out)
{
    metrics_describe(out, "tcpshaker_checks_total", "counter", "Checks that ended, by what they found.");
    for (size_t i = 0; i < watch->count; i++) {
        const struct watched *watched = &watch->items[i];
        shaker_watch_info info = watch_info(watch, watched);

        print_series(out, "tcpshaker_checks_total", watched, ",result=\"up\"");
        fprintf(out, "%" PRIu64 "\n", info.up);
        print_series(out, "tcpshaker_checks_total", watched, ",result=\"down\"");
        fprintf(out, "%" PRIu64 "\n", info.down);
        print_series(out, "tcpshaker_checks_total", watched, ",result=\"no_verdict\"");
        fprintf(out, "%" PRIu64 "\n", info.no_verdict);
    }
    metrics_describe(out, "tcpshaker_state_changes_total", "counter", "How often the target's state changed.");
    for (size_t i = 0; i < watch->count; i++) {
        print_series(out, "tcpshaker_state_changes_total", &watch->items[i], "");
        fprintf(out, "%" PRIu64 "\n", watch_info(watch, &watch->items[i]).changes);
    }
    metrics_describe(out, "tcpshaker_held_changes_total", "counter",
                     "Changes to down that were held back, since this program itself was late.");
    fprintf(out, "tcpshaker_held_changes_total %" PRIu64 "\n", shaker_monitor_held(watch->monitor));
}

/* ---- the file ---- */

/* Returns 0, or an errno. */
static int print_into(const struct watch *watch, int descriptor)
{
    mode_t mask = umask(0);
    FILE *file = fdopen(descriptor, "w");
    int error = 0;

    umask(mask);
    if (file == NULL) {
        error = errno;
        close(descriptor);
        return error;
    }
    print_states(watch, file);
    print_counts(watch, file);
    print_rtt(watch, file);
    /* mkstemp(3) lets the owner alone read it; the collector is somebody else. */
    if (fflush(file) != 0 || ferror(file) || fchmod(descriptor, 0666 & ~mask) != 0)
        error = errno != 0 ? errno : EIO;
    if (fclose(file) != 0 && error == 0)
        error = errno;
    return error;
}

/* Returns 0, or an errno. */
static int write_file(const struct watch *watch, struct watch_metrics *metrics)
{
    size_t size = strlen(metrics->path) + sizeof ".XXXXXX";
    char *beside = must(malloc(size));
    int descriptor, error;

    metrics->due_us = now_us() + WRITE_EVERY_US;
    metrics->changed = false;
    snprintf(beside, size, "%s.XXXXXX", metrics->path);
    if ((descriptor = mkstemp(beside)) < 0) {
        error = errno;
    } else if ((error = print_into(watch, descriptor)) != 0 || rename(beside, metrics->path) != 0) {
        error = error != 0 ? error : errno;
        unlink(beside);
    }
    free(beside);
    return error;
}

/* What is renamed takes the place of whatever is there: of a device, of a link to a file. */
static void judge_path(struct watch_metrics *metrics)
{
    struct stat file;

    if (stat(metrics->path, &file) == 0 && !S_ISREG(file.st_mode))
        fail("--metrics-file %s: it is no regular file, and would be replaced", metrics->path);
    if (lstat(metrics->path, &file) != 0 || !S_ISLNK(file.st_mode))
        return;
    if ((metrics->behind = realpath(metrics->path, NULL)) == NULL)
        fail("--metrics-file %s: %s", metrics->path, strerror(errno));
    metrics->path = metrics->behind;
}

void watch_metrics_start(const struct watch *watch, struct watch_metrics *metrics)
{
    int error;

    if (metrics->path == NULL)
        return;
    judge_path(metrics);
    if ((error = write_file(watch, metrics)) != 0)
        fail("--metrics-file %s: %s", metrics->path, strerror(error));
}

/* A disk that is full now may have room later, and the targets are watched meanwhile. */
static void write_or_tell(const struct watch *watch, struct watch_metrics *metrics)
{
    int error = write_file(watch, metrics);

    if (error != 0 && !metrics->failed && !watch->table)
        fprintf(stderr, "tcp-checker: --metrics-file %s: %s\n", metrics->path, strerror(error));
    metrics->failed = error != 0;
}

void watch_metrics_tick(const struct watch *watch, struct watch_metrics *metrics, size_t changes)
{
    metrics->changed |= changes > 0;
    if (metrics->path != NULL && metrics->changed && now_us() >= metrics->due_us)
        write_or_tell(watch, metrics);
}

void watch_metrics_end(const struct watch *watch, struct watch_metrics *metrics)
{
    if (metrics->path != NULL)
        write_or_tell(watch, metrics);
    free(metrics->behind);
}
