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

/* What the entries of all caches begin with; the bytes of the key stand behind the entry. */
typedef struct {
    PyObject *object; /* the Stream, the Shape, or what `Texts` read */
    uint32_t size;    /* of the key */
    uint32_t key_at;  /* bytes from here */
} Known;

typedef struct {
    Known known;
    PyObject *head; /* bytes that its digests begin with */
} KnownStream;

typedef struct {
    Known known;
    int64_t from_us, until_us; /* event times for which it holds */
    Pricing pricing;
    char currency[3];
    int tiers;
    int64_t (*rates)[MOST_USAGE];   /* per tier and usage name: 10^-18 per item, -1 unknown */
    int64_t thresholds[MOST_TIERS]; /* from the highest down */
} KnownShape;

typedef struct {
    Known known;
    PyObject *pairs;   /* borrowed of the object */
    bool has_text;     /* the ledger's text is the key itself; else it is empty */
} KnownText;

typedef struct {
    uint64_t hash;
    Known *known;
} CacheSlot;

typedef struct {
    CacheSlot *slots; /* sets of WAYS, each in a line of memory of its own */
    void *allocated;
} Cache;

/* The key of a look-up, and its hash. */
typedef struct {
    Slice bytes;
    uint64_t hash;
} Wanted;

#define LONGEST_KEY 4096
typedef struct {
    Wanted stream, shape, attributes, tags; /* texts that are longer than a key: hash 0, found nowhere */
    unsigned char stream_bytes[2 * (LONGEST_TEXT + 2)];
    unsigned char shape_bytes[SHAPE_FIELDS * (LONGEST_TEXT + 2) + 1];
} Keyring;

/* What joining needs of a meter, which is frozen. */
typedef struct {
    PyObject *meter, *name, *key;
    int64_t idle_us, max_age_us;
} Meter;

typedef struct {
    PyObject_HEAD
    Cache streams, shapes, attributes, tags;
    int64_t generation;   /* of `engine.shapes`: when it changes, shapes are forgotten */
    UsageNames usage;
    PyObject *const *usage_names;
    uint32_t prompt;      /* which names count towards a request's context length */
    int64_t most_pico, ahead_us, most_bytes;
    PyObject *nothing_billed, *complete, *first_attempt, *no_text, *prepare_one;
    Meter meters[MOST_METERS];
    int meter_count;
    PyObject *catalog;    /* that was asked last, and its horizon */
    int64_t dedupe_us;
} Memory;

typedef struct {
    int64_t cost, computed, billed; /* 10^-12; -1: none */
    bool unpriced;
} Price;

extern PyType_Spec memory_spec;

/* All that will be looked up of an event. Two steps that have memory fetched while other work goes on: the places
 * of the entries, then the entries. */
void make_keys(const Event *event, Keyring *into);
void expect_places(const Memory *memory, const Keyring *keyring);
void expect_entries(const Memory *memory, const Keyring *keyring);

KnownStream *find_stream(Memory *memory, const Keyring *keyring);
KnownShape *find_shape(Memory *memory, const Keyring *keyring, int64_t time); /* NULL where it does not hold then */
KnownText *find_text(Cache *texts, const Wanted *wanted);
void forget_shapes(Memory *memory);
void forget_meters(Memory *memory);
const Meter *meter_of(Memory *memory, PyObject *meter); /* NULL with an exception set */

/* Remember what the plain version made of the event; -1 with an exception set. */
int learn(Memory *memory, const Event *event, const Keyring *keyring, PyObject *prepared);

/* Remember (pairs, text, by name); NULL with an exception set, or without one where the key is too long. */
KnownText *learn_text(Cache *texts, const Wanted *wanted, PyObject *object);

/* What a request costs; false where the plain version must say. */
bool price_event(const Memory *memory, const KnownShape *shape, const Event *event, Price *into);

#endif
