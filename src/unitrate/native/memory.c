#include "memory.h"

#include <string.h>

#define SETS 8192 /* a power of two */
#define WAYS 4
#define MOST_KEY 4096
#define ITEM_ROUNDING 500000 /* half up from 10^-18 to 10^-12 */
#define ITEM_SCALE 1000000

/* ---------------------------------------------------------------- keys */

typedef struct {
    size_t size;
    unsigned char bytes[MOST_KEY];
} Key;

/* A length in front of each text keeps ("ab", "c") and ("a", "bc") apart, absent and empty ones too. */
static void add_text(Key *key, Slice text)
{
    uint16_t mark = text.text == NULL ? 0xFFFF : (uint16_t)text.size; /* at most LONGEST_TEXT bytes */
    memcpy(key->bytes + key->size, &mark, sizeof mark);
    key->size += sizeof mark;
    if (text.text != NULL) {
        memcpy(key->bytes + key->size, text.text, text.size);
        key->size += text.size;
    }
}

static void stream_key(const Event *event, Key *key)
{
    key->size = 0;
    add_text(key, event->slices[SUBJECT]);
    add_text(key, event->slices[SOURCE]);
}

static void shape_key(const Event *event, Key *key)
{
    key->size = 0;
    for (int i = 0; i < SHAPE_FIELDS; i++)
        add_text(key, event->slices[i]);
    key->bytes[key->size++] = (unsigned char)(event->background + 1);
}

static uint64_t hash_of(const Key *key)
{
    uint64_t hash = key->size * 0x9E3779B97F4A7C15u, word;
    size_t at = 0;
    for (; at + 8 <= key->size; at += 8) {
        memcpy(&word, key->bytes + at, 8);
        hash = (hash ^ word) * 0xBF58476D1CE4E5B9u;
        hash ^= hash >> 29;
    }
    word = 0;
    memcpy(&word, key->bytes + at, key->size - at);
    hash = (hash ^ word) * 0x94D049BB133111EBu;
    return hash ^ hash >> 32;
}

/* ---------------------------------------------------------------- caches */

static void drop(Known *known)
{
    if (known == NULL)
        return;
    Py_XDECREF(known->object);
    Py_XDECREF(known->head);
    PyMem_Free(known->rates);
    PyMem_Free(known->key);
    PyMem_Free(known);
}

static bool is_key(const Known *known, const Key *key, uint64_t hash)
{
    return known->hash == hash && known->size == key->size && memcmp(known->key, key->bytes, key->size) == 0;
}

/* Found ones move to the front of their set, so that the back is what goes when there is no room. */
static Known *find(const Cache *cache, const Key *key)
{
    if (cache->slots == NULL)
        return NULL;
    uint64_t hash = hash_of(key);
    Known **set = cache->slots + (hash & (SETS - 1)) * WAYS;
    for (int i = 0; i < WAYS && set[i] != NULL; i++) {
        Known *known = set[i];
        if (is_key(known, key, hash)) {
            memmove(set + 1, set, (size_t)i * sizeof *set);
            set[0] = known;
            return known;
        }
    }
    return NULL;
}

/* Put a new entry in front, in place of one with its key or of the last; NULL with an exception set. */
static Known *add(Cache *cache, const Key *key)
{
    if (cache->slots == NULL) {
        cache->slots = PyMem_Calloc(SETS * WAYS, sizeof *cache->slots);
        if (cache->slots == NULL)
            return (Known *)PyErr_NoMemory();
    }
    Known *known = PyMem_Calloc(1, sizeof *known);
    unsigned char *bytes = PyMem_Malloc(key->size);
    if (known == NULL || bytes == NULL) {
        PyMem_Free(known);
        PyMem_Free(bytes);
        return (Known *)PyErr_NoMemory();
    }
    memcpy(bytes, key->bytes, key->size);
    known->key = bytes;
    known->size = key->size;
    known->hash = hash_of(key);
    Known **set = cache->slots + (known->hash & (SETS - 1)) * WAYS, *gone;
    int place = 0;
    while (place < WAYS - 1 && set[place] != NULL && !is_key(set[place], key, known->hash))
        place++;
    gone = set[place];
    memmove(set + 1, set, (size_t)place * sizeof *set);
    set[0] = known;
    drop(gone);
    return known;
}

