/* `prepare`: the native version of `unitrate.prepare.prepare`, equal to it record for record.
 *
 * Does the common event without Python, and hands every other record, whole, to `prepare.prepare_one`. So it
 * can be slower than it might be, never different. */
#include "batch.h"
#include "room.h"
#include "sha256.h"
#include "tables.h"

#include <string.h>

typedef struct {
    PyObject *engine, *raws, *instants, *texts, *attributes, *tags, *shapes, *ahead, *recent;
    int64_t ahead_us;
    Memory *memory;
    const Rooms *rooms;
} Work;

/* Publications and evictions change the generation; what is known of shapes holds no longer then. */
static int follow_shapes(Work *work)
{
    int64_t generation;
    if (get_int(work->shapes, "generation", &generation) < 0)
        return -1;
    if (generation != work->memory->generation)
        forget_shapes(work->memory);
    work->memory->generation = generation;
    return 0;
}

/* The latest time that an event may have: as an object for the plain version, and as an integer. */
static int set_ahead(Work *work, PyObject *entered)
{
    PyObject *span = PyLong_FromLongLong(work->memory->ahead_us);
    PyObject *ahead = span == NULL ? NULL : PyNumber_Add(entered, span);
    int overflow;
    Py_XDECREF(span);
    if (ahead == NULL)
        return -1;
    Py_XSETREF(work->ahead, ahead);
    work->ahead_us = PyLong_AsLongLongAndOverflow(ahead, &overflow);
    if (overflow != 0)
        work->ahead_us = INT64_MIN; /* the plain version decides */
    return PyErr_Occurred() ? -1 : 0;
}

static int set_ahead_of(Work *work, Py_ssize_t index)
{
    PyObject *instant = PySequence_GetItem(work->instants, index);
    int failed = instant == NULL || set_ahead(work, instant) < 0;
    Py_XDECREF(instant);
    return failed ? -1 : 0;
}

/* ---------------------------------------------------------------- one record */

/* Attributes or tags as read before; NULL where they are not good or too long (or an exception is set). */
static KnownText *known_text(Work *work, Cache *cache, PyObject *known, const char *reader, const Wanted *wanted)
{
    KnownText *text = find_text(cache, wanted);
    if (text != NULL)
        return text;
    PyObject *key = PyBytes_FromStringAndSize((const char *)wanted->bytes.text, (Py_ssize_t)wanted->bytes.size);
    if (key == NULL)
        return NULL;
    PyObject *found = Py_XNewRef(PyDict_GetItemWithError(known, key));
    if (found == NULL && !PyErr_Occurred())
        found = PyObject_CallMethod(work->texts, reader, "O", key);
    Py_DECREF(key);
    if (found == NULL)
        return NULL;
    if (PyTuple_Check(found) && PyTuple_GET_SIZE(found) == 3 && PyTuple_Check(PyTuple_GET_ITEM(found, 0))
        && PyUnicode_Check(PyTuple_GET_ITEM(found, 1)))
        text = learn_text(cache, wanted, found);
    Py_DECREF(found);
    return text;
}

static void digest_of(const KnownStream *stream, Slice id, unsigned char into[16])
{
    const unsigned char *head = (const unsigned char *)PyBytes_AS_STRING(stream->head);
    half_sha256(head, (size_t)PyBytes_GET_SIZE(stream->head), id.text, id.size, into);
}

static void copy_usage(Item *item, const Event *event)
{
    item->has_usage = event->has_usage;
    item->usage_size = (unsigned char)event->usage_size;
    for (int i = 0; i < event->usage_size; i++) {
        item->usage_names[i] = (unsigned char)event->usage_names[i];
        item->usage[i] = event->usage_counts[i];
    }
}

static Slice text_if(const KnownText *known, Slice raw)
{
    return known->has_text ? raw : (Slice){NULL, 0};
}

/* The state of the meter that the request's run is looked up in, where one is certain: borrowed, or NULL. */
static PyObject *state_of(Work *work, const Item *item)
{
    const Rooms *rooms = work->rooms;
    if (!Py_IS_TYPE(item->stream, rooms->stream.type) || !Py_IS_TYPE(item->shape, rooms->shape.type))
        return NULL;
    PyObject *account = *slot(&rooms->stream, item->stream, S_ACCOUNT), *meter = *slot(&rooms->shape, item->shape, H_FAST_METER);
    if (account == NULL || !Py_IS_TYPE(account, rooms->account.type) || meter == NULL || meter == Py_None)
        return NULL;
    const Meter *known = meter_of(work->memory, meter);
    PyObject *meters = *slot(&rooms->account, account, A_METERS);
    PyObject *state = known != NULL && is_dict(meters) ? PyDict_GetItemWithError(meters, known->name) : NULL;
    return state != NULL && Py_IS_TYPE(state, rooms->meter.type) ? state : NULL;
}

