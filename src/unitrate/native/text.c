#include "text.h"

#include <string.h>

#define DEEPEST 32       /* nesting of values that are passed over; deeper ones are left to the plain version */
#define LONGEST_NUMBER 18 /* characters of a number that is passed over */
#define MOST_DIGITS 15

static bool take_word(Cursor *cursor, const char *word, size_t size)
{
    if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, word, size) != 0)
        return false;
    cursor->at += size;
    return true;
}

bool take_null(Cursor *cursor)
{
    skip_space(cursor);
    return take_word(cursor, "null", 4);
}

bool read_boolean(Cursor *cursor, bool *into)
{
    skip_space(cursor);
    *into = cursor->at < cursor->end && *cursor->at == 't';
    return *into ? take_word(cursor, "true", 4) : take_word(cursor, "false", 5);
}

/* ---------------------------------------------------------------- strings */

static bool is_tail(const unsigned char *at, unsigned char low, unsigned char high)
{
    return *at >= low && *at <= high;
}

/* Length of the UTF-8 sequence at `at`, which is no ASCII; 0 if it is none (as CPython decides it). */
static size_t sequence(const unsigned char *at, const unsigned char *end)
{
    size_t left = (size_t)(end - at);
    unsigned char first = at[0];
    if (first >= 0xC2 && first <= 0xDF)
        return left >= 2 && is_tail(at + 1, 0x80, 0xBF) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        unsigned char low = first == 0xE0 ? 0xA0 : 0x80, high = first == 0xED ? 0x9F : 0xBF;
        return left >= 3 && is_tail(at + 1, low, high) && is_tail(at + 2, 0x80, 0xBF) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        unsigned char low = first == 0xF0 ? 0x90 : 0x80, high = first == 0xF4 ? 0x8F : 0xBF;
        bool fits = left >= 4 && is_tail(at + 1, low, high) && is_tail(at + 2, 0x80, 0xBF);
        return fits && is_tail(at + 3, 0x80, 0xBF) ? 4 : 0;
    }
    return 0;
}

/* Non-zero where one of eight bytes is a quote, a backslash, a control character or no ASCII. */
static uint64_t unusual(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
    uint64_t found = (quote - ones) | (slash - ones) | (word - ones * 0x20) | word;
    return found & tops;
}

/* Move over usual characters, up to the next one that must be looked at. */
static const unsigned char *usual(const unsigned char *at, const unsigned char *end)
{
    uint64_t word;
    while (end - at >= 8) {
        memcpy(&word, at, 8);
        if (unusual(word))
            break;
        at += 8;
    }
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20 && *at < 0x80)
        at++;
    return at;
}

bool read_string(Cursor *cursor, Slice *into)
{
    if (!take(cursor, '"'))
        return false;
    const unsigned char *start = cursor->at, *at = start;
    for (;;) {
        at = usual(at, cursor->end);
        if (at >= cursor->end)
            return false;
        if (*at == '"')
            break;
        size_t size = *at >= 0x80 ? sequence(at, cursor->end) : 0;
        if (size == 0)
            return false;
        at += size;
    }
    into->text = start;
    into->size = (size_t)(at - start);
    cursor->at = at + 1;
    return true;
}

static int hex(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Length of the escape at `at` (a backslash); 0 if it is none or half of a pair. */
static size_t escape(const unsigned char *at, const unsigned char *end)
{
    if (end - at < 2)
        return 0;
    if (at[1] != 'u')
        return at[1] != 0 && strchr("\"\\/bfnrt", at[1]) != NULL ? 2 : 0;
    if (end - at < 6)
        return 0;
    int code = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex(at[i]);
        if (digit < 0)
            return 0;
        code = code << 4 | digit;
    }
    return code >= 0xD800 && code <= 0xDFFF ? 0 : 6;
}

static bool pass_string(Cursor *cursor)
{
    const unsigned char *at = cursor->at + 1; /* behind the quote */
    for (;;) {
        at = usual(at, cursor->end);
        if (at >= cursor->end || *at < 0x20)
            return false;
        if (*at == '"')
            break;
        size_t size = *at == '\\' ? escape(at, cursor->end) : sequence(at, cursor->end);
        if (size == 0)
            return false;
        at += size;
    }
    cursor->at = at + 1;
    return true;
}

/* ---------------------------------------------------------------- numbers */

