/* Targets by the range: -g CIDR:port. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "ranges.h"

/* A list of 16 million takes 2 GB; whoever needs more has several runs. */
enum { MOST_BITS = 24 };

static _Noreturn void refuse(const char *range)
{
    fail("-g %s: expected a range and a port, such as 192.0.2.0/24:80 or [2001:db8::/120]:80", range);
}

/* A range in parts. */
struct range {
    int family;
    unsigned char first[16];
    unsigned bits;         /* of the address, that vary */
    const char *port;      /* behind the colon; NULL: there is none */
};

static struct range parse(const char *given)
{
    struct range range = {.family = AF_INET};
    char text[INET6_ADDRSTRLEN + sizeof "/128"];
    const char *start = given, *end = strchr(given, ':'), *slash;
    unsigned length = 32, prefix = 0;

    if (*given == '[') {
        range.family = AF_INET6;
        length = 128;
        start++;
        end = strchr(given, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            refuse(given);
        range.port = end[1] == ':' ? end + 2 : NULL;
    } else if (end != NULL && strchr(end + 1, ':') != NULL) { /* an IPv6 range without brackets names no port */
        range.family = AF_INET6;
        length = 128;
        end = given + strlen(given);
    } else if (end != NULL) {
        range.port = end + 1;
    } else {
        end = given + strlen(given);
    }
    if ((size_t)(end - start) >= sizeof text || (range.port != NULL && *range.port == '\0'))
        refuse(given);
    memcpy(text, start, (size_t)(end - start));
    text[end - start] = '\0';

    slash = strchr(text, '/');
    if (slash == NULL || slash[1] == '\0' || strlen(slash + 1) > 3
        || slash[1 + strspn(slash + 1, "0123456789")] != '\0')
        refuse(given);
    prefix = (unsigned)atoi(slash + 1);
    text[slash - text] = '\0';
    if (prefix > length || inet_pton(range.family, text, range.first) != 1)
        refuse(given);
    range.bits = length - prefix;
    for (unsigned bit = 0; bit < range.bits; bit++)
        range.first[(length - 1 - bit) / 8] &= (unsigned char)~(1u << bit % 8);
    return range;
}

static void add_one(struct targets *targets, const struct range *range, uint32_t offset)
{
    unsigned char address[16];
    char host[INET6_ADDRSTRLEN];
    size_t length = range->family == AF_INET ? 4 : 16;

    memcpy(address, range->first, sizeof address);
    for (size_t i = 0; i < 4; i++)
        address[length - 1 - i] |= (unsigned char)(offset >> 8 * i);
    inet_ntop(range->family, address, host, sizeof host);
    if (range->port == NULL) {
        targets_add(targets, host, NULL, 0);
    } else {
        char *text = target_text(host, range->port);

        targets_add(targets, text, NULL, 0);
        free(text);
    }
}

void ranges_add(struct targets *targets, const char *given, bool many_allowed)
{
    struct range range = parse(given);
    bool has_ends = range.family == AF_INET && range.bits >= 2;
    uint32_t addresses;

    if (range.bits > MOST_BITS)
        fail("-g %s: more than %lu addresses", given, 1ul << MOST_BITS);
    addresses = (uint32_t)1 << range.bits;
    if (addresses - 2 * has_ends > MANY_ADDRESSES && !many_allowed)
        fail("-g %s: %lu addresses; with --yes they are checked", given, (unsigned long)addresses - 2 * has_ends);
    for (uint32_t offset = has_ends; offset < addresses - has_ends; offset++)
        add_one(targets, &range, offset);
}
