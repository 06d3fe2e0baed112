/* What the options ask for together: which exclude each other, what is so by default, and the library's settings. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "addresses.h"
#include "complain.h"
#include "ranges.h"
#include "settings.h"
#include "values.h"

/* A list of many targets deserves more than one at a time, and a machine less than all of them. A check holds up to
 * four sockets, one for each SYN; this program and the library need a few descriptors besides. */
enum { MOST_AT_ONCE_BY_DEFAULT = 256, MOST_WATCHED_AT_ONCE = 10000, SYNS = 4, OTHER_DESCRIPTORS = 100 };
enum { COUNT_INTERVAL_MS = 1000, WATCH_INTERVAL_MS = 2000 };

void settings_add_range(struct settings *settings, const char *range)
{
    settings->ranges = must(realloc(settings->ranges, (settings->range_count + 1) * sizeof *settings->ranges));
    settings->ranges[settings->range_count++] = range;
}

void settings_family(struct settings *settings, int family)
{
    if (settings->family != 0 && settings->family != family)
        fail("-4 and -6 exclude each other");
    settings->family = family;
}

void settings_each(struct settings *settings, const char *option, uint64_t each)
{
    if (settings->each != NULL && strcmp(settings->each, option) != 0)
        fail("%s and %s exclude each other", settings->each, option);
    settings->each = option;
    settings->options->each = each;
}

void settings_judged(shaker_status status, const char *option, const char *text, const char *expected)
{
    if (status != SHAKER_OK)
        fail("%s %s: %s", option, text, expected);
}

static void exclude(bool one, bool other, const char *names)
{
    if (one && other)
        fail("%s exclude each other", names);
}

/* fping has -p for the time between checks, so that is what some will mean. */
static void judge_port(const char *port)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    size_t digits = strspn(port, "0123456789");
    struct addrinfo *found;
    bool is_port;

    if (port[digits] == '\0') {
        unsigned long number = strtoul(port, NULL, 10);

        is_port = number > 0 && number <= UINT16_MAX;
    } else if ((is_port = getaddrinfo(NULL, port, &wanted, &found) == 0)) {
        freeaddrinfo(found);
    }
    if (!is_port)
        fail("-p %s: expected a port, from 1 to 65535, or the name of a service%s", port,
             digits > 0 && port[digits] != '\0' ? "; the time between two checks is -i" : "");
}

static void finish_targets(struct settings *settings)
{
    struct options *options = settings->options;

    for (size_t i = 0; i < settings->range_count; i++)
        ranges_add(&options->targets, settings->ranges[i], settings->yes);
    free(settings->ranges);
    if (options->targets.count == 0)
        fail("no target: host:port, -f FILE or -g CIDR:port is needed");
    if (settings->short_port != NULL && !settings->called_as_fping)
        settings->port = settings->short_port;
    if (settings->port != NULL)
        judge_port(settings->port);
    if (settings->port != NULL)
        targets_complete(&options->targets, settings->port, settings->called_as_fping);
    /* The names would be looked up here, not there. */
    exclude(settings->all_addresses, options->namespace != NULL, "--all-addresses and --netns");
    if (settings->all_addresses)
        addresses_expand(&options->targets, settings->family);
}

/* What a program that calls fping means by -i, -p and -r: the time between any two checks, that between two of one
 * target, and how often an unanswered packet is sent again, which is the library's to say. */
static void translate_from_fping(struct settings *settings)
{
    uint32_t gap_ms = settings->interval != NULL ? value_time("-i", settings->interval, "ms", 0) : 0;

    settings->options->rate = gap_ms == 0 ? 0 : 1000.0 / gap_ms;
    settings->options->interval_ms =
        settings->short_port != NULL ? value_time("-p", settings->short_port, "ms", 0) : COUNT_INTERVAL_MS;
    settings->options->spaced = true;
}

static void finish_pace(struct settings *settings)
{
    struct options *options = settings->options;
    size_t most = options->watch ? MOST_WATCHED_AT_ONCE : MOST_AT_ONCE_BY_DEFAULT;
    bool counted = settings->each != NULL && strcmp(settings->each, "-n") != 0;

    if (settings->each == NULL)
        options->each = 1;
    if (settings->called_as_fping) {
        translate_from_fping(settings);
    } else {
        options->rate = settings->rate != NULL ? (double)value_number("-r", settings->rate, 0, UINT32_MAX) : 0;
        options->spaced = settings->interval != NULL || counted;
        options->interval_ms = settings->interval != NULL ? value_time("-i", settings->interval, "ms", options->watch)
                               : options->watch           ? WATCH_INTERVAL_MS
                                                          : COUNT_INTERVAL_MS;
    }
    options->checks = options->each == 0 ? UINT64_MAX : options->targets.count * options->each;
    if (options->at_once == 0)
        options->at_once = (uint32_t)(options->targets.count < most ? options->targets.count : most);
}

