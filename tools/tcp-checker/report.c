/* What tcp-checker prints for people: a line a check, progress, and the summary; and its JSON. */
#define _POSIX_C_SOURCE 200809L

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "metrics.h"
#include "report.h"

/* A run that is over sooner needs no progress line. */
enum { FIRST_PROGRESS_US = 1000000, PROGRESS_EVERY_US = 200000 };

static uint64_t count_of(const struct report *report, shaker_status status)
{
    return report->by_kind[status_kind(status)];
}

uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void give_up(const char *what, shaker_status status)
{
    fprintf(stderr, "tcp-checker: %s: %s\n", what, shaker_status_str(status));
    exit(EXIT_NO_VERDICT);
}

void report_start(struct report *report, const struct options *options)
{
    *report = (struct report){.options = options, .started_us = now_us()};
    report->prose = options->json || options->metrics ? stderr : stdout;
    report->terminal = isatty(STDERR_FILENO) != 0;
    report->progress_due_us = report->started_us + FIRST_PROGRESS_US;
}

/* ---- progress ---- */

/* Blanks instead of an escape sequence: they work on every terminal. */
static void clear_progress(struct report *report)
{
    if (report->progress_width > 0)
        fprintf(stderr, "\r%*s\r", report->progress_width, "");
    report->progress_width = 0;
}

