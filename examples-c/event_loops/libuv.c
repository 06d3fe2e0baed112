/* Checks of TCP ports in a libuv loop, on the loop's thread.
 *
 *     cc -o libuv libuv.c $(pkg-config --cflags --libs tcpshaker libuv)
 *     ./libuv host:port...
 *
 * The checker has one descriptor for all its checks. It is readable while results wait, and the loop polls it beside
 * the program's own. Only the library reads, writes and closes it.
 */
#include <stdio.h>
#include <uv.h>

#include "tcpshaker.h"

static shaker_checker *checker;
static size_t left; /* checks whose result has not come */

/* Takes all results there are: that makes the descriptor unreadable again. */
static void reap(void)
{
    shaker_result results[64];
    size_t count;

    do {
        count = shaker_reap(checker, results, 64, 0); /* 0: does not wait */
        for (size_t i = 0; i < count; i++)
            printf("%s %s\n", (const char *)results[i].user_data, shaker_status_str(results[i].status));
        left -= count;
    } while (count == 64);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    if (status == 0 && (events & UV_READABLE))
        reap();
    /* A service would poll on. Here the loop ends with its last handle. */
    if (status != 0 || left == 0)
        uv_close((uv_handle_t *)poll, NULL);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_poll_t poll;

    if (argc < 2) {
        fputs("usage: libuv host:port...\n", stderr);
        return 2;
    }
    if (shaker_checker_new(NULL, &checker) != SHAKER_OK || uv_poll_init(loop, &poll, shaker_checker_fd(checker)) != 0
        || uv_poll_start(&poll, UV_READABLE, on_readable) != 0)
        return 1;
    for (int i = 1; i < argc; i++) {
        shaker_request request = {.addr = argv[i], .user_data = argv[i]};

        if (shaker_submit(checker, &request, 1, NULL) != SHAKER_OK) /* which does not wait */
            return 1;
        left++;
    }
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    shaker_checker_free(checker); /* after the loop has let go of its descriptor */
    return left != 0;
}
