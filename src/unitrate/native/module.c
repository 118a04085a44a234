/* `prepare`: the native version of `unitrate.prepare.prepare`, equal to it record for record; and the module.
 *
 * Does the common event without Python, and hands every other record, whole, to `prepare.prepare_one`. So it
 * can be slower than it might be, never different. Keeps nothing but `engine.native`, its caches. */
#include "room.h"
#include "sha256.h"

#include <stdlib.h>
#include <string.h>

#define MOST_NAMES 64

static PyObject *memory_type;
static Rooms rooms;
static bool are_rooms_open;

const Rooms *rooms_of(void)
{
    if (!are_rooms_open && open_rooms(&rooms) < 0)
        return NULL;
    are_rooms_open = true;
    return &rooms;
}

/* Names as Python's strings, made once: by the address of the literal, which is all that ever asks. */
static PyObject *name_of(const char *text)
{
    static struct {
        const char *text;
        PyObject *name;
    } names[MOST_NAMES];
    int at = 0;
    while (at < MOST_NAMES && names[at].text != NULL && names[at].text != text)
        at++;
    if (at == MOST_NAMES)
        return PyUnicode_InternFromString(text);
    if (names[at].text == NULL) {
        names[at].name = PyUnicode_InternFromString(text);
        names[at].text = names[at].name == NULL ? NULL : text;
    }
    return Py_XNewRef(names[at].name);
}

bool get(PyObject *from, const char *name, PyObject **into)
{
    PyObject *named = name_of(name);
    *into = named == NULL ? NULL : PyObject_GetAttr(from, named);
    Py_XDECREF(named);
    return *into != NULL;
}

/* ---------------------------------------------------------------- caches of an engine */

int get_int(PyObject *from, const char *name, int64_t *into)
{
    PyObject *value;
    if (!get(from, name, &value))
        return -1;
    *into = PyLong_AsLongLong(value);
    Py_DECREF(value);
    return PyErr_Occurred() ? -1 : 0;
}

/* The names of usage counts in Python's order, and which of them are prompt tokens. */
static int read_names(Memory *memory, PyObject *usage, PyObject *prompt)
{
    Py_ssize_t count = PySequence_Size(usage);
    if (count < 0 || count > MOST_USAGE) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "more names of usage counts than there is room for");
        return -1;
    }
    for (int i = 0; i < (int)count; i++) {
        Py_ssize_t size;
        PyObject *name = PySequence_GetItem(usage, i);
        if (name == NULL)
            return -1;
        memory->usage_names[i] = name;
        memory->usage.size = i + 1;
        const char *text = PyUnicode_AsUTF8AndSize(name, &size);
        int counts = text == NULL ? -1 : PySequence_Contains(prompt, name);
        if (counts < 0)
            return -1;
        memory->usage.names[i] = (Slice){(const unsigned char *)text, (size_t)size};
        memory->prompt |= (uint32_t)counts << i;
    }
    return 0;
}

static int fill(Memory *memory, PyObject *plain)
{
    PyObject *usage = PyObject_GetAttrString(plain, "USAGE");
    PyObject *prompt = usage == NULL ? NULL : PyObject_GetAttrString(plain, "PROMPT_TOKENS");
    int failed = prompt == NULL || read_names(memory, usage, prompt) < 0;
    Py_XDECREF(usage);
    Py_XDECREF(prompt);
    if (failed || get_int(plain, "MAX_COST_PICO", &memory->most_pico) < 0
        || get_int(plain, "AHEAD_US", &memory->ahead_us) < 0
        || get_int(plain, "MAX_EVENT_BYTES", &memory->most_bytes) < 0)
        return -1;
    memory->prepare_one = PyObject_GetAttrString(plain, "prepare_one");
    if (memory->prepare_one == NULL)
        return -1;
    memory->complete = PyObject_GetAttrString(plain, "PICO");
    if (memory->complete == NULL)
        return -1;
    memory->nothing_billed = PyLong_FromLong(-1);
    memory->first_attempt = PyLong_FromLong(1);
    memory->no_text = PyUnicode_FromStringAndSize(NULL, 0);
    return memory->nothing_billed == NULL || memory->first_attempt == NULL || memory->no_text == NULL ? -1 : 0;
}

Memory *memory_of(PyObject *engine)
{
    PyObject *found;
    if (!get(engine, "native", &found) || Py_IS_TYPE(found, (PyTypeObject *)memory_type))
        return (Memory *)found; /* NULL where it has no place for them */
    Py_DECREF(found);
    PyObject *plain = PyImport_ImportModule("unitrate.prepare");
    if (plain == NULL)
        return NULL;
    Memory *memory = (Memory *)PyType_GenericAlloc((PyTypeObject *)memory_type, 0);
    if (memory != NULL
        && (fill(memory, plain) < 0 || PyObject_SetAttrString(engine, "native", (PyObject *)memory) < 0))
        Py_CLEAR(memory);
    Py_DECREF(plain);
    return memory;
}

/* ---------------------------------------------------------------- a batch */

