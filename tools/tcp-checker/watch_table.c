/* The table of watched targets: as many columns and lines as the terminal has room for. */
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "complain.h"
#include "history.h"
#include "lines.h"
#include "terminal.h"
#include "watch_lines.h"
#include "watch_table.h"

/* An IPv4 address with its port has room beside the state, whatever else has none. */
enum { DRAW_EVERY_US = 200000, SHORTEST_NAME = sizeof "target" - 1, LONG_NAME = 21, FEWEST_SPARKS = 5, GAP = 2 };

/* What a line shows behind the name, the most important first: columns that have no room are left out from the end. */
enum { STATE, SINCE, LOSS, LAST, MEAN, COLUMNS };
static const struct {
    const char *title;
    int width;
} COLUMN[COLUMNS] = {{"state", 7}, {"since", 6}, {"loss", 4}, {"last ms", 7}, {"avg ms", 7}};

struct layout {
    int name, columns, sparks; /* their widths, and how many columns there are */
    bool utf8;
};

void watch_table_start(void)
{
    setlocale(LC_CTYPE, "");
    /* The other screen, without a cursor. */
    fputs("\033[?1049h\033[?25l", stdout);
}

void watch_table_end(void)
{
    fputs("\033[?25h\033[?1049l", stdout);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static struct layout lay_out(const struct watch *watch)
{
    struct layout layout = {.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    int room = terminal_columns(stdout) - 1, longest = SHORTEST_NAME;

    for (size_t i = 0; i < watch->count; i++) {
        int width = (int)strlen(target_name(watch->items[i].target));

        longest = width > longest ? width : longest;
    }
    layout.columns = 1;
    room -= GAP + COLUMN[STATE].width;
    layout.name = least(longest, least(LONG_NAME, room > 1 ? room : 1));
    room -= layout.name;
    while (layout.columns < COLUMNS && room >= GAP + COLUMN[layout.columns].width)
        room -= GAP + COLUMN[layout.columns++].width;
    if (room > 0 && layout.name < longest) {
        int more = least(longest - layout.name, room);

        layout.name += more;
        room -= more;
    }
    if (layout.columns == COLUMNS && room >= GAP + FEWEST_SPARKS)
        layout.sparks = least(room - GAP, SPARKS);
    return layout;
}

/* In ASCII, and cut where it has no room: a line that wraps would smear the table. */
static void print_name(const char *name, int width)
{
    int length = (int)strlen(name);

    for (int i = 0; i < width; i++) {
        unsigned char letter = i < length ? (unsigned char)name[i] : ' ';

        if (length > width && i == width - 1)
            letter = '~';
        putchar(letter < 0x20 || letter > 0x7e ? '?' : letter);
    }
}

/* The last results, from old to new: higher for a longer time. */
static void print_sparks(const struct watch *watch, const struct watched *watched, const struct layout *layout)
{
    static const char *const BLOCKS[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const LETTERS[] = {"_", ".", "-", "~", "=", "+", "*", "#"};
    enum { LEVELS = 8 };
    uint64_t count = watched->spark_count < (uint64_t)layout->sparks ? watched->spark_count : (uint64_t)layout->sparks;
    int64_t longest = 1;

    for (uint64_t i = watched->spark_count - count; i < watched->spark_count; i++)
        longest = watched->sparks[i % SPARKS] > longest ? watched->sparks[i % SPARKS] : longest;
    for (uint64_t i = watched->spark_count - count; i < watched->spark_count; i++) {
        int64_t time = watched->sparks[i % SPARKS];
        int level = (int)(time * (LEVELS - 1) / longest);

        if (time >= 0)
            fputs(layout->utf8 ? BLOCKS[level] : LETTERS[level], stdout);
        else
            printf("%s%s%s", colour_of(watch->colours, time == TIME_LOST ? SHAKER_REFUSED : SHAKER_ERR_BUSY),
                   time == TIME_LOST ? "x" : "?", colour_end(watch->colours));
    }
}

static void print_line(const struct watch *watch, const struct watched *watched, const struct layout *layout,
                       uint64_t now)
{
    shaker_watch_info info = watch_info(watch, watched);

    print_name(target_name(watched->target), layout->name);
    for (int column = 0; column < layout->columns; column++) {
        int width = COLUMN[column].width;
        char text[24] = "";

        printf("%*s", GAP, "");
        switch (column) {
        case STATE:
            printf("%s%-*s%s", colour_of(watch->colours, watch_state_status(info.state)), width,
                   watch_state_name(info.state), colour_end(watch->colours));
            continue;
        case SINCE:
            watch_duration(now - info.since_us, text, sizeof text);
            break;
        case LOSS:
            snprintf(text, sizeof text, "%u%%", watch_loss(&info));
            break;
        case LAST:
            if (info.last.status == SHAKER_OK)
                lines_ms(info.last.rtt_us, text, sizeof text);
            break;
        case MEAN:
            if (info.up > 0)
                lines_ms(info.rtt_smoothed_us, text, sizeof text);
            break;
        }
        printf("%*s", width, text);
    }
    if (layout->sparks > 0) {
        printf("%*s", GAP, "");
        print_sparks(watch, watched, layout);
    }
    fputs("\033[K\r\n", stdout);
}

static void print_titles(const struct layout *layout)
{
    print_name("target", layout->name);
    for (int column = 0; column < layout->columns; column++)
        printf(column == STATE ? "%*s%-*s" : "%*s%*s", GAP, "", COLUMN[column].width, COLUMN[column].title);
    fputs("\033[K\r\n", stdout);
}

/* Prints those in this state, as long as there are lines. Returns how many lines are left. */
static int print_those(const struct watch *watch, int32_t state, const struct layout *layout, int lines, uint64_t now)
{
    for (size_t i = 0; i < watch->count && lines > 0; i++) {
        if (watch->items[i].state == state) {
            print_line(watch, &watch->items[i], layout, now);
            lines--;
        }
    }
    return lines;
}

static void draw(const struct watch *watch, uint64_t now)
{
    struct layout layout = lay_out(watch);
    int lines = terminal_lines(stdout) - 2, shown; /* below the titles, above the line where the cursor ends up */

    fputs("\033[H", stdout);
    print_titles(&layout);
    if ((uint64_t)(lines > 0 ? lines : 0) >= watch->count) {
        for (size_t i = 0; i < watch->count; i++)
            print_line(watch, &watch->items[i], &layout, now);
    } else {
        /* Not all of them have room: those that need somebody come first. */
        shown = lines > 1 ? lines - 1 : 0;
        lines = print_those(watch, SHAKER_STATE_DOWN, &layout, shown, now);
        lines = print_those(watch, SHAKER_STATE_UNKNOWN, &layout, lines, now);
        print_those(watch, SHAKER_STATE_UP, &layout, lines, now);
        printf("%d of %zu targets\033[K\r\n", shown, watch->count);
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

void watch_table_tick(const struct watch *watch)
{
    static uint64_t due_us;
    uint64_t now = now_us();

    if (now < due_us)
        return;
    due_us = now + DRAW_EVERY_US;
    draw(watch, now);
}
