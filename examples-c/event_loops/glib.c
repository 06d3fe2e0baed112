/* Checks of TCP ports in a GLib main loop, as GTK programs have one, on the loop's thread.
 *
 *     cc -o glib glib.c $(pkg-config --cflags --libs tcpshaker glib-2.0)
 *     ./glib host:port...
 *
 * The checker has one descriptor for all its checks. It is readable while results wait, and the loop polls it beside
 * the program's own. Only the library reads, writes and closes it.
 */
#include <glib-unix.h>
#include <stdio.h>

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

static gboolean on_readable(gint fd, GIOCondition condition, gpointer loop)
{
    (void)fd, (void)condition;
    reap();
    if (left > 0)
        return G_SOURCE_CONTINUE;
    g_main_loop_quit(loop); /* a service would go on */
    return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);

    if (argc < 2) {
        fputs("usage: glib host:port...\n", stderr);
        return 2;
    }
    if (shaker_checker_new(NULL, &checker) != SHAKER_OK)
        return 1;
    for (int i = 1; i < argc; i++) {
        shaker_request request = {.addr = argv[i], .user_data = argv[i]};

        if (shaker_submit(checker, &request, 1, NULL) != SHAKER_OK) /* which does not wait */
            return 1;
        left++;
    }
    g_unix_fd_add(shaker_checker_fd(checker), G_IO_IN, on_readable, loop);
    g_main_loop_run(loop);
    g_main_loop_unref(loop);
    shaker_checker_free(checker); /* after the loop has let go of its descriptor */
    return 0;
}
