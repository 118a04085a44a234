/* One event's fields as they stand in its bytes: checked, and nothing of them copied. */
#ifndef UNITRATE_EVENT_H
#define UNITRATE_EVENT_H

#include "text.h"

#define LONGEST_TEXT 256 /* bytes of a field; longer ones may still have 256 characters, which the plain version counts */
#define MOST_USAGE 16 /* names of usage counts that there may be */

/* The fields that decide an event's shape come first, in this order. */
enum Field {
    TYPE, WORKFLOW, WORKSPACE, MODE, PROVIDER, MODEL, OPERATION, STATUS, STEP, SHAPE_FIELDS,
    SPECVERSION = SHAPE_FIELDS, ID, SOURCE, SUBJECT, TIME, RUN_ID, RETRY_OF, ATTRIBUTES, TAGS, SLICES,
    ATTEMPT = SLICES, BACKGROUND, USAGE, COST, COMPLETION, DATA,
};

typedef struct {
    Slice slices[SLICES];
    int64_t time_us;
    int64_t attempt;      /* 1 where the event has none */
    int background;       /* -1 absent, 0, 1 */
    bool has_usage, has_cost;
    int usage_size;
    int usage_names[MOST_USAGE]; /* indices of the known names, in the event's order */
    int64_t usage_counts[MOST_USAGE];
    int64_t billed_pico;
    char currency[3];
} Event;

/* The names of usage counts, which Python gives. */
typedef struct {
    int size;
    Slice names[MOST_USAGE];
} UsageNames;

/* False where the event must be left to the plain version. What decides the shape, and subject and source,
 * are valid only if the plain version took an event with the same ones before. */
bool read_event(Slice raw, const UsageNames *known, Event *into);

#endif
