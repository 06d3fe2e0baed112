/* The command line, read by argp(3): each option with its help; settings.c puts together what they ask for. */
#include <argp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "options.h"
#include "ranges.h"
#include "settings.h"
#include "values.h"

/* Options that have no letter. */
enum {
    NO_LETTER = 256,
    ENGINE = NO_LETTER,
    SYN_INTERVAL,
    NETNS,
    FULL,
    LINGER,
    ALL_ADDRESSES,
    YES,
    ALIVE,
    UNREACHABLE,
    CSV,
    METRICS_FILE,
    FALL,
    RISE,
    PORT,
    USAGE
};

static const struct argp_option OPTIONS[] = {
    {NULL, 0, NULL, 0, "Targets:", 1},
    {"target", 'a', "HOST:PORT", 0, "check this target; may be given often", 0},
    {"file", 'f', "FILE", 0, "check the targets of this file, one a line; # starts a comment; - is standard input", 0},
    {"generate", 'g', "CIDR:PORT", 0, "check each address of a range: 192.0.2.0/24:80, [2001:db8::/120]:80", 0},
    {"yes", YES, NULL, 0, "even if a range has more than 1,024 addresses", 0},
    {"port", PORT, "PORT", 0, "the port of targets that name none", 0},
    {NULL, 'p', NULL, OPTION_ALIAS, NULL, 0},
    {"all-addresses", ALL_ADDRESSES, NULL, 0, "check each address of a name, not the first that answers", 0},
    {"ipv4", '4', NULL, 0, "IPv4 only", 0},
    {"ipv6", '6', NULL, 0, "IPv6 only", 0},

    {NULL, 0, NULL, 0, "How often and how fast:", 2},
    {"checks", 'n', "COUNT", 0, "checks of each target (1)", 0},
    {"vcount", 'C', "COUNT", 0,
     "checks of each target, an interval apart; with -q all its times in one line on standard error, "
     "as fping's",
     0},
    {"loop", 'l', NULL, 0, "check again and again, until Ctrl-C; SIGQUIT (Ctrl-\\) shows statistics meanwhile", 0},
    {"interval", 'i', "TIME", 0, "from one check of a target to the next (1s with -C and -l; 2s with watch)", 0},
    {"concurrency", 'c', "COUNT", 0, "checks at once (as many as there are targets, at most 256)", 0},
    {"rate", 'r', "RATE", 0, "checks a second at most (no limit)", 0},
    {"timeout", 't', "TIME", 0, "timeout of a check, resolving included (1s); 100 is 100ms", 0},
    {"threads", 'T', "LOOPS", 0, "threads that run checks; 0: one for each CPU (1)", 0},

    {NULL, 0, NULL, 0, "How checks are made:", 3},
    {"source", 'S', "IP", 0, "source address; may be given once for each family", 0},
    {NULL, 's', NULL, OPTION_ALIAS, NULL, 0},
    {"interface", 'I', "NAME", 0, "leave through this interface", 0},
    {"mark", 'M', "MARK", 0, "the firewall's mark of checks", 0},
    {"tos", 'O', "TOS", 0, "type of service, 0 to 255", 0},
    {"netns", NETNS, "NAME", 0, "check from this network namespace: a name of ip-netns(8), or a path", 0},
    {"full", FULL, NULL, 0, "let the last ACK out: servers see connections", 0},
    {"linger", LINGER, NULL, 0, "close with FIN, not RST; the handshake completes", 0},
    {"engine", ENGINE, "NAME", 0,
     "what sends the segments: socket (the kernel's TCP), raw (the library itself, with "
     "CAP_NET_RAW), auto (raw where it may) (socket)",
     0},
    {"syn-interval", SYN_INTERVAL, "TIME", 0,
     "how long a check waits for an answer before it sends another SYN; 0: as long "
     "as the kernel does (300ms)",
     0},

    {NULL, 0, NULL, 0, "What is shown:", 4},
    {"verbose", 'v', NULL, 0, "with -a and -f: print each check that is not up; -vv: print every check", 0},
    {"quiet", 'q', NULL, 0, "no line a check", 0},
    {"alive", ALIVE, NULL, 0, "print targets that are up, and nothing else", 0},
    {"unreachable", UNREACHABLE, NULL, 0, "print targets that are down, and nothing else", 0},
    {"reachable", 'x', "COUNT", 0, "succeed if at least so many targets are up", 0},
    {"timestamp", 'D', NULL, 0, "the time before each line", 0},
    {"interim", 'Q', "SECS", 0, "no line a check, but statistics that often", 0},
    {"outage", 'o', NULL, 0, "statistics tell how long a target was down", 0},
    {"json", 'j', NULL, 0, "print each check as a line of JSON; a summary goes to standard error", 0},
    {"csv", CSV, NULL, 0, "print each check as a line of comma-separated values", 0},
    {"metrics", 'm', NULL, 0, "when done, print this run as Prometheus text; all else goes to standard error", 0},

    {NULL, 0, NULL, 0, "tcp-checker watch TARGET... (until Ctrl-C; every change of a target's state):", 5},
    {"metrics-file", METRICS_FILE, "FILE", 0,
     "keep this file up to date with Prometheus text, for node_exporter's textfile "
     "collector",
     0},
    {"fall", FALL, "COUNT", 0, "checks in a row that take a target down (3)", 0},
    {"rise", RISE, "COUNT", 0, "checks in a row that bring it up (2)", 0},

    {NULL, 0, NULL, 0, NULL, -1},
    {"help", 'h', NULL, 0, "print this text", 0},
    {"usage", USAGE, NULL, 0, "print the options in short", 0},
    {"version", 'V', NULL, 0, "print the version", 0},
    {"backoff", 'B', "FACTOR", OPTION_HIDDEN, NULL, 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static void set_format(struct options *options, enum format format)
{
    if (options->format != FORMAT_LINES && options->format != format)
        fail("-j and --csv exclude each other");
    options->format = format;
}

/* Options that say what is to be checked, and how often. Returns whether this is one. */
static bool parse_target(struct settings *settings, int key, char *value)
{
    struct options *options = settings->options;

    switch (key) {
    case 'a':
        targets_add(&options->targets, value, NULL, 0);
        settings->listed = true;
        return true;
    case 'f':
        targets_read(&options->targets, value);
        settings->listed = true;
        return true;
    case 'g':
        settings_add_range(settings, value);
        return true;
    case YES:
        settings->yes = true;
        return true;
    case PORT:
        settings->port = value;
        return true;
    case 'p':
        settings->short_port = value;
        return true;
    case ALL_ADDRESSES:
        settings->all_addresses = true;
        return true;
    case '4':
        settings_family(settings, AF_INET);
        return true;
    case '6':
        settings_family(settings, AF_INET6);
        return true;
    case 'n':
        settings_each(settings, "-n", value_number("-n", value, 1, UINT32_MAX));
        return true;
    case 'C':
        settings_each(settings, "-C", value_number("-C", value, 1, MOST_TIMES));
        options->times = true;
        return true;
    case 'l':
        settings_each(settings, "-l", 0);
        return true;
    case 'i':
        settings->interval = value;
        return true;
    case 'c':
        options->at_once = (uint32_t)value_number("-c", value, 1, MOST_AT_ONCE);
        settings->at_once_given = true;
        return true;
    case 'r':
        settings->rate = value;
        return true;
    case 't':
        options->timeout_ms = value_time("-t", value, "ms", 1);
        return true;
    case 'B':
        settings->called_as_fping = true;
        return true;
    default:
        return false;
    }
}

/* Options of the checks themselves. */
static bool parse_check(struct settings *settings, int key, char *value)
{
    struct options *options = settings->options;
    shaker_config *config = options->config;

    switch (key) {
    case 'S':
    case 's':
        settings_judged(shaker_config_set_source(config, value), "-S", value,
                        "expected an IP address, one for each family");
        return true;
    case 'I':
        settings_judged(shaker_config_set_interface(config, value), "-I", value, "no interface can have this name");
        return true;
    case 'M':
        settings_judged(shaker_config_set_mark(config, (uint32_t)value_bits("-M", value, UINT32_MAX)), "-M", value,
                        "not on this system");
        return true;
    case 'O':
        settings_judged(shaker_config_set_tos(config, (uint8_t)value_bits("-O", value, UINT8_MAX)), "-O", value,
                        "not on this system");
        return true;
    case 'T':
        settings_judged(shaker_config_set_threads(config, (uint32_t)value_number("-T", value, 0, UINT32_MAX)), "-T",
                        value, "too many threads");
        return true;
    case NETNS:
        options->namespace = value;
        return true;
    case FULL:
        options->flags |= SHAKER_FULL_HANDSHAKE;
        return true;
    case LINGER:
        options->flags |= SHAKER_LINGER;
        return true;
    case ENGINE:
        options->engine = value_engine(value);
        return true;
    case SYN_INTERVAL:
        settings_judged(shaker_config_set_syn_interval(config, value_time("--syn-interval", value, "ms", 0)),
                        "--syn-interval", value, "the library refuses it");
        return true;
    default:
        return false;
    }
}

/* Options of what is printed. */
static bool parse_output(struct settings *settings, int key, char *value)
{
    struct options *options = settings->options;

    switch (key) {
    case 'v':
        options->verbose++;
        return true;
    case 'q':
        options->quiet = true;
        return true;
    case ALIVE:
        options->alive = true;
        return true;
    case UNREACHABLE:
        options->unreachable = true;
        return true;
    case 'x':
        options->reachable = (uint32_t)value_number("-x", value, 1, UINT32_MAX);
        return true;
    case 'D':
        options->timestamps = true;
        return true;
    case 'Q':
        options->interim_ms = value_time("-Q", value, "s", 1);
        return true;
    case 'o':
        options->outage = true;
        return true;
    case 'j':
        set_format(options, FORMAT_JSON);
        return true;
    case CSV:
        set_format(options, FORMAT_CSV);
        return true;
    case 'm':
        options->metrics = true;
        return true;
    case METRICS_FILE:
        options->metrics_file = value;
        return true;
    case FALL:
        options->fall = (uint32_t)value_number("--fall", value, 1, UINT32_MAX);
        return true;
    case RISE:
        options->rise = (uint32_t)value_number("--rise", value, 1, UINT32_MAX);
        return true;
    default:
        return false;
    }
}

static void parse_operands(struct settings *settings, char **operands, int count)
{
    bool watch = strcmp(operands[0], "watch") == 0;

    settings->options->watch |= watch;
    targets_add_operands(&settings->options->targets, operands + watch, (size_t)(count - watch));
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct settings *settings = state->input;

    /* Go's tool takes -t=100 too, and so do its users' scripts. */
    if (key > 0 && key < NO_LETTER && value != NULL && *value == '=')
        value++;
    if (parse_target(settings, key, value) || parse_check(settings, key, value) || parse_output(settings, key, value))
        return 0;
    switch (key) {
    case 'h':
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
        return 0;
    case USAGE:
        argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
        return 0;
    case 'V':
        printf("tcp-checker %d.%d.%d, libtcpshaker %s\n", SHAKER_VERSION_MAJOR, SHAKER_VERSION_MINOR,
               SHAKER_VERSION_PATCH, shaker_version());
        exit(0);
    case ARGP_KEY_ARGS:
        parse_operands(settings, state->argv + state->next, state->argc - state->next);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void options_read(struct options *options, int argc, char **argv)
{
    static char name[] = "tcp-checker";
    const struct argp argp = {
        .options = OPTIONS,
        .parser = parse,
        .args_doc = "HOST:PORT...\nHOST PORT\n-p PORT HOST...\nwatch HOST:PORT...",
        .doc =
            "Asks TCP ports whether they would accept a connection, by half a handshake: the servers' applications "
            "never see it."
            "\v"
            "A value may stand apart or not, or behind a =: -t 100, -t100, -t=100. TIME: 100ms, 1.5s, 2m; a bare "
            "number is of milliseconds.\n\n"
            "Exit status: 0 all up; 1 some down; 2 bad usage or a malformed target; 3 none down, but some without a "
            "verdict.\n",
    };
    struct settings settings = {.options = options};

    *options = (struct options){.config = must(shaker_config_new()), .timeout_ms = 1000};
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = name; /* so that every complaint has one form */
    argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, &settings);
    settings_finish(&settings);
}

void options_free(struct options *options)
{
    targets_free(&options->targets);
    shaker_config_free(options->config);
}

bool options_own_stdout(const struct options *options)
{
    return options->format != FORMAT_LINES || options->metrics;
}
