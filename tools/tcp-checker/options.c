/* The command line and the target list of tcp-checker. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

/* A list of many targets deserves more than one at a time, and a machine less than all of them. */
enum { MOST_AT_ONCE_BY_DEFAULT = 256, MOST_AT_ONCE = 1000000 };

/* What getopt_long(3) returns for options that have no letter. */
enum { NO_LETTER = 256, ENGINE = NO_LETTER, SYN_INTERVAL };

static const struct option LONG_OPTIONS[] = {
    {"engine", required_argument, NULL, ENGINE},
    {"syn-interval", required_argument, NULL, SYN_INTERVAL},
    {NULL, 0, NULL, 0},
};

static const char USAGE[] =
    "usage: tcp-checker -a host:port [-a host:port]... [-f FILE]... [options]\n"
    "\n"
    "Asks TCP ports whether they would accept a connection, by half a handshake:\n"
    "the servers' applications never see it.\n"
    "\n"
    "  -a host:port  check this target\n"
    "  -f FILE       check the targets of this file, one a line; # starts a comment;\n"
    "                - is standard input\n"
    "  -n COUNT      checks of each target (1)\n"
    "  -c COUNT      checks at once (as many as there are targets, at most 256)\n"
    "  -t MS         timeout of a check in milliseconds, resolving included (1000)\n"
    "  -r RATE       checks a second at most (no limit)\n"
    "  -4, -6        IPv4 only, IPv6 only\n"
    "  -s IP         source address; may be given once for each family\n"
    "  -T LOOPS      threads that run checks; 0: one for each CPU (1)\n"
    "  -v            print each check that is not up; -vv: print every check\n"
    "  -j            print each check as a line of JSON; the summary goes to\n"
    "                standard error\n"
    "  -m            when done, print what was counted in this run as Prometheus\n"
    "                text, which node_exporter's textfile collector reads; all else\n"
    "                goes to standard error\n"
    "  --engine NAME what sends the segments: socket (the kernel's TCP), raw (the\n"
    "                library itself, with CAP_NET_RAW), auto (raw where it may) (socket)\n"
    "  --syn-interval MS\n"
    "                how long a check waits for an answer before it sends another\n"
    "                SYN, in milliseconds; 0: as long as the kernel does (300)\n"
    "  -h            print this text\n"
    "\n"
    "A value may stand apart or not, or behind a =: -t 100, -t100, -t=100.\n"
    "\n"
    "Exit status: 0 all up; 1 some down; 2 bad usage or a malformed target;\n"
    "3 none down, but some without a verdict.\n";

static void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("tcp-checker: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n(tcp-checker -h lists the options)\n", stderr);
    va_end(arguments);
    exit(EXIT_USAGE);
}

static void *must(void *memory)
{
    if (memory == NULL)
        fail("out of memory");
    return memory;
}

static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    unsigned long long value;

    errno = 0;
    value = strtoull(text, NULL, 10);
    /* strtoull takes a sign and leading blanks, and wraps a negative number round. */
    if (*text == '\0' || text[strspn(text, "0123456789")] != '\0' || errno != 0 || value < min || value > max)
        fail("%s %s: expected a number from %llu to %llu", option, text, (unsigned long long)min,
             (unsigned long long)max);
    return value;
}

static int32_t engine(const char *text)
{
    if (strcmp(text, "socket") == 0)
        return SHAKER_ENGINE_SOCKET;
    if (strcmp(text, "raw") == 0)
        return SHAKER_ENGINE_RAW;
    if (strcmp(text, "auto") != 0)
        fail("--engine %s: expected socket, raw or auto", text);
    return SHAKER_ENGINE_AUTO;
}

/* Settings that the library judges. */
static void judged(shaker_status status, const char *option, const char *text, const char *expected)
{
    if (status != SHAKER_OK)
        fail("%s %s: %s", option, text, expected);
}

static void add_target(struct options *options, const char *text, const char *origin, size_t line)
{
    size_t count = options->target_count;

    /* The list doubles whenever its length is a power of two. */
    if ((count & (count - 1)) == 0)
        options->targets = must(realloc(options->targets, (count == 0 ? 1 : 2 * count) * sizeof *options->targets));
    options->targets[options->target_count++] =
        (struct target){.text = must(strdup(text)), .origin = origin, .line = line};
}

/* Cuts a line down to its target: no comment, no blanks at either end. A # inside a word is part of it. */
static char *trim(char *line)
{
    static const char BLANKS[] = " \t\r\n\f\v";
    char *comment = line, *end;

    while ((comment = strchr(comment, '#')) != NULL && comment != line && strchr(BLANKS, comment[-1]) == NULL)
        comment++;
    if (comment != NULL)
        *comment = '\0';
    line += strspn(line, BLANKS);
    for (end = line + strlen(line); end > line && strchr(BLANKS, end[-1]) != NULL; end--)
        ;
    *end = '\0';
    return line;
}

