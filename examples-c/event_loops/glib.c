/* The checker's descriptor in a glib main loop. */

#include <glib-unix.h>
#include <glib.h>

#include "checks.h"

static gboolean readable(gint fd, GIOCondition condition, gpointer loop)
{
    (void)fd;
    if (condition & G_IO_IN) on_readable();
    if (!is_over()) return G_SOURCE_CONTINUE;
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    start_checks(argc, argv);
    g_unix_fd_add(checks.fd, G_IO_IN, readable, loop);
    g_main_loop_run(loop);
    g_main_loop_unref(loop);
    return end_checks();
}