static const char *duration_text(uint64_t seconds, char *text, size_t capacity)
{
    if (seconds < 60)
        snprintf(text, capacity, "%u s", (unsigned)seconds);
    else if (seconds < 3600)
        snprintf(text, capacity, "%u min %02u s", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
    else
        snprintf(text, capacity, "%llu h %02u min", (unsigned long long)(seconds / 3600),
                 (unsigned)(seconds / 60 % 60));
    return text;
}

void report_progress(struct report *report)
{
    uint64_t now = now_us(), total = report->options->checks;
    double seconds = (double)(now - report->started_us) / 1e6;
    double rate = (double)report->finished / seconds;
    char line[80], left[32] = "unknown time"; /* 79 columns: a line that wraps could not be taken back */

    if (!report->terminal || now < report->progress_due_us)
        return;
    report->progress_due_us = now + PROGRESS_EVERY_US;
    if (report->finished > 0)
        duration_text((uint64_t)((double)(total - report->finished) / rate + 0.5), left, sizeof left);
    snprintf(line, sizeof line, "%llu/%llu  %.0f/s  up %llu  down %llu  %s left", (unsigned long long)report->finished,
             (unsigned long long)total, rate, (unsigned long long)report->up, (unsigned long long)report->down, left);
    /* Written over the line before, blanks over its rest: cleared first, it would flicker. */
    fprintf(stderr, "\r%-*s", report->progress_width, line);
    fflush(stderr);
    report->progress_width = (int)strlen(line);
}

/* ---- one check ---- */

/* A target is somebody else's text: it must not steer the terminal. */
static void print_plain(const char *text, FILE *out)
{
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
}

/* How many bytes the UTF-8 sequence at the start of the text has; 0 if there is none. */
static int utf8_length(const unsigned char *text)
{
    int length = text[0] < 0x80   ? 1
                 : text[0] < 0xc2 ? 0
                 : text[0] < 0xe0 ? 2
                 : text[0] < 0xf0 ? 3
                 : text[0] < 0xf5 ? 4
                                  : 0;

    for (int i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    /* The second byte rules out overlong forms, surrogates and what lies above U+10FFFF. */
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f)
        || (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

static void print_json_string(const char *text, FILE *out)
{
    const unsigned char *byte = (const unsigned char *)text;

    fputc('"', out);
    while (*byte != '\0') {
        int length = utf8_length(byte);

        if (*byte == '"' || *byte == '\\')
            fprintf(out, "\\%c", *byte);
        else if (*byte < 0x20 || *byte == 0x7f)
            fprintf(out, "\\u%04x", *byte);
        else if (length == 0)
            fputs("\\ufffd", out);
        else
            fwrite(byte, 1, (size_t)length, out);
        byte += length == 0 ? 1 : length;
    }
    fputc('"', out);
}

static void print_json_address(const shaker_address *address, FILE *out)
{
    char host[128], port[16], text[160];
    socklen_t length = address->sa.sa_family == AF_INET6 ? sizeof address->in6 : sizeof address->in;

    if (address->sa.sa_family == AF_UNSPEC
        || getnameinfo(&address->sa, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV)
               != 0) {
        fputs("null", out);
        return;
    }
    snprintf(text, sizeof text, address->sa.sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    print_json_string(text, out);
}

static void print_json(const struct target *target, const shaker_result *result, FILE *out)
{
    char error[128];

    fputs("{\"target\":", out);
    print_json_string(target->text, out);
    fprintf(out, ",\"verdict\":\"%s\",\"status\":\"%s\",\"code\":%d,\"os_error\":%d,\"error\":",
            result->status == SHAKER_OK  ? "up"
            : result->status > SHAKER_OK ? "down"
                                         : "none",
            status_word(result->status).text, (int)result->status, (int)result->os_error);
    shaker_result_error_str(result, error, sizeof error);
    print_json_string(error, out);
    fputs(",\"address\":", out);
    print_json_address(&result->address, out);
    fprintf(out, ",\"rtt_us\":%lu,\"syn_retransmits\":%lu,\"elapsed_us\":%llu,\"half_open\":%s,\"zero_window\":%s}\n",
            (unsigned long)result->rtt_us, (unsigned long)result->syn_retransmits,
            (unsigned long long)result->elapsed_us, result->flags & SHAKER_HALF_OPEN ? "true" : "false",
            result->flags & SHAKER_ZERO_WINDOW ? "true" : "false");
}

static void report_malformed(struct report *report, struct target *target)
{
    report->malformed++;
    if (target->malformed)
        return;
    target->malformed = true;
    clear_progress(report);
    fputs("tcp-checker: ", stderr);
    if (target->origin == NULL)
        fputs("-a", stderr);
    else
        fprintf(stderr, "%s:%zu:", target->origin, target->line);
    fputc(' ', stderr);
    print_plain(target->text, stderr);
    fprintf(stderr, ": %s\n", shaker_status_str(SHAKER_ERR_ADDRESS));
}

/* A target may be as long as a line of a file, and must leave room for the verdict. */
static void describe(const struct target *target, const shaker_result *result, char *text, size_t capacity)
{
    char beginning[201];

    snprintf(beginning, sizeof beginning, "%s", target->text);
    shaker_result_describe(result, beginning, text, capacity);
}

void report_result(struct report *report, struct target *target, const shaker_result *result)
{
    size_t kind = status_kind(result->status);

    if (result->status == SHAKER_ERR_ADDRESS)
        report_malformed(report, target);
    if (result->status != SHAKER_ERR_CANCELLED)
        report->finished++;
    if (result->status > SHAKER_OK)
        report->down++;
    if (result->status == SHAKER_OK) {
        report->up++;
        report->proven_half_open += (result->flags & SHAKER_HALF_OPEN) != 0;
        report->retransmitted += result->syn_retransmits > 0;
        rtt_add(&report->rtt, result->rtt_us);
    }
    if (report->by_kind[kind]++ == 0)
        describe(target, result, report->example[kind], sizeof report->example[kind]);
    if (report->options->json) {
        clear_progress(report);
        print_json(target, result, stdout);
    } else if (report->options->verbose > (result->status == SHAKER_OK)) {
        char text[DESCRIPTION];

        clear_progress(report);
        describe(target, result, text, sizeof text);
        print_plain(text, report->prose);
        fputc('\n', report->prose);
    }
}

/* ---- the summary ---- */

static void print_kinds(const struct report *report, FILE *out)
{
    fputs("\nVerdicts:\n", out);
    for (size_t kind = 0; kind < STATUS_KINDS; kind++) {
        if (report->by_kind[kind] == 0)
            continue;
        fprintf(out, "  %-11s %10llu", status_word(status_of_kind(kind)).text,
                (unsigned long long)report->by_kind[kind]);
        if (status_of_kind(kind) != SHAKER_OK) {
            fputs(report->by_kind[kind] > 1 ? "  such as " : "  ", out);
            print_plain(report->example[kind], out);
        }
        fputc('\n', out);
    }
}

int report_end(struct report *report, const shaker_stats *stats)
{
    FILE *out = report->prose;
    uint64_t timed_out = count_of(report, SHAKER_TIMEOUT);

    clear_progress(report);
    /* These three lines are those of Go's tcp-shaker tool, for scripts that read them. */
    fprintf(out, "Finished %llu/%llu checks in %.3fs\n", (unsigned long long)report->finished,
            (unsigned long long)report->options->checks, (double)(now_us() - report->started_us) / 1e6);
    fprintf(out, "  Succeed: %llu\n", (unsigned long long)report->up);
    fprintf(out, "  Errors: connect %llu, timeout %llu, other %llu\n", (unsigned long long)(report->down - timed_out),
            (unsigned long long)timed_out, (unsigned long long)(report->finished - report->up - report->down));

    print_kinds(report, out);
    rtt_print(&report->rtt, out);
    if (report->retransmitted > 0)
        fprintf(out, "  %llu of these were answered only after the SYN had been sent again\n",
                (unsigned long long)report->retransmitted);
    fprintf(out, "\nHandshakes the kernel completed against our will: %llu (%llu of %llu answers proven half-open)\n",
            (unsigned long long)stats->completed_handshakes, (unsigned long long)report->proven_half_open,
            (unsigned long long)report->up);
    if (report->options->metrics)
        metrics_print(stats, &report->rtt, stdout);

    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("tcp-checker: the output could not be written\n", stderr);
        return EXIT_NO_VERDICT;
    }
    if (report->malformed > 0)
        return EXIT_USAGE;
    if (report->down > 0)
        return EXIT_SOME_DOWN;
    return report->up == report->options->checks ? 0 : EXIT_NO_VERDICT;
}
