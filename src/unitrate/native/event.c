#include "event.h"

#include <string.h>

#define MOST_COUNT 1000000000000 /* of a usage count (events.Count) */
#define MOST_ATTEMPTS 2147483647
#define PICO 1000000000000
#define MOST_WHOLE 8999999     /* currency units of one request, so that nothing here overflows */

typedef struct {
    const char *name;
    size_t size;
    int field;
} Name;

#define NAME(text, field) {text, sizeof text - 1, field}

static const Name ENVELOPE[] = {
    NAME("specversion", SPECVERSION), NAME("id", ID),     NAME("source", SOURCE), NAME("type", TYPE),
    NAME("subject", SUBJECT),         NAME("time", TIME), NAME("data", DATA),
};
static const Name MEMBERS[] = {
    NAME("workflow", WORKFLOW),   NAME("run_id", RUN_ID),       NAME("workspace", WORKSPACE),
    NAME("mode", MODE),           NAME("retry_of", RETRY_OF),   NAME("attributes", ATTRIBUTES),
    NAME("tags", TAGS),           NAME("provider", PROVIDER),   NAME("model", MODEL),
    NAME("operation", OPERATION), NAME("status", STATUS),       NAME("step", STEP),
    NAME("attempt", ATTEMPT),     NAME("background", BACKGROUND), NAME("usage", USAGE),
    NAME("cost", COST),           NAME("completion", COMPLETION),
};
#define COUNT(table) ((int)(sizeof table / sizeof *table))

static bool same(Slice text, const void *other, size_t size)
{
    return text.size == size && memcmp(text.text, other, size) == 0;
}

/* The field of a name, -1 for an unknown one. The search begins where the last one ended: order repeats. */
static int field_of(const Name *names, int count, int *next, Slice text)
{
    for (int i = 0; i < count; i++) {
        int at = (*next + i) % count;
        if (same(text, names[at].name, names[at].size)) {
            *next = at + 1;
            return names[at].field;
        }
    }
    return -1;
}

/* ---------------------------------------------------------------- usage and cost */

static bool read_usage(Cursor *cursor, const UsageNames *known, Event *event)
{
    uint32_t seen = 0;
    event->has_usage = true;
    if (!take(cursor, '{'))
        return false;
    if (take(cursor, '}'))
        return true;
    do {
        Slice name;
        int64_t count;
        int which = 0;
        if (!read_string(cursor, &name) || !take(cursor, ':') || !read_count(cursor, &count))
            return false;
        while (which < known->size && !same(name, known->names[which].text, known->names[which].size))
            which++;
        if (which == known->size || (seen >> which & 1) || count > MOST_COUNT)
            return false;
        seen |= (uint32_t)1 << which;
        event->usage_names[event->usage_size] = which;
        event->usage_counts[event->usage_size++] = count;
    } while (take(cursor, ','));
    return take(cursor, '}');
}

/* "12.345" -> 10^-12 units: at most 12 decimals, no sign, no exponent. */
static bool read_amount(Slice text, int64_t *into)
{
    int64_t whole = 0, fraction = 0, scale = PICO;
    size_t at = 0;
    while (at < text.size && at < 9 && text.text[at] >= '0' && text.text[at] <= '9')
        whole = whole * 10 + (text.text[at++] - '0');
    if (at == 0 || whole > MOST_WHOLE)
        return false;
    if (at < text.size) {
        if (text.text[at++] != '.' || at == text.size || text.size - at > 12)
            return false;
        for (; at < text.size; at++, scale /= 10) {
            if (text.text[at] < '0' || text.text[at] > '9')
                return false;
            fraction = fraction * 10 + (text.text[at] - '0');
        }
    }
    *into = whole * PICO + fraction * scale;
    return true;
}

static bool read_cost(Cursor *cursor, Event *event)
{
    Slice amount = {NULL, 0}, currency = {NULL, 0}, name;
    if (!take(cursor, '{'))
        return false;
    do {
        if (!read_string(cursor, &name) || !take(cursor, ':'))
            return false;
        Slice *into = same(name, "amount", 6) ? &amount : same(name, "currency", 8) ? &currency : NULL;
        if (into == NULL || into->text != NULL || !read_string(cursor, into))
            return false;
    } while (take(cursor, ','));
    if (!take(cursor, '}') || amount.text == NULL || currency.text == NULL || currency.size != 3)
        return false;
    for (int i = 0; i < 3; i++) {
        if (currency.text[i] < 'A' || currency.text[i] > 'Z')
            return false;
        event->currency[i] = (char)currency.text[i];
    }
    event->has_cost = true;
    return read_amount(amount, &event->billed_pico);
}

