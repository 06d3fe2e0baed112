/* The list of targets: from the command line and from files. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "history.h"
#include "targets.h"
#include "tcpshaker.h"
#include "text.h"

void targets_add(struct targets *targets, const char *text, const char *origin, size_t line)
{
    size_t count = targets->count;

    /* The list doubles whenever its length is a power of two. */
    if ((count & (count - 1)) == 0)
        targets->items = must(realloc(targets->items, (count == 0 ? 1 : 2 * count) * sizeof *targets->items));
    targets->items[targets->count++] = (struct target){.text = must(strdup(text)), .origin = origin, .line = line};
}

/* ---- ports ---- */

static bool is_bare_ipv6(const char *text)
{
    struct in6_addr address;
    char host[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "%");

    if (length >= sizeof host)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    return inet_pton(AF_INET6, host, &address) == 1;
}

const char *target_port(const char *text)
{
    const char *colon = strrchr(text, ':');

    if (colon == NULL || is_bare_ipv6(text) || strchr(colon, ']') != NULL)
        return NULL;
    return colon + 1;
}

bool target_names_port(const char *text)
{
    return target_port(text) != NULL;
}

char *target_text(const char *host, const char *port)
{
    size_t size = strlen(host) + strlen(port) + sizeof "[]:";
    char *text = must(malloc(size));

    snprintf(text, size, is_bare_ipv6(host) ? "[%s]:%s" : "%s:%s", host, port);
    return text;
}

const char *target_name(const struct target *target)
{
    return target->name != NULL ? target->name : target->text;
}

void target_complain(const struct target *target)
{
    fputs("tcp-checker: ", stderr);
    if (target->origin != NULL)
        fprintf(stderr, "%s:%zu: ", target->origin, target->line);
    text_print_plain(target_name(target), stderr);
    fprintf(stderr, ": %s%s\n", shaker_status_str(SHAKER_ERR_ADDRESS),
            target_names_port(target->text) ? "" : "; -p gives a port to targets without one");
}

static bool is_number(const char *text)
{
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

void targets_add_operands(struct targets *targets, char **operands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && !target_names_port(operands[i]) && is_number(operands[i + 1])) {
            char *text = target_text(operands[i], operands[i + 1]);

            targets_add(targets, text, NULL, 0);
            free(text);
            i++;
        } else {
            targets_add(targets, operands[i], NULL, 0);
        }
    }
}

void targets_complete(struct targets *targets, const char *port, bool names_stay)
{
    for (size_t i = 0; i < targets->count; i++) {
        struct target *target = &targets->items[i];
        char *given = target->text;

        if (target_names_port(given))
            continue;
        target->text = target_text(given, port);
        if (names_stay)
            target->name = given;
        else
            free(given);
    }
}

/* ---- files ---- */

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

void targets_read(struct targets *targets, const char *path)
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
            targets_add(targets, text, origin, line_number);
    }
    if (ferror(file))
        fail("-f %s: %s", path, strerror(errno));
    free(line);
    if (!standard_input)
        fclose(file);
}

void targets_free(struct targets *targets)
{
    for (size_t i = 0; i < targets->count; i++) {
        free(targets->items[i].text);
        free(targets->items[i].name);
        history_free(targets->items[i].history);
    }
    free(targets->items);
}
