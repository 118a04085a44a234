/* JSON text, read byte by byte and never past its end.
 *
 * Every reader returns false where it is not certain that the plain version would read the same: the caller
 * then leaves the whole record to the plain version. So a reader may be stricter than JSON, never laxer. */
#ifndef UNITRATE_TEXT_H
#define UNITRATE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const unsigned char *at;
    const unsigned char *end;
} Cursor;

/* A part of the record's bytes; `text` is NULL where the record does not have it. */
typedef struct {
    const unsigned char *text;
    size_t size;
} Slice;

static inline void skip_space(Cursor *cursor)
{
    while (cursor->at < cursor->end) {
        unsigned char c = *cursor->at;
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
        cursor->at++;
    }
}

/* White space, then this byte. */
static inline bool take(Cursor *cursor, unsigned char wanted)
{
    skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != wanted)
        return false;
    cursor->at++;
    return true;
}

bool take_null(Cursor *cursor);                      /* `null`, if that is what stands here */
bool read_string(Cursor *cursor, Slice *into);       /* without escapes, valid UTF-8 */
bool read_count(Cursor *cursor, int64_t *into);      /* an integer of 0 to 10^15 - 1 in plain digits */
bool read_boolean(Cursor *cursor, bool *into);
bool read_raw(Cursor *cursor, Slice *into);          /* any value: its bytes, without white space around them */
bool read_time(Slice text, int64_t *into);           /* RFC 3339 in UTC -> microseconds since 1970 */

#endif