typedef struct {
    PyObject *engine, *raws, *instants, *texts, *attributes, *tags, *shapes, *ahead;
    int64_t ahead_us;
    Memory *memory;
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

/* Attributes or tags as read before; a new reference, or NULL where they are not good (or an exception is set). */
static PyObject *known_text(Work *work, PyObject *known, const char *reader, Slice raw)
{
    PyObject *key = PyBytes_FromStringAndSize((const char *)raw.text, (Py_ssize_t)raw.size);
    if (key == NULL)
        return NULL;
    PyObject *found = Py_XNewRef(PyDict_GetItemWithError(known, key));
    if (found == NULL && !PyErr_Occurred())
        found = PyObject_CallMethod(work->texts, reader, "O", key);
    Py_DECREF(key);
    if (found == NULL)
        return NULL;
    if (!PyTuple_Check(found) || PyTuple_GET_SIZE(found) != 3 || !PyTuple_Check(PyTuple_GET_ITEM(found, 0)))
        Py_CLEAR(found);
    return found;
}

static PyObject *text_of(Slice slice)
{
    return PyUnicode_DecodeUTF8((const char *)slice.text, (Py_ssize_t)slice.size, NULL);
}

static PyObject *usage_of(const Memory *memory, const Event *event)
{
    if (!event->has_usage)
        return Py_NewRef(Py_None);
    PyObject *usage = PyDict_New();
    for (int i = 0; usage != NULL && i < event->usage_size; i++) {
        PyObject *count = PyLong_FromLongLong(event->usage_counts[i]);
        if (count == NULL || PyDict_SetItem(usage, memory->usage_names[event->usage_names[i]], count) < 0)
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
static void put_figures(const Memory *memory, const Event *event, const Known *shape, const Price *price, PyObject *to)
{
    bool is_request = shape->pricing != FREE;
    PyTuple_SET_ITEM(to, P_ATTEMPT, event->attempt == 1 ? Py_NewRef(memory->first_attempt) : PyLong_FromLongLong(event->attempt));
    PyTuple_SET_ITEM(to, P_COST, PyLong_FromLongLong(price->cost));
    PyTuple_SET_ITEM(to, P_COMPUTED, pico_of(memory, price->computed));
    PyTuple_SET_ITEM(to, P_BILLED, pico_of(memory, price->billed));
    PyTuple_SET_ITEM(to, P_UNPRICED, PyBool_FromLong(price->unpriced));
    PyTuple_SET_ITEM(to, P_USAGE, is_request ? usage_of(memory, event) : Py_NewRef(Py_None));
}

static PyObject *digest_of(const Known *stream, Slice id)
{
    unsigned char digest[16];
    const unsigned char *head = (const unsigned char *)PyBytes_AS_STRING(stream->head);
    half_sha256(head, (size_t)PyBytes_GET_SIZE(stream->head), id.text, id.size, digest);
    return PyBytes_FromStringAndSize((const char *)digest, sizeof digest);
}

/* The whole tuple; takes over both texts. */
static PyObject *tuple_of(const Memory *memory, const Event *event, const Known *stream, const Known *shape,
                          const Price *price, PyObject *attributes, PyObject *tags)
{
    const Slice *slices = event->slices;
    PyObject *to = PyTuple_New(PARTS);
    if (to != NULL) {
        PyTuple_SET_ITEM(to, P_TIME, PyLong_FromLongLong(event->time_us));
        PyTuple_SET_ITEM(to, P_STREAM, Py_NewRef(stream->object));
        PyTuple_SET_ITEM(to, P_DIGEST, digest_of(stream, slices[ID]));
        PyTuple_SET_ITEM(to, P_SHAPE, Py_NewRef(shape->object));
        PyTuple_SET_ITEM(to, P_ATTRIBUTES, Py_NewRef(attributes));
        PyTuple_SET_ITEM(to, P_COMPLETION, Py_NewRef(memory->complete));
        PyTuple_SET_ITEM(to, P_ID, text_of(slices[ID]));
        PyTuple_SET_ITEM(to, P_RUN, text_of(slices[RUN_ID]));
        PyTuple_SET_ITEM(to, P_RETRY_OF, slices[RETRY_OF].size == 0 ? Py_NewRef(memory->no_text) : text_of(slices[RETRY_OF]));
        put_figures(memory, event, shape, price, to);
        PyTuple_SET_ITEM(to, P_ATTRIBUTES_TEXT, Py_NewRef(PyTuple_GET_ITEM(attributes, 1)));
        PyTuple_SET_ITEM(to, P_TAGS_TEXT, Py_NewRef(PyTuple_GET_ITEM(tags, 1)));
        for (int i = 0; to != NULL && i < PARTS; i++)
            if (PyTuple_GET_ITEM(to, i) == NULL)
                Py_CLEAR(to);
    }
    Py_DECREF(attributes);
    Py_DECREF(tags);
    return to;
}

/* NULL without an exception where the plain version must look at the record. */
static PyObject *natively(Work *work, const Event *event)
{
    Price price;
    Known *stream = find_stream(work->memory, event);
    Known *shape = stream == NULL ? NULL : find_shape(work->memory, event);
    if (shape == NULL || !price_event(work->memory, shape, event, &price))
        return NULL;
    PyObject *attributes = known_text(work, work->attributes, "read_attributes", event->slices[ATTRIBUTES]);
    if (attributes == NULL)
        return NULL;
    PyObject *tags = known_text(work, work->tags, "read_tags", event->slices[TAGS]);
    if (tags == NULL) {
        Py_DECREF(attributes);
        return NULL;
    }
    return tuple_of(work->memory, event, stream, shape, &price, attributes, tags);
}

static PyObject *prepare_raw(Work *work, PyObject *raw)
{
    Event event;
    bool is_read = PyBytes_Check(raw) && PyBytes_GET_SIZE(raw) <= work->memory->most_bytes;
    if (is_read) {
        Slice bytes = {(const unsigned char *)PyBytes_AS_STRING(raw), (size_t)PyBytes_GET_SIZE(raw)};
        is_read = read_event(bytes, &work->memory->usage, &event) && event.time_us <= work->ahead_us;
    }
    PyObject *prepared = is_read ? natively(work, &event) : NULL;
    if (prepared != NULL || PyErr_Occurred())
        return prepared;
    prepared = PyObject_CallFunctionObjArgs(work->memory->prepare_one, work->engine, raw, work->ahead, NULL);
    if (prepared == NULL)
        return NULL;
    if (follow_shapes(work) < 0 || (is_read && learn(work->memory, &event, prepared) < 0))
        Py_CLEAR(prepared);
    return prepared;
}

static PyObject *prepare_all(Work *work)
{
    PyObject *all = PyList_New(0);
    for (Py_ssize_t i = 0; all != NULL && i < PyList_GET_SIZE(work->raws); i++) {
        if (work->instants != Py_None && set_ahead_of(work, i) < 0) {
            Py_CLEAR(all);
            break;
        }
        PyObject *raw = Py_NewRef(PyList_GET_ITEM(work->raws, i));
        PyObject *prepared = prepare_raw(work, raw);
        Py_DECREF(raw);
        if (prepared == NULL || PyList_Append(all, prepared) < 0)
            Py_CLEAR(all);
        Py_XDECREF(prepared);
    }
    return all;
}

static int open_work(Work *work, PyObject *batch)
{
    PyObject *engine = work->engine, *entered;
    work->memory = memory_of(engine);
    if (work->memory == NULL || !get(batch, "raws", &work->raws) || !get(batch, "timestamps_us", &work->instants)
        || !get(engine, "texts", &work->texts) || !get(engine, "shapes", &work->shapes)
        || !get(work->texts, "attributes", &work->attributes) || !get(work->texts, "tags", &work->tags))
        return -1;
    if (!PyList_Check(work->raws) || !PyDict_Check(work->attributes) || !PyDict_Check(work->tags)) {
        PyErr_SetString(PyExc_TypeError, "raws are a list; known attributes and tags are dicts");
        return -1;
    }
    if (!get(batch, "entered_us", &entered))
        return -1;
    int failed = set_ahead(work, entered) < 0;
    Py_DECREF(entered);
    return failed ? -1 : follow_shapes(work);
}

static PyObject *prepare(PyObject *module, PyObject *arguments)
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
    Py_XDECREF((PyObject *)work.memory);
    return all;
}

/* ---------------------------------------------------------------- the module */

static PyObject *half_digest(PyObject *module, PyObject *arguments)
{
    const char *head, *tail;
    Py_ssize_t head_size, tail_size;
    unsigned char into[16];
    int allow_hardware;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "y#y#p:half_digest", &head, &head_size, &tail, &tail_size, &allow_hardware))
        return NULL;
    choose_sha256(allow_hardware);
    half_sha256((const unsigned char *)head, (size_t)head_size, (const unsigned char *)tail, (size_t)tail_size, into);
    choose_sha256(1);
    return PyBytes_FromStringAndSize((const char *)into, sizeof into);
}

static PyMethodDef methods[] = {
    {"prepare", prepare, METH_VARARGS, "prepare(engine, batch): one Prepared for each record of the batch."},
    {"join", join, METH_VARARGS,
     "join(engine, batch, prepared, older, fates, entries, first, end): how many from `first` on joined open units."},
    {"extend", extend, METH_VARARGS, "extend(engine, entries): append a micro-batch to the engine's event buffer."},
    {"large_pages", large_pages, METH_NOARGS, "large_pages(): ask for large pages for what is allocated from here on."},
    {"half_digest", half_digest, METH_VARARGS, "half_digest(head, tail, hardware): 16 bytes of SHA-256, for tests."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "unitrate._prepare", .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__prepare(void)
{
    const char *plain = getenv("UNITRATE_PLAIN");
    if (plain != NULL && *plain != '\0') {
        PyErr_SetString(PyExc_ImportError, "UNITRATE_PLAIN is set: the plain version is asked for");
        return NULL;
    }
    choose_sha256(1);
    memory_type = PyType_FromSpec(&memory_spec);
    return memory_type == NULL ? NULL : PyModule_Create(&definition);
}