/* ---------------------------------------------------------------- objects */

static bool read_background(Cursor *cursor, Event *event)
{
    bool background;
    if (!read_boolean(cursor, &background))
        return false;
    event->background = background;
    return true;
}

static bool read_member(Cursor *cursor, int field, const UsageNames *known, Event *event)
{
    Slice passed;
    if (field < 0)
        return read_raw(cursor, &passed);
    if (field == ATTRIBUTES || field == TAGS)
        return read_raw(cursor, &event->slices[field]);
    if (field != WORKFLOW && field != RUN_ID && take_null(cursor))
        return true; /* null means absent (D35) */
    switch (field) {
    case USAGE:
        return read_usage(cursor, known, event);
    case COST:
        return read_cost(cursor, event);
    case ATTEMPT:
        return read_count(cursor, &event->attempt) && event->attempt >= 1 && event->attempt <= MOST_ATTEMPTS;
    case BACKGROUND:
        return read_background(cursor, event);
    case COMPLETION:
        return false;
    default:
        return read_string(cursor, &event->slices[field]) && event->slices[field].size <= LONGEST_TEXT;
    }
}

static bool read_members(Cursor *cursor, const UsageNames *known, Event *event, uint64_t *seen)
{
    int next = 0;
    Slice name;
    if (!take(cursor, '{'))
        return false;
    if (take(cursor, '}'))
        return true;
    do {
        if (!read_string(cursor, &name) || !take(cursor, ':'))
            return false;
        int field = field_of(MEMBERS, COUNT(MEMBERS), &next, name);
        if (field >= 0 && (*seen >> field & 1))
            return false; /* twice: the plain version knows which one counts */
        if (field >= 0)
            *seen |= (uint64_t)1 << field;
        if (!read_member(cursor, field, known, event))
            return false;
    } while (take(cursor, ','));
    return take(cursor, '}');
}

static bool read_envelope(Cursor *cursor, const UsageNames *known, Event *event, uint64_t *seen)
{
    int next = 0;
    Slice name, passed;
    if (!take(cursor, '{'))
        return false;
    do {
        if (!read_string(cursor, &name) || !take(cursor, ':'))
            return false;
        int field = field_of(ENVELOPE, COUNT(ENVELOPE), &next, name);
        if (field < 0) {
            if (!read_raw(cursor, &passed))
                return false;
            continue;
        }
        if (*seen >> field & 1)
            return false;
        *seen |= (uint64_t)1 << field;
        if (field == DATA ? !read_members(cursor, known, event, seen) : !read_string(cursor, &event->slices[field]))
            return false;
    } while (take(cursor, ','));
    return take(cursor, '}');
}

static bool is_identity(Slice text)
{
    return text.text != NULL && text.size >= 1 && text.size <= LONGEST_TEXT;
}

bool read_event(Slice raw, const UsageNames *known, Event *into)
{
    Cursor cursor = {raw.text, raw.text + raw.size};
    uint64_t seen = 0;
    memset(into->slices, 0, sizeof into->slices);
    into->attempt = 1;
    into->background = -1;
    into->has_usage = into->has_cost = false;
    into->usage_size = 0;
    if (!read_envelope(&cursor, known, into, &seen))
        return false;
    skip_space(&cursor);
    const Slice *slices = into->slices;
    if (cursor.at != cursor.end || !(seen >> DATA & 1) || slices[SPECVERSION].text == NULL
        || !same(slices[SPECVERSION], "1.0", 3) || slices[TYPE].text == NULL || slices[TYPE].size > LONGEST_TEXT)
        return false;
    if (!is_identity(slices[ID]) || !is_identity(slices[SOURCE]) || !is_identity(slices[SUBJECT])
        || !is_identity(slices[RUN_ID]) || !is_identity(slices[WORKFLOW]) || slices[TIME].text == NULL)
        return false;
    return read_time(slices[TIME], &into->time_us);
}