static void empty(Cache *cache)
{
    Known **slots = cache->slots;
    cache->slots = NULL;
    for (size_t i = 0; slots != NULL && i < SETS * WAYS; i++)
        drop(slots[i]);
    PyMem_Free(slots);
}

/* An entry that could not be filled; it must not be found. */
static int take_back(Cache *cache, Known *known)
{
    Known **set = cache->slots + (known->hash & (SETS - 1)) * WAYS;
    memmove(set, set + 1, (WAYS - 1) * sizeof *set); /* it is the front one */
    set[WAYS - 1] = NULL;
    drop(known);
    return -1;
}

Known *find_stream(Memory *memory, const Event *event)
{
    Key key;
    stream_key(event, &key);
    return find(&memory->streams, &key);
}

Known *find_shape(Memory *memory, const Event *event)
{
    Key key;
    shape_key(event, &key);
    Known *shape = find(&memory->shapes, &key);
    return shape != NULL && shape->from_us <= event->time_us && event->time_us < shape->until_us ? shape : NULL;
}

void forget_shapes(Memory *memory)
{
    empty(&memory->shapes);
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

static int read_tier(const Memory *memory, PyObject *tier, Known *known, int at)
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
static int read_tables(const Memory *memory, PyObject *flat, PyObject *tiers, Known *known)
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

static int read_pricing(const Memory *memory, PyObject *rates, Known *known)
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

static int read_currency(PyObject *shape, Known *known)
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

static int learn_shape(Memory *memory, const Event *event, PyObject *shape)
{
    Key key;
    shape_key(event, &key);
    Known *known = add(&memory->shapes, &key);
    if (known == NULL)
        return -1;
    known->object = Py_NewRef(shape);
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
    return failed ? take_back(&memory->shapes, known) : 0;
}

static int learn_stream(Memory *memory, const Event *event, PyObject *stream)
{
    Key key;
    stream_key(event, &key);
    Known *known = add(&memory->streams, &key);
    if (known == NULL)
        return -1;
    known->object = Py_NewRef(stream);
    known->head = PyObject_GetAttrString(stream, "head");
    if (known->head != NULL && !PyBytes_Check(known->head))
        PyErr_SetString(PyExc_TypeError, "a stream's head is bytes");
    return PyErr_Occurred() ? take_back(&memory->streams, known) : 0;
}

int learn(Memory *memory, const Event *event, PyObject *prepared)
{
    if (!PyTuple_Check(prepared) || PyTuple_GET_SIZE(prepared) < 4 || PyTuple_GET_ITEM(prepared, 1) == Py_None)
        return 0; /* rejected: nothing is certain of it */
    if (find_stream(memory, event) == NULL && learn_stream(memory, event, PyTuple_GET_ITEM(prepared, 1)) < 0)
        return -1;
    if (find_shape(memory, event) == NULL && learn_shape(memory, event, PyTuple_GET_ITEM(prepared, 3)) < 0)
        return -1;
    return 0;
}

/* ---------------------------------------------------------------- prices */

static const int64_t *rates_of(const Memory *memory, const Known *shape, const Event *event)
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

static bool compute(const Memory *memory, const Known *shape, const Event *event, int64_t *into)
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

bool price_event(const Memory *memory, const Known *shape, const Event *event, Price *into)
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
    empty(&memory->streams);
    empty(&memory->shapes);
    forget_meters(memory);
    Py_XDECREF(memory->catalog);
    Py_XDECREF(memory->day);
    for (int i = 0; i < memory->usage.size; i++)
        Py_XDECREF(memory->usage_names[i]);
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
