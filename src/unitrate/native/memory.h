/* What is known of streams and shapes, by the bytes that name them.
 *
 * Owns two bounded caches. Nothing is ever decided here: every entry comes from a record that the plain version
 * prepared, so its Stream, Shape, prices and checked names are those of the plain version. */
#ifndef UNITRATE_MEMORY_H
#define UNITRATE_MEMORY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "event.h"

#define MOST_TIERS 4
#define MOST_METERS 16

typedef enum { FREE, UNPRICED, PRICED, UNSURE } Pricing; /* FREE: no request. UNSURE: only Python can price it */

typedef struct {
    uint64_t hash;
    size_t size;
    unsigned char *key;
    PyObject *object;     /* the Stream or the Shape */
    PyObject *head;       /* of a stream: bytes that its digests begin with */
    int64_t from_us, until_us; /* of a shape: event times for which it holds */
    Pricing pricing;
    char currency[3];
    int tiers;
    int64_t thresholds[MOST_TIERS];          /* from the highest down */
    int64_t (*rates)[MOST_USAGE];            /* per tier and usage name: 10^-18 per item, -1 unknown */
} Known;

typedef struct {
    Known **slots;
} Cache;

/* What joining needs of a meter, which is frozen. */
typedef struct {
    PyObject *meter, *name, *key;
    int64_t idle_us, max_age_us;
} Meter;

typedef struct {
    PyObject_HEAD
    Cache streams, shapes;
    int64_t generation;   /* of `engine.shapes`: when it changes, shapes are forgotten */
    UsageNames usage;
    PyObject *usage_names[MOST_USAGE];
    uint32_t prompt;      /* which names count towards a request's context length */
    int64_t most_pico, ahead_us, most_bytes;
    PyObject *nothing_billed, *complete, *first_attempt, *no_text, *prepare_one;
    Meter meters[MOST_METERS];
    int meter_count;
    PyObject *catalog;    /* that was asked last, and its horizon */
    int64_t dedupe_us;
    PyObject *day;        /* an int that many identities share */
    int64_t day_number;
} Memory;

typedef struct {
    int64_t cost, computed, billed; /* 10^-12; -1: none */
    bool unpriced;
} Price;

extern PyType_Spec memory_spec;

Known *find_stream(Memory *memory, const Event *event);
Known *find_shape(Memory *memory, const Event *event); /* NULL, too, where it does not hold at the event's time */
void forget_shapes(Memory *memory);
void forget_meters(Memory *memory);

/* Remember what the plain version made of the event; -1 with an exception set. */
int learn(Memory *memory, const Event *event, PyObject *prepared);

/* What a request costs; false where the plain version must say. */
bool price_event(const Memory *memory, const Known *shape, const Event *event, Price *into);

#endif