/* False where the plain version must look at the record, or an exception is set; nothing is kept then. */
static bool natively(Work *work, const Event *event, const Keyring *keyring, Item *item)
{
    Memory *memory = work->memory;
    KnownStream *stream = find_stream(memory, keyring);
    KnownShape *shape = stream == NULL ? NULL : find_shape(memory, keyring, event->time_us);
    if (shape == NULL || !price_event(memory, shape, event, &item->price))
        return false;
    KnownText *attributes = known_text(work, &memory->attributes, work->attributes, "read_attributes", &keyring->attributes);
    if (attributes == NULL)
        return false;
    KnownText *tags = known_text(work, &memory->tags, work->tags, "read_tags", &keyring->tags);
    if (tags == NULL)
        return false;
    const Slice *slices = event->slices;
    item->attributes = Py_NewRef(attributes->known.object);
    item->pairs = attributes->pairs;
    item->attributes_text = text_if(attributes, slices[ATTRIBUTES]);
    item->tags = Py_NewRef(tags->known.object);
    item->tags_text = text_if(tags, slices[TAGS]);
    item->stream = Py_NewRef(stream->known.object);
    item->shape = Py_NewRef(shape->known.object);
    item->id = slices[ID];
    item->run = slices[RUN_ID];
    item->retry_of = slices[RETRY_OF];
    item->time = event->time_us;
    item->attempt = event->attempt;
    item->is_request = shape->pricing != FREE;
    copy_usage(item, event);
    digest_of(stream, item->id, item->digest);
    item->state = Py_XNewRef(state_of(work, item));
    return true;
}

/* What will be looked up soon, for the processor to fetch it in the meantime. */
static void expect_state(Work *work, Item *item)
{
    expect_digest((Recent *)work->recent, item->digest);
    item->run_hash = hash_text(item->run);
    PyObject *keys = item->state == NULL ? NULL : *slot(&work->rooms->meter, item->state, M_KEYS);
    if (keys != NULL && Py_IS_TYPE(keys, &keys_type))
        expect_key((Keys *)keys, item->run_hash);
}

/* ---------------------------------------------------------------- one record after the other */

/* A record that was read, and what will be looked up of it. */
typedef struct {
    bool is_read;
    Event event;
    Keyring keyring;
} Ahead;

static void read_ahead(const Memory *memory, const Item *item, Ahead *ahead)
{
    PyObject *raw = item->raw;
    ahead->is_read = PyBytes_Check(raw) && PyBytes_GET_SIZE(raw) <= memory->most_bytes;
    if (!ahead->is_read)
        return;
    Slice bytes = {(const unsigned char *)PyBytes_AS_STRING(raw), (size_t)PyBytes_GET_SIZE(raw)};
    ahead->is_read = read_event(bytes, &memory->usage, &ahead->event);
    if (!ahead->is_read)
        return;
    make_keys(&ahead->event, &ahead->keyring);
    expect_places(memory, &ahead->keyring);
}

static int prepare_item(Work *work, Item *item, const Ahead *ahead)
{
    bool is_read = ahead->is_read && ahead->event.time_us <= work->ahead_us;
    if (is_read && natively(work, &ahead->event, &ahead->keyring, item)) {
        expect_state(work, item);
        return PyErr_Occurred() ? -1 : 0;
    }
    if (PyErr_Occurred())
        return -1;
    item->tuple = PyObject_CallFunctionObjArgs(work->memory->prepare_one, work->engine, item->raw, work->ahead, NULL);
    if (item->tuple == NULL || follow_shapes(work) < 0)
        return -1;
    return is_read ? learn(work->memory, &ahead->event, &ahead->keyring, item->tuple) : 0;
}

/* ---------------------------------------------------------------- a record as Python sees it */

static PyObject *text_of(Slice slice)
{
    return PyUnicode_DecodeUTF8((const char *)slice.text, (Py_ssize_t)slice.size, NULL);
}

static PyObject *usage_of(const Memory *memory, const Item *item)
{
    if (!item->is_request || !item->has_usage)
        return Py_NewRef(Py_None);
    PyObject *usage = PyDict_New();
    for (int i = 0; usage != NULL && i < item->usage_size; i++) {
        PyObject *count = PyLong_FromLongLong(item->usage[i]);
        if (count == NULL || PyDict_SetItem(usage, memory->usage_names[item->usage_names[i]], count) < 0)
            Py_CLEAR(usage);
        Py_XDECREF(count);
    }
    return usage;
}