static bool is_digit(const Cursor *cursor)
{
    return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

static bool pass_digits(Cursor *cursor)
{
    if (!is_digit(cursor))
        return false;
    while (is_digit(cursor))
        cursor->at++;
    return true;
}

/* Whether what follows a number could belong to it. */
static bool goes_on(const Cursor *cursor)
{
    if (cursor->at >= cursor->end)
        return false;
    unsigned char c = *cursor->at;
    return c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-' || (c >= '0' && c <= '9');
}

static bool pass_number(Cursor *cursor)
{
    const unsigned char *start = cursor->at;
    if (*cursor->at == '-')
        cursor->at++;
    const unsigned char *whole = cursor->at;
    if (!pass_digits(cursor) || (*whole == '0' && cursor->at - whole > 1))
        return false;
    if (cursor->at < cursor->end && *cursor->at == '.') {
        cursor->at++;
        if (!pass_digits(cursor))
            return false;
    }
    return !goes_on(cursor) && cursor->at - start <= LONGEST_NUMBER;
}

bool read_count(Cursor *cursor, int64_t *into)
{
    skip_space(cursor);
    const unsigned char *start = cursor->at;
    int64_t value = 0;
    while (is_digit(cursor) && cursor->at - start < MOST_DIGITS)
        value = value * 10 + (*cursor->at++ - '0');
    ptrdiff_t size = cursor->at - start;
    if (size == 0 || (size > 1 && *start == '0') || goes_on(cursor))
        return false;
    *into = value;
    return true;
}

/* ---------------------------------------------------------------- any value */

static bool pass_value(Cursor *cursor, int depth);

static bool pass_members(Cursor *cursor, unsigned char closing, int depth)
{
    cursor->at++; /* the opening brace or bracket */
    if (take(cursor, closing))
        return true;
    do {
        if (closing == '}') {
            skip_space(cursor);
            if (cursor->at >= cursor->end || *cursor->at != '"' || !pass_string(cursor) || !take(cursor, ':'))
                return false;
        }
        if (!pass_value(cursor, depth + 1))
            return false;
    } while (take(cursor, ','));
    return take(cursor, closing);
}

static bool pass_value(Cursor *cursor, int depth)
{
    skip_space(cursor);
    if (cursor->at >= cursor->end || depth > DEEPEST)
        return false;
    switch (*cursor->at) {
    case '"':
        return pass_string(cursor);
    case '{':
        return pass_members(cursor, '}', depth);
    case '[':
        return pass_members(cursor, ']', depth);
    case 't':
        return take_word(cursor, "true", 4);
    case 'f':
        return take_word(cursor, "false", 5);
    case 'n':
        return take_word(cursor, "null", 4);
    default:
        return pass_number(cursor);
    }
}

bool read_raw(Cursor *cursor, Slice *into)
{
    skip_space(cursor);
    into->text = cursor->at;
    if (!pass_value(cursor, 0))
        return false;
    into->size = (size_t)(cursor->at - into->text);
    return true;
}

/* ---------------------------------------------------------------- time */

static bool number_at(const unsigned char *at, int digits, int *into)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        value = value * 10 + (at[i] - '0');
    }
    *into = value;
    return true;
}

/* Days since 1970; Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
static int64_t day_of(int year, int month, int day)
{
    int y = year - (month <= 2);
    int doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return (int64_t)(y / 400) * 146097 + y % 400 * 365 + y % 400 / 4 - y % 400 / 100 + doy - 719468;
}

static bool is_date(int year, int month, int day)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1970 || year > 2099 || month < 1 || month > 12 || day < 1 || day > days[month - 1])
        return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return leap || month != 2 || day < 29;
}

bool read_time(Slice text, int64_t *into)
{
    const unsigned char *t = text.text;
    int year, month, day, hour, minute, second, fraction = 0;
    if (text.size != 20 && text.size != 24 && text.size != 27)
        return false;
    if (t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' || t[text.size - 1] != 'Z')
        return false;
    if (!number_at(t, 4, &year) || !number_at(t + 5, 2, &month) || !number_at(t + 8, 2, &day)
        || !number_at(t + 11, 2, &hour) || !number_at(t + 14, 2, &minute) || !number_at(t + 17, 2, &second))
        return false;
    if (!is_date(year, month, day) || hour > 23 || minute > 59 || second > 59)
        return false;
    if (text.size > 20 && (t[19] != '.' || !number_at(t + 20, text.size == 24 ? 3 : 6, &fraction)))
        return false;
    int64_t seconds = day_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *into = seconds * 1000000 + (text.size == 24 ? fraction * 1000 : fraction);
    return true;
}
