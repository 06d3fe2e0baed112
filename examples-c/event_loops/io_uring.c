/* Checks of TCP ports in an io_uring loop, on the loop's thread.
 *
 *     cc -o io_uring io_uring.c $(pkg-config --cflags --libs tcpshaker liburing)
 *     ./io_uring host:port...
 *
 * The checker has one descriptor for all its checks. It is readable while results wait, and the ring polls it beside
 * the program's own. Only the library reads, writes and closes it.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tcpshaker.h"

#ifndef POLL /* before Linux 5.13 io_uring_prep_poll_add, which tells of one edge and is asked again */
#define POLL io_uring_prep_poll_multishot
#endif

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

static bool ask(struct io_uring *ring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);

    if (entry != NULL)
        POLL(entry, shaker_checker_fd(checker), POLLIN);
    return entry != NULL && io_uring_submit(ring) == 1;
}

int main(int argc, char **argv)
{
    struct io_uring ring;
    struct io_uring_cqe *done;
    int error = io_uring_queue_init(8, &ring, 0);

    if (error != 0) {
        fprintf(stderr, "no io_uring here: %s\n", strerror(-error));
        return 1;
    }
    if (shaker_checker_new(NULL, &checker) != SHAKER_OK || !ask(&ring))
        return 1;
    for (int i = 1; i < argc; i++) {
        shaker_request request = {.addr = argv[i], .user_data = argv[i]};

        if (shaker_submit(checker, &request, 1, NULL) != SHAKER_OK) /* which does not wait */
            return 1;
        left++;
    }
    while (left > 0) {
        if ((error = io_uring_wait_cqe(&ring, &done)) == -EINTR)
            continue;
        if (error != 0 || done->res < 0)
            return 1;
        bool more = done->flags & IORING_CQE_F_MORE; /* if not, the ring must be asked again */
        io_uring_cqe_seen(&ring, done);
        reap();
        if (!more && left > 0 && !ask(&ring))
            return 1;
    }
    io_uring_queue_exit(&ring);
    shaker_checker_free(checker); /* after the ring has let go of its descriptor */
    return 0;
}