static PyObject *pico_of(const Memory *memory, int64_t pico)
{
    return pico == -1 ? Py_NewRef(memory->nothing_billed) : PyLong_FromLongLong(pico);
}

/* Figures of the tuple from `attempt` to `usage`; those that fail stay NULL. */
static void put_figures(const Memory *memory, const Item *item, PyObject *to)
{
    const Price *price = &item->price;
    PyTuple_SET_ITEM(to, P_ATTEMPT, item->attempt == 1 ? Py_NewRef(memory->first_attempt) : PyLong_FromLongLong(item->attempt));
    PyTuple_SET_ITEM(to, P_COST, PyLong_FromLongLong(price->cost));
    PyTuple_SET_ITEM(to, P_COMPUTED, pico_of(memory, price->computed));
    PyTuple_SET_ITEM(to, P_BILLED, pico_of(memory, price->billed));
    PyTuple_SET_ITEM(to, P_UNPRICED, PyBool_FromLong(price->unpriced));
    PyTuple_SET_ITEM(to, P_USAGE, usage_of(memory, item));
}

PyObject *tuple_of_item(Batch *batch, Item *item)
{
    const Memory *memory = batch->memory;
    if (item->tuple != NULL)
        return item->tuple;
    PyObject *to = PyTuple_New(PARTS);
    if (to == NULL)
        return NULL;
    PyTuple_SET_ITEM(to, P_TIME, PyLong_FromLongLong(item->time));
    PyTuple_SET_ITEM(to, P_STREAM, Py_NewRef(item->stream));
    PyTuple_SET_ITEM(to, P_DIGEST, PyBytes_FromStringAndSize((const char *)item->digest, sizeof item->digest));
    PyTuple_SET_ITEM(to, P_SHAPE, Py_NewRef(item->shape));
    PyTuple_SET_ITEM(to, P_ATTRIBUTES, Py_NewRef(item->attributes));
    PyTuple_SET_ITEM(to, P_COMPLETION, Py_NewRef(memory->complete));
    PyTuple_SET_ITEM(to, P_ID, text_of(item->id));
    PyTuple_SET_ITEM(to, P_RUN, text_of(item->run));
    PyTuple_SET_ITEM(to, P_RETRY_OF, item->retry_of.size == 0 ? Py_NewRef(memory->no_text) : text_of(item->retry_of));
    put_figures(memory, item, to);
    PyTuple_SET_ITEM(to, P_ATTRIBUTES_TEXT, Py_NewRef(PyTuple_GET_ITEM(item->attributes, 1)));
    PyTuple_SET_ITEM(to, P_TAGS_TEXT, Py_NewRef(PyTuple_GET_ITEM(item->tags, 1)));
    for (int i = 0; to != NULL && i < PARTS; i++)
        if (PyTuple_GET_ITEM(to, i) == NULL)
            Py_CLEAR(to);
    item->tuple = to;
    return to;
}

/* ---------------------------------------------------------------- a batch */

static void drop_batch(PyObject *self)
{
    Batch *batch = (Batch *)self;
    for (Py_ssize_t i = 0; i < batch->count; i++) {
        Item *item = &batch->items[i];
        Py_XDECREF(item->tuple);
        Py_XDECREF(item->raw);
        Py_XDECREF(item->stream);
        Py_XDECREF(item->shape);
        Py_XDECREF(item->attributes);
        Py_XDECREF(item->tags);
        Py_XDECREF(item->state);
    }
    PyMem_Free(batch->items);
    Py_XDECREF((PyObject *)batch->memory);
    Py_TYPE(self)->tp_free(self);
}

static Py_ssize_t count_items(PyObject *self)
{
    return ((Batch *)self)->count;
}

static PyObject *item_at(PyObject *self, Py_ssize_t at)
{
    Batch *batch = (Batch *)self;
    if (at < 0 || at >= batch->count) {
        PyErr_SetString(PyExc_IndexError, "no such record in the batch");
        return NULL;
    }
    return Py_XNewRef(tuple_of_item(batch, &batch->items[at]));
}

static PyObject *digests(PyObject *self, PyObject *unused)
{
    Batch *batch = (Batch *)self;
    PyObject *joined = PyBytes_FromStringAndSize(NULL, batch->count * 16);
    (void)unused;
    for (Py_ssize_t i = 0; joined != NULL && i < batch->count; i++) {
        const Item *item = &batch->items[i];
        const void *digest = item->digest;
        if (item->stream == NULL) {
            PyObject *own = PyTuple_Check(item->tuple) ? PyTuple_GET_ITEM(item->tuple, P_DIGEST) : NULL;
            if (own == NULL || !PyBytes_Check(own) || PyBytes_GET_SIZE(own) != 16) {
                PyErr_SetString(PyExc_TypeError, "a digest is 16 bytes");
                Py_CLEAR(joined);
                break;
            }
            digest = PyBytes_AS_STRING(own);
        }
        memcpy(PyBytes_AS_STRING(joined) + i * 16, digest, 16);
    }
    return joined;
}

