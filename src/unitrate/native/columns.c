#include "columns.h"
#include "hot.h"
#include "room.h"

#include <string.h>

#define COMPLETE INT64_C(1000000000000)
#define FIRST_CAPACITY 65536

/* ---------------------------------------------------------------- growing bytes */

static int reserve(Growing *to, size_t more)
{
    size_t capacity = to->bytes == NULL ? 0 : (size_t)PyBytes_GET_SIZE(to->bytes);
    if (to->size + more <= capacity)
        return 0;
    size_t wider = capacity == 0 ? FIRST_CAPACITY : 2 * capacity;
    while (wider < to->size + more)
        wider *= 2;
    if (to->bytes == NULL)
        to->bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)wider);
    else if (_PyBytes_Resize(&to->bytes, (Py_ssize_t)wider) < 0)
        to->size = 0; /* it is gone */
    return to->bytes == NULL ? -1 : 0;
}

static int put_bytes(Growing *to, const void *from, size_t size)
{
    if (reserve(to, size) < 0)
        return -1;
    memcpy(PyBytes_AS_STRING(to->bytes) + to->size, from, size);
    to->size += size;
    return 0;
}

static int put_int(Growing *to, int64_t value)
{
    return put_bytes(to, &value, sizeof value);
}

/* The bytes, cut to what they hold; nothing is left of them here. */
static PyObject *hand_over(Growing *from)
{
    if (from->bytes == NULL)
        return PyBytes_FromStringAndSize(NULL, 0);
    PyObject *bytes = from->bytes;
    size_t size = from->size;
    *from = (Growing){NULL, 0};
    if (_PyBytes_Resize(&bytes, (Py_ssize_t)size) < 0)
        return NULL;
    return bytes;
}

static void forget(Growing *growing)
{
    Py_CLEAR(growing->bytes);
    growing->size = 0;
}

/* ---------------------------------------------------------------- appending */

static int put_text(Columns *columns, int which, Slice text)
{
    Growing *texts = &columns->texts[which];
    if (texts->size + text.size > INT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "more than 2 GiB of texts between two checkpoints");
        return -1;
    }
    if (text.size != 0 && put_bytes(texts, text.text, text.size) < 0)
        return -1;
    int32_t end = (int32_t)texts->size;
    return put_bytes(&columns->ends[which], &end, sizeof end);
}

static int put_string(Columns *columns, int which, PyObject *text)
{
    Py_ssize_t size = 0;
    const char *bytes = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;
    if (bytes == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a text column has texts");
        return -1;
    }
    return put_text(columns, which, (Slice){(const unsigned char *)bytes, (size_t)size});
}

static int put_count(Columns *columns, int name, int64_t count)
{
    Growing *to = &columns->usage[name];
    size_t from = (size_t)columns->count * sizeof count;
    if (reserve(to, from - to->size + sizeof count) < 0)
        return -1;
    memset(PyBytes_AS_STRING(to->bytes) + to->size, 0, from - to->size);
    to->size = from;
    return put_int(to, count);
}

static int put_ints(Columns *columns, const Fate *fate, int64_t time, int64_t attempt, const Price *price)
{
    const int64_t values[INT_COLUMNS] = {
        fate->offset, time, fate->stream, fate->shape, fate->fate, attempt, price->cost, price->computed, price->billed,
    };
    for (int i = 0; i < INT_COLUMNS; i++)
        if (put_int(&columns->ints[i], values[i]) < 0)
            return -1;
    return 0;
}

int append_item(Columns *columns, const Item *item, const Fate *fate)
{
    if (put_ints(columns, fate, item->time, item->attempt, &item->price) < 0 || put_text(columns, C_ID, item->id) < 0
        || put_text(columns, C_RUN, item->run) < 0 || put_text(columns, C_RETRY_OF, item->retry_of) < 0
        || put_string(columns, C_UNIT, fate->unit_id) < 0
        || put_text(columns, C_ATTRIBUTES, item->attributes_text) < 0 || put_text(columns, C_TAGS, item->tags_text) < 0)
        return -1;
    for (int i = 0; item->is_request && i < item->usage_size; i++)
        if (put_count(columns, item->usage_names[i], item->usage[i]) < 0)
            return -1;
    if (item->price.unpriced) {
        PyObject *at = PyLong_FromSsize_t(columns->count);
        int failed = at == NULL || PyList_Append(columns->unpriced, at) < 0;
        Py_XDECREF(at);
        if (failed)
            return -1;
    }
    columns->count++;
    return 0;
}

