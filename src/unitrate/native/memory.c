#include "room.h"

#include <string.h>

#define SETS 8192 /* a power of two */
#define WAYS 4    /* of 16 bytes: a set is one line of memory */
#define LINE 64
#define ITEM_ROUNDING 500000 /* half up from 10^-18 to 10^-12 */
#define ITEM_SCALE 1000000

/* ---------------------------------------------------------------- keys */

static uint64_t hash_of(Slice key)
{
    uint64_t hash = key.size * 0x9E3779B97F4A7C15u, word;
    size_t at = 0;
    for (; at + 8 <= key.size; at += 8) {
        memcpy(&word, key.text + at, 8);
        hash = (hash ^ word) * 0xBF58476D1CE4E5B9u;
        hash ^= hash >> 29;
    }
    word = 0;
    if (key.size > at)
        memcpy(&word, key.text + at, key.size - at);
    hash = (hash ^ word) * 0x94D049BB133111EBu;
    return hash ^ hash >> 32;
}

/* A length in front of each text keeps ("ab", "c") and ("a", "bc") apart, absent and empty ones too. */
static unsigned char *add_text(unsigned char *to, Slice text)
{
    uint16_t mark = text.text == NULL ? 0xFFFF : (uint16_t)text.size; /* at most LONGEST_TEXT bytes */
    memcpy(to, &mark, sizeof mark);
    to += sizeof mark;
    if (text.text == NULL)
        return to;
    memcpy(to, text.text, text.size);
    return to + text.size;
}

static Wanted wanted(const unsigned char *from, size_t size)
{
    Slice bytes = {from, size};
    return (Wanted){bytes, hash_of(bytes)};
}

static Wanted wanted_text(Slice raw)
{
    return raw.size <= LONGEST_KEY ? wanted(raw.text, raw.size) : (Wanted){raw, 0};
}

void make_keys(const Event *event, Keyring *into)
{
    unsigned char *end = add_text(into->stream_bytes, event->slices[SUBJECT]);
    end = add_text(end, event->slices[SOURCE]);
    into->stream = wanted(into->stream_bytes, (size_t)(end - into->stream_bytes));
    end = into->shape_bytes;
    for (int i = 0; i < SHAPE_FIELDS; i++)
        end = add_text(end, event->slices[i]);
    *end++ = (unsigned char)(event->background + 1);
    into->shape = wanted(into->shape_bytes, (size_t)(end - into->shape_bytes));
    into->attributes = wanted_text(event->slices[ATTRIBUTES]);
    into->tags = wanted_text(event->slices[TAGS]);
}

/* ---------------------------------------------------------------- caches */

static CacheSlot *set_of(const Cache *cache, uint64_t hash)
{
    return cache->slots + (hash & (SETS - 1)) * WAYS;
}

static void expect_place(const Cache *cache, uint64_t hash)
{
    if (cache->slots != NULL)
        __builtin_prefetch(set_of(cache, hash));
}

static void expect_entry(const Cache *cache, uint64_t hash)
{
    CacheSlot *set = cache->slots == NULL ? NULL : set_of(cache, hash);
    for (int i = 0; set != NULL && i < WAYS && set[i].known != NULL; i++)
        if (set[i].hash == hash) {
            __builtin_prefetch(set[i].known);
            __builtin_prefetch((char *)set[i].known + LINE);
            return;
        }
}

void expect_places(const Memory *memory, const Keyring *keyring)
{
    expect_place(&memory->streams, keyring->stream.hash);
    expect_place(&memory->shapes, keyring->shape.hash);
    expect_place(&memory->attributes, keyring->attributes.hash);
    expect_place(&memory->tags, keyring->tags.hash);
}

void expect_entries(const Memory *memory, const Keyring *keyring)
{
    expect_entry(&memory->shapes, keyring->shape.hash);
    expect_entry(&memory->attributes, keyring->attributes.hash);
    expect_entry(&memory->streams, keyring->stream.hash);
}

