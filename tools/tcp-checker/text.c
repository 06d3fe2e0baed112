/* Other people's text, made fit to be shown. */
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "text.h"

void text_print_plain(const char *text, FILE *out)
{
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
}

/* How many bytes the UTF-8 sequence at the start of the text has; 0 if there is none. */
static size_t utf8_length(const unsigned char *text)
{
    size_t length = text[0] < 0x80   ? 1
                    : text[0] < 0xc2 ? 0
                    : text[0] < 0xe0 ? 2
                    : text[0] < 0xf0 ? 3
                    : text[0] < 0xf5 ? 4
                                     : 0;

    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    /* The second byte rules out overlong forms, surrogates and what lies above U+10FFFF. */
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f)
        || (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

char *text_utf8(const char *text)
{
    static const char REPLACEMENT[] = "\xef\xbf\xbd";
    const unsigned char *byte = (const unsigned char *)text;
    char *clean = must(malloc(strlen(text) * 3 + 1)), *end = clean;

    while (*byte != '\0') {
        size_t length = utf8_length(byte);

        memcpy(end, length > 0 ? (const char *)byte : REPLACEMENT, length > 0 ? length : 3);
        end += length > 0 ? length : 3;
        byte += length > 0 ? length : 1;
    }
    *end = '\0';
    return clean;
}
