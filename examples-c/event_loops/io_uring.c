/* The checker's descriptor polled through io_uring: asked for anew after each event, or, as the variant "multishot",
 * asked for once and told of every edge. */

#include <errno.h>
#include <liburing.h>

#include "checks.h"

static struct io_uring ring;
static bool multishot;

static void ask(void)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
    if (entry == NULL) give_up("io_uring_get_sqe");
    if (multishot) {
        io_uring_prep_poll_multishot(entry, checks.fd, POLLIN);
    } else {
        io_uring_prep_poll_add(entry, checks.fd, POLLIN);
    }
    if (io_uring_submit(&ring) != 1) give_up("io_uring_submit");
}

int main(int argc, char **argv)
{
    int error = io_uring_queue_init(8, &ring, 0);
    if (error == -ENOSYS || error == -EPERM) {
        printf("this machine has no io_uring: %s\n", strerror(-error));
        return EXIT_SKIPPED;
    }
    if (error != 0) give_up("io_uring_queue_init");
    start_checks(argc, argv);
    multishot = argc > 3 && strcmp(argv[3], "multishot") == 0;
    ask();
    while (!is_over()) {
        struct io_uring_cqe *done;
        int waited = io_uring_wait_cqe(&ring, &done);
        if (waited == -EINTR) continue;
        if (waited != 0 || done->res < 0) give_up("io_uring_wait_cqe");
        bool more = done->flags & IORING_CQE_F_MORE;
        io_uring_cqe_seen(&ring, done);
        on_readable();
        /* An edge is told even if what it tells of was taken meanwhile. */
        if (multishot) checks.idle_wakeups = 0;
        if (!more && !is_over()) ask();
    }
    io_uring_queue_exit(&ring);
    return end_checks();
}