static PyMethodDef batch_methods[] = {
    {"digests", digests, METH_NOARGS, "digests(): those of all records, 16 bytes each."},
    {NULL, NULL, 0, NULL},
};
static PySequenceMethods batch_sequence = {.sq_length = count_items, .sq_item = item_at};

PyTypeObject batch_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "unitrate._prepare.Batch",
    .tp_doc = "Prepared records.",
    .tp_basicsize = sizeof(Batch),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = drop_batch,
    .tp_methods = batch_methods,
    .tp_as_sequence = &batch_sequence,
};

static Batch *open_batch(Work *work)
{
    Py_ssize_t count = PyList_GET_SIZE(work->raws);
    Batch *batch = (Batch *)PyType_GenericAlloc(&batch_type, 0);
    if (batch == NULL)
        return NULL;
    batch->memory = (Memory *)Py_NewRef((PyObject *)work->memory);
    batch->items = PyMem_Malloc((size_t)(count > 0 ? count : 1) * sizeof *batch->items);
    if (batch->items == NULL) {
        Py_DECREF((PyObject *)batch);
        return (Batch *)PyErr_NoMemory();
    }
    for (; batch->count < count; batch->count++) {
        Item *item = &batch->items[batch->count];
        item->tuple = item->stream = item->shape = item->attributes = item->tags = item->state = NULL;
        item->raw = Py_NewRef(PyList_GET_ITEM(work->raws, batch->count));
    }
    return batch;
}

/* Records are read two and four steps before they are looked at: what they need is on its way meanwhile. */
#define STEPS 4
static PyObject *prepare_all(Work *work)
{
    Ahead ring[2 * STEPS];
    Batch *batch = open_batch(work);
    for (Py_ssize_t i = 0; batch != NULL && i < batch->count + STEPS; i++) {
        if (i < batch->count)
            read_ahead(work->memory, &batch->items[i], &ring[i % (2 * STEPS)]);
        Py_ssize_t soon = i - STEPS / 2, now = i - STEPS;
        if (soon >= 0 && soon < batch->count && ring[soon % (2 * STEPS)].is_read)
            expect_entries(work->memory, &ring[soon % (2 * STEPS)].keyring);
        if (now >= 0
            && ((work->instants != Py_None && set_ahead_of(work, now) < 0)
                || prepare_item(work, &batch->items[now], &ring[now % (2 * STEPS)]) < 0))
            Py_CLEAR(batch);
    }
    return (PyObject *)batch;
}

static int open_work(Work *work, PyObject *batch)
{
    PyObject *engine = work->engine, *entered, *seen;
    work->memory = memory_of(engine);
    work->rooms = rooms_of();
    if (work->memory == NULL || work->rooms == NULL || !get(batch, "raws", &work->raws) || !get(batch, "timestamps_us", &work->instants)
        || !get(engine, "texts", &work->texts) || !get(engine, "shapes", &work->shapes)
        || !get(work->texts, "attributes", &work->attributes) || !get(work->texts, "tags", &work->tags)
        || !get(engine, "seen", &seen))
        return -1;
    bool has_recent = get(seen, "recent", &work->recent);
    Py_DECREF(seen);
    if (!has_recent)
        return -1;
    if (!PyList_Check(work->raws) || !PyDict_Check(work->attributes) || !PyDict_Check(work->tags)
        || !Py_IS_TYPE(work->recent, &recent_type)) {
        PyErr_SetString(PyExc_TypeError, "raws are a list; known attributes and tags are dicts; recent is native");
        return -1;
    }
    if (!get(batch, "entered_us", &entered))
        return -1;
    int failed = set_ahead(work, entered) < 0;
    Py_DECREF(entered);
    return failed ? -1 : follow_shapes(work);
}

PyObject *prepare(PyObject *module, PyObject *arguments)
{
    Work work = {0};
    PyObject *batch, *all = NULL;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OO:prepare", &work.engine, &batch))
        return NULL;
    if (open_work(&work, batch) == 0)
        all = prepare_all(&work);
    Py_XDECREF(work.raws);
    Py_XDECREF(work.instants);
    Py_XDECREF(work.texts);
    Py_XDECREF(work.attributes);
    Py_XDECREF(work.tags);
    Py_XDECREF(work.shapes);
    Py_XDECREF(work.ahead);
    Py_XDECREF(work.recent);
    Py_XDECREF((PyObject *)work.memory);
    return all;
}