static void finish_output(struct settings *settings)
{
    struct options *options = settings->options;

    exclude(options->format == FORMAT_JSON, options->metrics, "-j and -m");
    exclude(options->format == FORMAT_CSV, options->metrics, "--csv and -m");
    exclude(options->alive, options->unreachable, "--alive and --unreachable");
    exclude(options->alive || options->unreachable, options_own_stdout(options),
            "--alive or --unreachable and -j, --csv or -m");
    exclude(options->metrics, options->each == 0, "-m and -l");
    if (options->metrics_file != NULL)
        options->watch = true;
    if (options->watch && (settings->each != NULL || options->metrics || options->format == FORMAT_CSV))
        fail("watch goes on until Ctrl-C, in lines or with -j: no -n, -C, -l, -m or --csv");
    if (options->watch && (options->interim_ms > 0 || options->reachable > 0 || options->alive || options->unreachable))
        fail("watch tells changes and nothing else: no -Q, -x, --alive or --unreachable");
    if (!options->watch && (options->fall != 0 || options->rise != 0))
        fail("--fall and --rise are for tcp-checker watch");
    options->quiet |= options->interim_ms > 0 || options->reachable > 0 || options->alive || options->unreachable;
    options->counts = settings->listed && options->checks > 1 && !options->spaced && !options->alive
                      && !options->unreachable && options->reachable == 0;
}

/* The path of a name, as ip-netns(8) keeps them. */
static void set_namespace(const struct options *options)
{
    char path[4096];

    const char *format = strchr(options->namespace, '/') != NULL ? "%s" : "/run/netns/%s";
    int length = snprintf(path, sizeof path, format, options->namespace);

    if ((size_t)length >= sizeof path)
        fail("--netns %s: %s", options->namespace, strerror(ENAMETOOLONG));
    settings_judged(shaker_config_set_network_namespace(options->config, path), "--netns", options->namespace,
                    "not on this system");
}

/* Every check in flight of the kernel's TCP holds a socket. The soft limit is a default that a program may raise for
 * itself; the hard one is the administrator's word. Returns how many sockets there may be. */
static uint32_t make_room_for_sockets(uint32_t at_once)
{
    rlim_t wanted = (rlim_t)at_once * SYNS + OTHER_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return at_once;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    wanted = limit.rlim_cur > OTHER_DESCRIPTORS ? limit.rlim_cur - OTHER_DESCRIPTORS : 0;
    return wanted < (rlim_t)at_once * SYNS ? (uint32_t)wanted : at_once * SYNS;
}

static bool may_be_raw(int32_t engine)
{
    return engine == SHAKER_ENGINE_RAW
           || (engine == SHAKER_ENGINE_AUTO && (shaker_capabilities() & SHAKER_CAN_RAW) != 0);
}

/* The library's rate is of whole checks. The exact one is kept by pace.c. */
static uint32_t whole_rate(double rate)
{
    uint32_t whole = (uint32_t)rate;

    return whole < rate ? whole + 1 : whole;
}

void settings_finish(struct settings *settings)
{
    struct options *options = settings->options;
    shaker_config *config = options->config;
    uint32_t sockets;

    finish_targets(settings);
    finish_pace(settings);
    finish_output(settings);

    sockets = may_be_raw(options->engine) ? options->at_once * SYNS : make_room_for_sockets(options->at_once);
    if (sockets < options->at_once && !settings->at_once_given && sockets > 0)
        options->at_once = sockets;
    if (sockets < options->at_once)
        fail("-c %lu: the limit of descriptors (ulimit -Hn) leaves room for %lu", (unsigned long)options->at_once,
             (unsigned long)sockets);
    settings_judged(shaker_config_set_engine(config, options->engine), "--engine", "raw", "not on this system");
    settings_judged(shaker_config_set_timeout(config, options->timeout_ms), "-t", "", "the library refuses it");
    settings_judged(shaker_config_set_max_in_flight(config, sockets), "-c", "", "the library refuses it");
    settings_judged(shaker_config_set_max_rate(config, whole_rate(options->rate)), "-r", "", "the library refuses it");
    settings_judged(shaker_config_set_family(config, settings->family), "-4", "", "the library refuses it");
    if (options->namespace != NULL)
        set_namespace(options);
    /* One at a time is asked for by this thread: a hand-over to the library's and back would only slow it down. */
    options->caller_driven = options->at_once == 1 && options->namespace == NULL && !options->watch;
    if (options->caller_driven && shaker_config_set_caller_driven(config, true) != SHAKER_OK)
        options->caller_driven = false;
}
