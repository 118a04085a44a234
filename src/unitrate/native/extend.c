/* `EventBuffer.extend`: the accepted events of a micro-batch, appended to the ledger's columns. */
#include "room.h"

#include <string.h>

#define INTS 9
#define TEXTS 6
#define COMPLETE INT64_C(1000000000000)

enum Entry { E_OFFSET, E_EVENT, E_STREAM, E_SHAPE, E_FATE, E_UNIT, ENTRY_PARTS };

/* Where a column of ints, or of texts, comes from: a part of the entry, or (from 100 on) of its event. */
#define OF_EVENT 100
static const int INT_PARTS[INTS] = {
    E_OFFSET, OF_EVENT + P_TIME, E_STREAM, E_SHAPE, E_FATE, OF_EVENT + P_ATTEMPT, OF_EVENT + P_COST,
    OF_EVENT + P_COMPUTED, OF_EVENT + P_BILLED,
};
static const int TEXT_PARTS[TEXTS] = {
    OF_EVENT + P_ID, OF_EVENT + P_RUN, OF_EVENT + P_RETRY_OF, E_UNIT, OF_EVENT + P_ATTRIBUTES_TEXT,
    OF_EVENT + P_TAGS_TEXT,
};

static PyObject *event_of(PyObject *entry)
{
    return PyTuple_GET_ITEM(entry, E_EVENT);
}

static PyObject *part_of(PyObject *entry, int part)
{
    return part < OF_EVENT ? PyTuple_GET_ITEM(entry, part) : PyTuple_GET_ITEM(event_of(entry), part - OF_EVENT);
}

static bool are_entries(PyObject *entries)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(entries); i++) {
        PyObject *entry = PyList_GET_ITEM(entries, i);
        if (!PyTuple_CheckExact(entry) || PyTuple_GET_SIZE(entry) != ENTRY_PARTS)
            return false;
        if (!PyTuple_CheckExact(event_of(entry)) || PyTuple_GET_SIZE(event_of(entry)) != PARTS)
            return false;
    }
    return true;
}

static int append_ints(PyObject *array, const int64_t *values, Py_ssize_t count)
{
    PyObject *done = PyObject_CallMethod(array, "frombytes", "y#", (const char *)values, count * (Py_ssize_t)sizeof *values);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int extend_ints(PyObject *columns, PyObject *entries, int64_t *values)
{
    PyObject *name, *array;
    Py_ssize_t at = 0, count = PyList_GET_SIZE(entries);
    for (int column = 0; column < INTS && PyDict_Next(columns, &at, &name, &array); column++) {
        for (Py_ssize_t i = 0; i < count; i++) {
            values[i] = PyLong_AsLongLong(part_of(PyList_GET_ITEM(entries, i), INT_PARTS[column]));
            if (values[i] == -1 && PyErr_Occurred())
                return -1;
        }
        if (append_ints(array, values, count) < 0)
            return -1;
    }
    return 0;
}

static int extend_texts(PyObject *columns, PyObject *entries)
{
    PyObject *name, *texts;
    Py_ssize_t at = 0;
    for (int column = 0; column < TEXTS && PyDict_Next(columns, &at, &name, &texts); column++)
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(entries); i++)
            if (PyList_Append(texts, part_of(PyList_GET_ITEM(entries, i), TEXT_PARTS[column])) < 0)
                return -1;
    return 0;
}

/* ---------------------------------------------------------------- usage */

static int index_of(const Memory *memory, PyObject *name)
{
    for (int i = 0; i < memory->usage.size; i++)
        if (name == memory->usage_names[i])
            return i;
    for (int i = 0; i < memory->usage.size; i++)
        if (PyUnicode_Check(name) && PyUnicode_Compare(name, memory->usage_names[i]) == 0)
            return i;
    return -1;
}

/* Per name: how many events have it, which ones (counted from the buffer's beginning), and their counts. */
typedef struct {
    Py_ssize_t sizes[MOST_USAGE];
    int64_t *where[MOST_USAGE], *counts[MOST_USAGE];
} Usage;

static int gather(const Memory *memory, PyObject *usage, int64_t position, Usage *into)
{
    PyObject *name, *count;
    Py_ssize_t at = 0;
    while (PyDict_Next(usage, &at, &name, &count)) {
        int which = index_of(memory, name);
        if (which < 0)
            continue;
        int64_t value = PyLong_AsLongLong(count);
        if (value == -1 && PyErr_Occurred())
            return -1;
        into->where[which][into->sizes[which]] = position;
        into->counts[which][into->sizes[which]++] = value;
    }
    return 0;
}

static int put_usage(const Memory *memory, PyObject *columns, const Usage *gathered)
{
    for (int i = 0; i < memory->usage.size; i++) {
        if (gathered->sizes[i] == 0)
            continue;
        PyObject *pair = PyDict_GetItemWithError(columns, memory->usage_names[i]);
        if (pair == NULL || !PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_KeyError, "a usage count without columns");
            return -1;
        }
        if (append_ints(PyTuple_GET_ITEM(pair, 0), gathered->where[i], gathered->sizes[i]) < 0
            || append_ints(PyTuple_GET_ITEM(pair, 1), gathered->counts[i], gathered->sizes[i]) < 0)
            return -1;
    }
    return 0;
}