static void read_targets(struct options *options, const char *path)
{
    bool standard_input = strcmp(path, "-") == 0;
    const char *origin = standard_input ? "standard input" : path;
    FILE *file = standard_input ? stdin : fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0, line_number = 0;
    ssize_t length;

    if (file == NULL)
        fail("-f %s: %s", path, strerror(errno));
    while ((length = getline(&line, &capacity, file)) >= 0) {
        const char *text;

        line_number++;
        /* Read as a string, the line would name another target than the one that was written. */
        if (strlen(line) != (size_t)length)
            fail("%s:%zu: a NUL byte; is this a text file?", origin, line_number);
        text = trim(line);
        if (*text != '\0')
            add_target(options, text, origin, line_number);
    }
    if (ferror(file))
        fail("-f %s: %s", path, strerror(errno));
    free(line);
    if (!standard_input)
        fclose(file);
}

void options_read(struct options *options, int argc, char **argv)
{
    uint64_t each = 1;
    int family = 0, flag;

    *options = (struct options){.config = must(shaker_config_new()), .timeout_ms = 1000};
    opterr = 0; /* so that every complaint has one form */
    while ((flag = getopt_long(argc, argv, "+:a:f:n:c:t:r:46s:T:vjmh", LONG_OPTIONS, NULL)) != -1) {
        /* Go's tool takes -t=100 too, and so do its users' scripts. */
        char *value = flag < NO_LETTER && optarg != NULL && *optarg == '=' ? optarg + 1 : optarg;

        switch (flag) {
        case 'a':
            add_target(options, value, NULL, 0);
            break;
        case 'f':
            read_targets(options, value);
            break;
        case 'n':
            each = number("-n", value, 1, UINT32_MAX);
            break;
        case 'c':
            options->at_once = (uint32_t)number("-c", value, 1, MOST_AT_ONCE);
            break;
        case 't':
            options->timeout_ms = (uint32_t)number("-t", value, 1, UINT32_MAX);
            break;
        case 'r':
            options->rate = (uint32_t)number("-r", value, 0, UINT32_MAX);
            break;
        case '4':
        case '6':
            if (family != 0 && family != flag)
                fail("-4 and -6 exclude each other");
            family = flag;
            break;
        case 's':
            judged(shaker_config_set_source(options->config, value), "-s", value,
                   "expected an IP address, one for each family");
            break;
        case 'T':
            judged(shaker_config_set_threads(options->config, (uint32_t)number("-T", value, 0, UINT32_MAX)), "-T",
                   value, "too many threads");
            break;
        case 'v':
            options->verbose++;
            break;
        case 'j':
            options->json = true;
            break;
        case 'm':
            options->metrics = true;
            break;
        case ENGINE:
            options->engine = engine(value);
            break;
        case SYN_INTERVAL:
            judged(shaker_config_set_syn_interval(options->config,
                                                  (uint32_t)number("--syn-interval", value, 0, UINT32_MAX)),
                   "--syn-interval", value, "the library refuses it");
            break;
        case 'h':
            fputs(USAGE, stdout);
            exit(0);
        case ':':
            if (optopt >= NO_LETTER)
                fail("%s wants a value", argv[optind - 1]);
            fail("-%c wants a value", optopt);
            break;
        default:
            if (optopt == 0)
                fail("%s: no such option", argv[optind - 1]);
            fail("-%c: no such option", optopt);
        }
    }
    if (optind < argc)
        fail("%s: unexpected; targets are given with -a or -f", argv[optind]);
    if (options->json && options->metrics)
        fail("-j and -m exclude each other");
    if (options->target_count == 0)
        fail("no target: -a host:port or -f FILE with at least one is needed");

    options->checks = options->target_count * each;
    if (options->at_once == 0)
        options->at_once =
            options->target_count < MOST_AT_ONCE_BY_DEFAULT ? (uint32_t)options->target_count : MOST_AT_ONCE_BY_DEFAULT;
    judged(shaker_config_set_engine(options->config, options->engine), "--engine", "raw", "not on this system");
    judged(shaker_config_set_timeout(options->config, options->timeout_ms), "-t", "", "the library refuses it");
    judged(shaker_config_set_max_in_flight(options->config, options->at_once), "-c", "", "the library refuses it");
    judged(shaker_config_set_max_rate(options->config, options->rate), "-r", "", "the library refuses it");
    if (family != 0)
        judged(shaker_config_set_family(options->config, family == '4' ? AF_INET : AF_INET6),
               family == '4' ? "-4" : "-6", "", "the library refuses it");
}

void options_free(struct options *options)
{
    for (size_t i = 0; i < options->target_count; i++)
        free(options->targets[i].text);
    free(options->targets);
    shaker_config_free(options->config);
}
