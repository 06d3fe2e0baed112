/* The checker's descriptor in a libuv loop. */

#include <uv.h>

#include "checks.h"

static void readable(uv_poll_t *handle, int status, int events)
{
    if (status < 0) {
        fprintf(stderr, "uv_poll: %s\n", uv_strerror(status));
        exit(1);
    }
    if (events & UV_READABLE) on_readable();
    if (is_over()) uv_close((uv_handle_t *)handle, NULL);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_poll_t handle;
    start_checks(argc, argv);
    if (uv_poll_init(loop, &handle, checks.fd) != 0) give_up("uv_poll_init");
    if (uv_poll_start(&handle, UV_READABLE, readable) != 0) give_up("uv_poll_start");
    uv_run(loop, UV_RUN_DEFAULT);
    if (uv_loop_close(loop) != 0) give_up("uv_loop_close");
    return end_checks();
}