/* `values` has room for two ints an entry and usage name. */
static int extend_usage(const Memory *memory, PyObject *columns, PyObject *entries, int64_t first, int64_t *values)
{
    Usage gathered = {0};
    Py_ssize_t count = PyList_GET_SIZE(entries);
    for (int i = 0; i < memory->usage.size; i++) {
        gathered.where[i] = values + 2 * i * count;
        gathered.counts[i] = values + (2 * i + 1) * count;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *usage = PyTuple_GET_ITEM(event_of(PyList_GET_ITEM(entries, i)), P_USAGE);
        if (PyDict_CheckExact(usage) && gather(memory, usage, first + i, &gathered) < 0)
            return -1;
    }
    return put_usage(memory, columns, &gathered);
}

/* ---------------------------------------------------------------- what is rare */

static int append_new(PyObject *list, PyObject *item)
{
    int failed = item == NULL || PyList_Append(list, item) < 0;
    Py_XDECREF(item);
    return failed ? -1 : 0;
}

static int extend_rare(PyObject *unpriced, PyObject *partial, PyObject *entries, int64_t first)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(entries); i++) {
        PyObject *event = event_of(PyList_GET_ITEM(entries, i)), *completion = PyTuple_GET_ITEM(event, P_COMPLETION);
        int64_t pico = PyLong_AsLongLong(completion);
        if (pico == -1 && PyErr_Occurred())
            return -1;
        if (PyTuple_GET_ITEM(event, P_UNPRICED) == Py_True
            && append_new(unpriced, PyLong_FromLongLong(first + i)) < 0)
            return -1;
        if (pico != COMPLETE && append_new(partial, Py_BuildValue("LO", (long long)(first + i), completion)) < 0)
            return -1;
    }
    return 0;
}

/* ---------------------------------------------------------------- the buffer */

typedef struct {
    PyObject *ints, *texts, *usage, *unpriced, *partial;
    int64_t count;
} Columns;

static bool open_columns(PyObject *buffer, Columns *into)
{
    if (!get(buffer, "_ints", &into->ints) || !get(buffer, "_texts", &into->texts)
        || !get(buffer, "_usage", &into->usage) || !get(buffer, "_unpriced", &into->unpriced)
        || !get(buffer, "_partial", &into->partial) || get_int(buffer, "count", &into->count) < 0)
        return false;
    if (PyDict_CheckExact(into->ints) && PyDict_CheckExact(into->texts) && PyDict_CheckExact(into->usage)
        && PyDict_GET_SIZE(into->ints) == INTS && PyDict_GET_SIZE(into->texts) == TEXTS
        && PyList_CheckExact(into->unpriced) && PyList_CheckExact(into->partial))
        return true;
    PyErr_SetString(PyExc_TypeError, "extend: the buffer has other columns");
    return false;
}

static int append_all(const Memory *memory, PyObject *buffer, PyObject *entries, const Columns *to)
{
    Py_ssize_t count = PyList_GET_SIZE(entries);
    int64_t *values = PyMem_Calloc((size_t)count * 2 * MOST_USAGE, sizeof *values);
    if (values == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int failed = extend_ints(to->ints, entries, values) < 0 || extend_texts(to->texts, entries) < 0
                 || extend_usage(memory, to->usage, entries, to->count, values) < 0
                 || extend_rare(to->unpriced, to->partial, entries, to->count) < 0;
    PyMem_Free(values);
    PyObject *now = failed ? NULL : PyLong_FromLongLong(to->count + count);
    failed = now == NULL || PyObject_SetAttrString(buffer, "count", now) < 0;
    Py_XDECREF(now);
    return failed ? -1 : 0;
}

PyObject *extend(PyObject *module, PyObject *arguments)
{
    PyObject *engine, *entries, *buffer = NULL;
    Columns columns = {0};
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OO!:extend", &engine, &PyList_Type, &entries))
        return NULL;
    Memory *memory = memory_of(engine);
    bool failed = memory == NULL || !get(engine, "buffer", &buffer) || !open_columns(buffer, &columns);
    if (!failed && !are_entries(entries)) {
        PyErr_SetString(PyExc_TypeError, "extend: entries are tuples as fold makes them");
        failed = true;
    }
    if (!failed)
        failed = append_all(memory, buffer, entries, &columns) < 0;
    Py_XDECREF(columns.ints);
    Py_XDECREF(columns.texts);
    Py_XDECREF(columns.usage);
    Py_XDECREF(columns.unpriced);
    Py_XDECREF(columns.partial);
    Py_XDECREF(buffer);
    Py_XDECREF((PyObject *)memory);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}
