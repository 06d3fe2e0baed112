/* One word for each status, and its place in tables that have a row for each. */
#include "status.h"

const struct named_status STATUSES[STATUS_KINDS] = {
    {SHAKER_OK, "up"},
    {SHAKER_TIMEOUT, "timeout"},
    {SHAKER_REFUSED, "refused"},
    {SHAKER_UNREACHABLE, "unreachable"},
    {SHAKER_ERR_INVALID, "invalid"},
    {SHAKER_ERR_ADDRESS, "address"},
    {SHAKER_ERR_RESOLVE, "resolve"},
    {SHAKER_ERR_LOCAL, "local"},
    {SHAKER_ERR_CANCELLED, "cancelled"},
    {SHAKER_ERR_CLOSED, "closed"},
    {SHAKER_ERR_FORKED, "forked"},
    {SHAKER_ERR_DEADLOCK, "deadlock"},
    {SHAKER_ERR_BUSY, "busy"},
    {SHAKER_ERR_UNSUPPORTED, "unsupported"},
    {SHAKER_ERR_INTERNAL, "internal"}, /* and whatever a later library may add */
};

size_t status_index(shaker_status status)
{
    size_t kind = 0;

    while (kind + 1 < STATUS_KINDS && STATUSES[kind].status != status)
        kind++;
    return kind;
}

const char *status_word(shaker_status status)
{
    return STATUSES[status_index(status)].word;
}
