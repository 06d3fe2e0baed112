/* A line a check, for programs. */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "complain.h"
#include "records.h"
#include "status.h"
#include "text.h"

bool records_wanted(const struct options *options)
{
    return options->format != FORMAT_LINES;
}

const char *records_verdict(shaker_status status)
{
    return status == SHAKER_OK ? "up" : status > SHAKER_OK ? "down" : "none";
}

void records_error(const shaker_result *result, char *text, size_t capacity)
{
    *text = '\0';
    if (result->status != SHAKER_OK && shaker_result_error_str(result, text, capacity) == 0)
        snprintf(text, capacity, "%s", shaker_status_str(result->status));
}

/* An empty text if no address was tried. A zone is named after its interface, whose name is any bytes. */
static void address_text(const shaker_address *address, char *text, size_t capacity)
{
    char host[NI_MAXHOST], port[NI_MAXSERV], *clean;
    socklen_t length = address->sa.sa_family == AF_INET6 ? sizeof address->in6 : sizeof address->in;

    *text = '\0';
    if (address->sa.sa_family != AF_UNSPEC
        && getnameinfo(&address->sa, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV)
               == 0) {
        clean = text_utf8(host);
        snprintf(text, capacity, address->sa.sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", clean, port);
        free(clean);
    }
}

void records_print_json(json_t *object, FILE *out)
{
    must(object);
    json_dumpf(object, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(object);
}

/* The parts of a record, in the order of the columns. */
struct record {
    char time[40], error[128], address[3 * (NI_MAXHOST + NI_MAXSERV)];
    const char *verdict;
    struct status_word status;
    bool half_open, zero_window;
};

static struct record record_of(const shaker_result *result)
{
    struct record record = {.verdict = records_verdict(result->status),
                            .status = status_word(result->status),
                            .half_open = (result->flags & SHAKER_HALF_OPEN) != 0,
                            .zero_window = (result->flags & SHAKER_ZERO_WINDOW) != 0};

    clock_rfc3339(record.time, sizeof record.time);
    records_error(result, record.error, sizeof record.error);
    address_text(&result->address, record.address, sizeof record.address);
    return record;
}

/* What "schema" says: it changes when a field is taken away or gets another meaning; new fields leave it as it is. */
static const char SCHEMA[] = "tcp-checker.check.v1";

static void print_json(const struct target *target, const shaker_result *result, FILE *out)
{
    struct record record = record_of(result);
    char *name = text_utf8(target_name(target));

    records_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:s?, s:I, s:I, s:I, s:b, s:b}", "schema",
                                 SCHEMA, "time", record.time, "target", name, "verdict", record.verdict, "status",
                                 record.status.text, "code", (int)result->status, "os_error", (int)result->os_error,
                                 "error", record.error, "address", *record.address != '\0' ? record.address : NULL,
                                 "rtt_us", (json_int_t)result->rtt_us, "syn_retransmits",
                                 (json_int_t)result->syn_retransmits, "elapsed_us", (json_int_t)result->elapsed_us,
                                 "half_open", (int)record.half_open, "zero_window", (int)record.zero_window),
                       out);
    free(name);
}

/* Quoted where a comma, a quote or the end of a line is in it. */
static void print_field(const char *text, FILE *out)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
    } else {
        fputc('"', out);
        for (; *text != '\0'; text++) {
            if (*text == '"')
                fputc('"', out);
            fputc(*text, out);
        }
        fputc('"', out);
    }
    fputc(',', out);
}

static void print_csv(const struct target *target, const shaker_result *result, FILE *out)
{
    struct record record = record_of(result);
    char *name = text_utf8(target_name(target));

    fprintf(out, "%s,", record.time);
    print_field(name, out);
    fprintf(out, "%s,%s,%d,%d,", record.verdict, record.status.text, (int)result->status, (int)result->os_error);
    print_field(record.error, out);
    print_field(record.address, out);
    fprintf(out, "%lu,%lu,%llu,%s,%s\n", (unsigned long)result->rtt_us, (unsigned long)result->syn_retransmits,
            (unsigned long long)result->elapsed_us, record.half_open ? "true" : "false",
            record.zero_window ? "true" : "false");
    free(name);
}

void records_start(const struct options *options)
{
    if (options->format == FORMAT_CSV)
        puts(
            "time,target,verdict,status,code,os_error,error,address,rtt_us,syn_retransmits,elapsed_us,half_open,"
            "zero_window");
}

void records_print(const struct options *options, const struct target *target, const shaker_result *result, FILE *out)
{
    if (options->format == FORMAT_JSON)
        print_json(target, result, out);
    else
        print_csv(target, result, out);
}
