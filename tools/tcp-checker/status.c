/* Each status in a word, and its place in tables that have a row for each. */
#include <ctype.h>
#include <string.h>

#include "status.h"

shaker_status status_of_kind(size_t kind)
{
    return kind <= SHAKER_UNREACHABLE ? (shaker_status)kind : SHAKER_UNREACHABLE - (shaker_status)kind;
}

size_t status_kind(shaker_status status)
{
    if (status < SHAKER_ERR_INTERNAL || status > SHAKER_UNREACHABLE)
        return STATUS_KINDS - 1;
    return (size_t)(status >= SHAKER_OK ? status : SHAKER_UNREACHABLE - status);
}

struct status_word status_word(shaker_status status)
{
    const char *name = status == SHAKER_OK ? "up" : shaker_status_name(status);
    const char *const prefixes[] = {"SHAKER_", "ERR_"};
    struct status_word word = {""};

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            name += strlen(prefixes[i]);
    }
    for (size_t i = 0; name[i] != '\0' && i + 1 < sizeof word.text; i++)
        word.text[i] = (char)tolower((unsigned char)name[i]);
    return word;
}