/* ---------------------------------------------------------------- what the plain version prepared */

static int put_usage(Columns *columns, PyObject *usage)
{
    PyObject *name, *count;
    Py_ssize_t at = 0;
    if (usage == Py_None)
        return 0;
    if (!PyDict_Check(usage)) {
        PyErr_SetString(PyExc_TypeError, "usage is a dict or None");
        return -1;
    }
    while (PyDict_Next(usage, &at, &name, &count)) {
        int which = usage_index(name);
        int64_t value = PyLong_AsLongLong(count);
        if (PyErr_Occurred() || (which >= 0 && put_count(columns, which, value) < 0))
            return -1;
    }
    return 0;
}

static int put_rare(Columns *columns, PyObject *event)
{
    PyObject *completion = PyTuple_GET_ITEM(event, P_COMPLETION), *noted;
    int64_t pico = PyLong_AsLongLong(completion);
    int failed = pico == -1 && PyErr_Occurred();
    if (!failed && PyTuple_GET_ITEM(event, P_UNPRICED) == Py_True) {
        noted = PyLong_FromSsize_t(columns->count);
        failed = noted == NULL || PyList_Append(columns->unpriced, noted) < 0;
        Py_XDECREF(noted);
    }
    if (!failed && pico != COMPLETE) {
        noted = Py_BuildValue("nO", columns->count, completion);
        failed = noted == NULL || PyList_Append(columns->partial, noted) < 0;
        Py_XDECREF(noted);
    }
    return failed ? -1 : 0;
}

static int append_tuple(Columns *columns, PyObject *event, const Fate *fate)
{
    if (!PyTuple_CheckExact(event) || PyTuple_GET_SIZE(event) != PARTS) {
        PyErr_SetString(PyExc_TypeError, "an event is a Prepared tuple");
        return -1;
    }
    int64_t time = PyLong_AsLongLong(PyTuple_GET_ITEM(event, P_TIME));
    int64_t attempt = PyLong_AsLongLong(PyTuple_GET_ITEM(event, P_ATTEMPT));
    Price price = {
        PyLong_AsLongLong(PyTuple_GET_ITEM(event, P_COST)), PyLong_AsLongLong(PyTuple_GET_ITEM(event, P_COMPUTED)),
        PyLong_AsLongLong(PyTuple_GET_ITEM(event, P_BILLED)), false,
    };
    if (PyErr_Occurred() || put_ints(columns, fate, time, attempt, &price) < 0
        || put_string(columns, C_ID, PyTuple_GET_ITEM(event, P_ID)) < 0
        || put_string(columns, C_RUN, PyTuple_GET_ITEM(event, P_RUN)) < 0
        || put_string(columns, C_RETRY_OF, PyTuple_GET_ITEM(event, P_RETRY_OF)) < 0
        || put_string(columns, C_UNIT, fate->unit_id) < 0
        || put_string(columns, C_ATTRIBUTES, PyTuple_GET_ITEM(event, P_ATTRIBUTES_TEXT)) < 0
        || put_string(columns, C_TAGS, PyTuple_GET_ITEM(event, P_TAGS_TEXT)) < 0
        || put_usage(columns, PyTuple_GET_ITEM(event, P_USAGE)) < 0 || put_rare(columns, event) < 0)
        return -1;
    columns->count++;
    return 0;
}