static bool is_key(const CacheSlot *slot, const Wanted *wanted)
{
    const Known *known = slot->known;
    return slot->hash == wanted->hash && known->size == wanted->bytes.size
           && (known->size == 0 || memcmp((const char *)known + known->key_at, wanted->bytes.text, known->size) == 0);
}

/* Found ones move to the front of their set, so that the back is what goes when there is no room. */
static Known *find(const Cache *cache, const Wanted *wanted)
{
    if (cache->slots == NULL)
        return NULL;
    CacheSlot *set = set_of(cache, wanted->hash);
    for (int i = 0; i < WAYS && set[i].known != NULL; i++) {
        if (!is_key(&set[i], wanted))
            continue;
        CacheSlot found = set[i];
        if (i > 0) {
            memmove(set + 1, set, (size_t)i * sizeof *set);
            set[0] = found;
        }
        return found.known;
    }
    return NULL;
}

static int open_cache(Cache *cache)
{
    cache->allocated = PyMem_Calloc(SETS * WAYS * sizeof *cache->slots + LINE, 1);
    if (cache->allocated == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    cache->slots = (CacheSlot *)(((uintptr_t)cache->allocated + LINE - 1) / LINE * LINE);
    return 0;
}

typedef void Drop(Known *known);

/* Put a new entry of so many bytes in front, in place of one with its key or of the last; NULL with an exception set. */
static Known *add(Cache *cache, const Wanted *wanted, size_t size, Drop *drop)
{
    if (cache->slots == NULL && open_cache(cache) < 0)
        return NULL;
    Known *known = PyMem_Calloc(1, size + wanted->bytes.size);
    if (known == NULL)
        return (Known *)PyErr_NoMemory();
    known->key_at = (uint32_t)size;
    known->size = (uint32_t)wanted->bytes.size;
    if (known->size != 0)
        memcpy((char *)known + size, wanted->bytes.text, known->size);
    CacheSlot *set = set_of(cache, wanted->hash);
    int place = 0;
    while (place < WAYS - 1 && set[place].known != NULL && !is_key(&set[place], wanted))
        place++;
    Known *gone = set[place].known;
    memmove(set + 1, set, (size_t)place * sizeof *set);
    set[0] = (CacheSlot){wanted->hash, known};
    if (gone != NULL)
        drop(gone);
    return known;
}

static void empty(Cache *cache, Drop *drop)
{
    Cache former = *cache;
    *cache = (Cache){NULL, NULL};
    for (size_t i = 0; former.slots != NULL && i < SETS * WAYS; i++)
        if (former.slots[i].known != NULL)
            drop(former.slots[i].known);
    PyMem_Free(former.allocated);
}

/* The entry that was put in last could not be filled; it must not be found. */
static int take_back(Cache *cache, const Wanted *wanted, Drop *drop)
{
    CacheSlot *set = set_of(cache, wanted->hash);
    Known *known = set[0].known;
    memmove(set, set + 1, (WAYS - 1) * sizeof *set);
    set[WAYS - 1] = (CacheSlot){0, NULL};
    drop(known);
    return -1;
}

static void drop_text(Known *known)
{
    Py_XDECREF(known->object);
    PyMem_Free(known);
}

static void drop_stream(Known *known)
{
    Py_XDECREF(((KnownStream *)known)->head);
    drop_text(known);
}

static void drop_shape(Known *known)
{
    PyMem_Free(((KnownShape *)known)->rates);
    drop_text(known);
}

KnownStream *find_stream(Memory *memory, const Keyring *keyring)
{
    return (KnownStream *)find(&memory->streams, &keyring->stream);
}

KnownShape *find_shape(Memory *memory, const Keyring *keyring, int64_t time)
{
    KnownShape *shape = (KnownShape *)find(&memory->shapes, &keyring->shape);
    return shape != NULL && shape->from_us <= time && time < shape->until_us ? shape : NULL;
}

KnownText *find_text(Cache *texts, const Wanted *wanted)
{
    return wanted->bytes.size <= LONGEST_KEY ? (KnownText *)find(texts, wanted) : NULL;
}

void forget_shapes(Memory *memory)
{
    empty(&memory->shapes, drop_shape);
}

void forget_meters(Memory *memory)
{
    while (memory->meter_count > 0) {
        Meter *meter = &memory->meters[--memory->meter_count];
        Py_CLEAR(meter->meter);
        Py_CLEAR(meter->name);
        Py_CLEAR(meter->key);
    }
}

/* ---------------------------------------------------------------- meters */

static int read_meter(Meter *into, PyObject *meter)
{
    *into = (Meter){.meter = Py_NewRef(meter)};
    if (!get(meter, "name", &into->name) || !get(meter, "key", &into->key))
        return -1;
    return get_int(meter, "idle_us", &into->idle_us) < 0 ? -1 : get_int(meter, "max_age_us", &into->max_age_us);
}

const Meter *meter_of(Memory *memory, PyObject *meter)
{
    for (int i = 0; i < memory->meter_count; i++)
        if (memory->meters[i].meter == meter)
            return &memory->meters[i];
    if (memory->meter_count == MOST_METERS)
        forget_meters(memory);
    Meter *found = &memory->meters[memory->meter_count++];
    if (read_meter(found, meter) == 0)
        return found;
    forget_meters(memory);
    return NULL;
}

/* ---------------------------------------------------------------- learning */

/* An attribute that is an int of 64 bits; -1 with an exception set, or 0 and clipped where it is larger. */
static int read_int(PyObject *object, const char *name, int64_t *into)
{
    int overflow;
    PyObject *value = PyObject_GetAttrString(object, name);
    if (value == NULL)
        return -1;
    *into = PyLong_AsLongLongAndOverflow(value, &overflow);
    Py_DECREF(value);
    if (overflow != 0)
        *into = overflow > 0 ? INT64_MAX : INT64_MIN;
    return PyErr_Occurred() ? -1 : 0;
}

/* One table of rates; 0 where a rate does not fit, -1 with an exception set. */
static int read_rates(const Memory *memory, PyObject *table, int64_t *rates)
{
    if (!PyDict_Check(table))
        return 0;
    for (int i = 0; i < memory->usage.size; i++) {
        int overflow;
        PyObject *rate = PyDict_GetItemWithError(table, memory->usage_names[i]);
        rates[i] = -1;
        if (rate == NULL) {
            if (PyErr_Occurred())
                return -1;
            continue;
        }
        rates[i] = PyLong_AsLongLongAndOverflow(rate, &overflow);
        if (PyErr_Occurred())
            return -1;
        if (overflow != 0 || rates[i] < 0)
            return 0;
    }
    return 1;
}

static int read_tier(const Memory *memory, PyObject *tier, KnownShape *known, int at)
{
    PyObject *threshold, *table;
    int overflow;
    if (!PyArg_ParseTuple(tier, "OO", &threshold, &table))
        return -1;
    known->thresholds[at] = PyLong_AsLongLongAndOverflow(threshold, &overflow);
    if (PyErr_Occurred())
        return -1;
    return overflow != 0 ? 0 : read_rates(memory, table, known->rates[at]);
}

/* 1 where the request's price can be computed here, 0 where not, -1 with an exception set. */
static int read_tables(const Memory *memory, PyObject *flat, PyObject *tiers, KnownShape *known)
{
    Py_ssize_t count = PyTuple_Check(tiers) ? PyTuple_GET_SIZE(tiers) : MOST_TIERS + 1;
    if (flat == Py_None && (count < 1 || count > MOST_TIERS))
        return 0;
    known->tiers = flat == Py_None ? (int)count : 1;
    known->rates = PyMem_Calloc((size_t)known->tiers, sizeof *known->rates);
    if (known->rates == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    known->thresholds[0] = INT64_MIN;
    if (flat != Py_None)
        return read_rates(memory, flat, known->rates[0]);
    for (int i = 0; i < known->tiers; i++) {
        int found = read_tier(memory, PyTuple_GET_ITEM(tiers, i), known, i);
        if (found != 1)
            return found;
    }
    return 1;
}

static int read_pricing(const Memory *memory, PyObject *rates, KnownShape *known)
{
    int64_t per_request;
    known->pricing = UNPRICED;
    if (rates == Py_None)
        return 0;
    known->pricing = UNSURE;
    if (read_int(rates, "per_request", &per_request) < 0)
        return -1;
    PyObject *flat = PyObject_GetAttrString(rates, "flat");
    PyObject *tiers = flat == NULL ? NULL : PyObject_GetAttrString(rates, "tiers");
    int found = tiers == NULL ? -1 : read_tables(memory, flat, tiers, known);
    Py_XDECREF(flat);
    Py_XDECREF(tiers);
    if (found > 0 && per_request == 0)
        known->pricing = PRICED;
    return found < 0 ? -1 : 0;
}

static int read_currency(PyObject *shape, KnownShape *known)
{
    PyObject *catalog = PyObject_GetAttrString(shape, "catalog");
    PyObject *currency = catalog == NULL ? NULL : PyObject_GetAttrString(catalog, "currency");
    Py_ssize_t size = 0;
    const char *text = currency == NULL ? NULL : PyUnicode_AsUTF8AndSize(currency, &size);
    if (text != NULL && size == 3)
        memcpy(known->currency, text, 3);
    Py_XDECREF(currency);
    Py_XDECREF(catalog);
    return text == NULL ? -1 : 0;
}

static int learn_shape(Memory *memory, const Wanted *wanted, PyObject *shape)
{
    KnownShape *known = (KnownShape *)add(&memory->shapes, wanted, sizeof *known, drop_shape);
    if (known == NULL)
        return -1;
    known->known.object = Py_NewRef(shape);
    PyObject *rates = NULL, *is_request = PyObject_GetAttrString(shape, "is_request");
    int failed = is_request == NULL || read_int(shape, "lo", &known->from_us) < 0
                 || read_int(shape, "hi", &known->until_us) < 0 || read_currency(shape, known) < 0;
    known->pricing = FREE;
    if (!failed && is_request == Py_True) {
        rates = PyObject_GetAttrString(shape, "rates");
        failed = rates == NULL || read_pricing(memory, rates, known) < 0;
    }
    Py_XDECREF(rates);
    Py_XDECREF(is_request);
    return failed ? take_back(&memory->shapes, wanted, drop_shape) : 0;
}

static int learn_stream(Memory *memory, const Wanted *wanted, PyObject *stream)
{
    KnownStream *known = (KnownStream *)add(&memory->streams, wanted, sizeof *known, drop_stream);
    if (known == NULL)
        return -1;
    known->known.object = Py_NewRef(stream);
    known->head = PyObject_GetAttrString(stream, "head");
    if (known->head != NULL && !PyBytes_Check(known->head))
        PyErr_SetString(PyExc_TypeError, "a stream's head is bytes");
    return PyErr_Occurred() ? take_back(&memory->streams, wanted, drop_stream) : 0;
}

int learn(Memory *memory, const Event *event, const Keyring *keyring, PyObject *prepared)
{
    if (!PyTuple_Check(prepared) || PyTuple_GET_SIZE(prepared) < 4 || PyTuple_GET_ITEM(prepared, 1) == Py_None)
        return 0; /* rejected: nothing is certain of it */
    if (find_stream(memory, keyring) == NULL && learn_stream(memory, &keyring->stream, PyTuple_GET_ITEM(prepared, 1)) < 0)
        return -1;
    if (find_shape(memory, keyring, event->time_us) == NULL
        && learn_shape(memory, &keyring->shape, PyTuple_GET_ITEM(prepared, 3)) < 0)
        return -1;
    return 0;
}

KnownText *learn_text(Cache *texts, const Wanted *wanted, PyObject *object)
{
    if (wanted->bytes.size > LONGEST_KEY)
        return NULL;
    KnownText *known = (KnownText *)add(texts, wanted, sizeof *known, drop_text);
    if (known == NULL)
        return NULL;
    known->known.object = Py_NewRef(object);
    known->pairs = PyTuple_GET_ITEM(object, 0);
    known->has_text = PyUnicode_GET_LENGTH(PyTuple_GET_ITEM(object, 1)) != 0;
    return known;
}

/* ---------------------------------------------------------------- prices */

static const int64_t *rates_of(const Memory *memory, const KnownShape *shape, const Event *event)
{
    int64_t prompt = 0;
    for (int i = 0; i < event->usage_size; i++)
        if (memory->prompt >> event->usage_names[i] & 1)
            prompt += event->usage_counts[i];
    for (int i = 0; i < shape->tiers; i++)
        if (shape->thresholds[i] < prompt)
            return shape->rates[i];
    return NULL;
}

static bool compute(const Memory *memory, const KnownShape *shape, const Event *event, int64_t *into)
{
    const int64_t *rates = rates_of(memory, shape, event);
    unsigned __int128 total = ITEM_ROUNDING;
    if (rates == NULL)
        return false;
    for (int i = 0; i < event->usage_size; i++) {
        int64_t rate = rates[event->usage_names[i]];
        if (rate < 0)
            return false;
        total += (unsigned __int128)rate * (uint64_t)event->usage_counts[i];
    }
    total /= ITEM_SCALE;
    if (total > (unsigned __int128)memory->most_pico)
        return false;
    *into = (int64_t)total;
    return true;
}

/* Without rates a request that used nothing costs nothing, any other is unpriced (D48). */
static int64_t without_rates(const Event *event)
{
    for (int i = 0; i < event->usage_size; i++)
        if (event->usage_counts[i] != 0)
            return -1;
    return 0;
}

bool price_event(const Memory *memory, const KnownShape *shape, const Event *event, Price *into)
{
    into->cost = 0;
    into->computed = into->billed = -1;
    into->unpriced = false;
    if (shape->pricing == FREE)
        return true;
    if (shape->pricing == UNSURE)
        return false;
    if (shape->pricing == UNPRICED)
        into->computed = without_rates(event);
    else if (!compute(memory, shape, event, &into->computed))
        return false;
    into->cost = into->computed < 0 ? 0 : into->computed;
    if (!event->has_cost) {
        into->unpriced = into->computed < 0;
        return true;
    }
    if (memcmp(event->currency, shape->currency, 3) != 0 || event->billed_pico > memory->most_pico)
        return false;
    into->cost = into->billed = event->billed_pico;
    return true;
}

/* ---------------------------------------------------------------- the object */

static void let_go(PyObject *self)
{
    Memory *memory = (Memory *)self;
    PyTypeObject *type = Py_TYPE(self);
    empty(&memory->streams, drop_stream);
    empty(&memory->shapes, drop_shape);
    empty(&memory->attributes, drop_text);
    empty(&memory->tags, drop_text);
    forget_meters(memory);
    Py_XDECREF(memory->catalog);
    Py_XDECREF(memory->nothing_billed);
    Py_XDECREF(memory->complete);
    Py_XDECREF(memory->first_attempt);
    Py_XDECREF(memory->no_text);
    Py_XDECREF(memory->prepare_one);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot memory_slots[] = {{Py_tp_dealloc, let_go}, {0, NULL}};
PyType_Spec memory_spec = {
    .name = "unitrate._prepare.Memory",
    .basicsize = sizeof(Memory),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = memory_slots,
};
