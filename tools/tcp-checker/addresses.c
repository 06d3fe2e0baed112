/* --all-addresses: each address of a name is a target. The library itself takes the first that answers. */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "addresses.h"
#include "complain.h"

/* The address as a target of its own, in the name's place on the list. */
static void add_address(struct targets *all, const struct target *target, const struct addrinfo *address)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    char *text;

    if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV)
        != 0)
        return;
    text = target_text(host, port);
    targets_add(all, text, target->origin, target->line);
    free(text);
}

static void expand(struct targets *all, const struct target *target, int family)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *addresses;
    const char *port = target_port(target->text);
    char *host = must(strdup(target->text));

    /* An address in brackets is no name, nor is the empty text, which means this host. */
    if (port != NULL && *host != '[' && *host != ':') {
        host[port - target->text - 1] = '\0';
        if (getaddrinfo(host, port, &hints, &addresses) == 0) {
            for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next)
                add_address(all, target, address);
            freeaddrinfo(addresses);
            free(host);
            return;
        }
    }
    free(host);
    targets_add(all, target->text, target->origin, target->line);
}

void addresses_expand(struct targets *targets, int family)
{
    struct targets all = {0};

    for (size_t i = 0; i < targets->count; i++)
        expand(&all, &targets->items[i], family);
    targets_free(targets);
    *targets = all;
}