static PyObject *append(PyObject *self, PyObject *arguments)
{
    Columns *columns = (Columns *)self;
    PyObject *prepared;
    Py_ssize_t at;
    long long offset, stream, shape, fate_code;
    Fate fate;
    if (!PyArg_ParseTuple(arguments, "OnLLLLO:append", &prepared, &at, &offset, &stream, &shape, &fate_code, &fate.unit_id))
        return NULL;
    fate.offset = offset, fate.stream = stream, fate.shape = shape, fate.fate = fate_code;
    int failed;
    if (Py_IS_TYPE(prepared, &batch_type) && at >= 0 && at < ((Batch *)prepared)->count
        && ((Batch *)prepared)->items[at].stream != NULL)
        failed = append_item(columns, &((Batch *)prepared)->items[at], &fate);
    else {
        PyObject *event = PySequence_GetItem(prepared, at);
        failed = event == NULL ? -1 : append_tuple(columns, event, &fate);
        Py_XDECREF(event);
    }
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------- handing over */

static PyObject *list_of(Growing *growing, int count)
{
    PyObject *list = PyList_New(count);
    for (int i = 0; list != NULL && i < count; i++) {
        PyObject *bytes = hand_over(&growing[i]);
        if (bytes == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, bytes);
    }
    return list;
}

static PyObject *take_columns(PyObject *self, PyObject *unused)
{
    Columns *columns = (Columns *)self;
    int names;
    (void)unused;
    if (usage_names(&names) == NULL)
        return NULL;
    for (int i = 0; i < names; i++) { /* a column without a count stays empty, and means zeros */
        Growing *counts = &columns->usage[i];
        size_t wanted = (size_t)columns->count * sizeof(int64_t);
        if (counts->size == 0 || counts->size == wanted)
            continue;
        if (reserve(counts, wanted - counts->size) < 0)
            return NULL;
        memset(PyBytes_AS_STRING(counts->bytes) + counts->size, 0, wanted - counts->size);
        counts->size = wanted;
    }
    PyObject *unpriced = columns->unpriced, *partial = columns->partial;
    columns->unpriced = PyList_New(0);
    columns->partial = PyList_New(0);
    Py_ssize_t count = columns->count;
    columns->count = 0;
    if (columns->unpriced == NULL || columns->partial == NULL)
        return NULL;
    return Py_BuildValue(
        "nNNNNNN", count, list_of(columns->ints, INT_COLUMNS), list_of(columns->ends, TEXT_COLUMNS),
        list_of(columns->texts, TEXT_COLUMNS), list_of(columns->usage, names), unpriced, partial
    );
}

static PyObject *new_columns(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    Columns *columns = (Columns *)PyType_GenericNew(type, arguments, named);
    if (columns == NULL)
        return NULL;
    columns->unpriced = PyList_New(0);
    columns->partial = PyList_New(0);
    if (columns->unpriced == NULL || columns->partial == NULL)
        Py_CLEAR(columns);
    return (PyObject *)columns;
}

static void drop_columns(PyObject *self)
{
    Columns *columns = (Columns *)self;
    for (int i = 0; i < INT_COLUMNS; i++)
        forget(&columns->ints[i]);
    for (int i = 0; i < TEXT_COLUMNS; i++) {
        forget(&columns->ends[i]);
        forget(&columns->texts[i]);
    }
    for (int i = 0; i < MOST_USAGE; i++)
        forget(&columns->usage[i]);
    Py_XDECREF(columns->unpriced);
    Py_XDECREF(columns->partial);
    Py_TYPE(self)->tp_free(self);
}

static Py_ssize_t count_columns(PyObject *self)
{
    return ((Columns *)self)->count;
}

static PyMethodDef columns_methods[] = {
    {"append", append, METH_VARARGS, "append(prepared, at, offset, stream, shape, fate, unit_id): one accepted event."},
    {"take", take_columns, METH_NOARGS,
     "take(): (count, ints, ends of texts, texts, usage, positions of unpriced, (position, completion))."},
    {NULL, NULL, 0, NULL},
};
static PyMappingMethods columns_mapping = {.mp_length = count_columns};

PyTypeObject columns_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "unitrate._prepare.Columns",
    .tp_doc = "The event ledger's columns.",
    .tp_basicsize = sizeof(Columns),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = new_columns,
    .tp_dealloc = drop_columns,
    .tp_methods = columns_methods,
    .tp_as_mapping = &columns_mapping,
};
