#include "tables.h"

#include <string.h>

#define SMALLEST 8

/* ---------------------------------------------------------------- units by key */

uint64_t hash_text(Slice text)
{
#if PY_VERSION_HEX >= 0x030E0000
    return (uint64_t)Py_HashBuffer(text.text, (Py_ssize_t)text.size);
#else
    return (uint64_t)_Py_HashBytes(text.text, (Py_ssize_t)text.size);
#endif
}

static bool text_of_key(PyObject *key, Slice *into)
{
    Py_ssize_t size;
    const char *text = PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, &size) : NULL;
    if (text == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "keys are texts");
        return false;
    }
    *into = (Slice){(const unsigned char *)text, (size_t)size};
    return true;
}

static bool is_text(PyObject *key, Slice text)
{
    Py_ssize_t size;
    const char *own = PyUnicode_AsUTF8AndSize(key, &size); /* made when it was put in, so it cannot fail */
    return own != NULL && (size_t)size == text.size && memcmp(own, text.text, text.size) == 0;
}

static KeyCell *cell_of(const Keys *keys, Slice text, uint64_t hash)
{
    if (keys->cells == NULL)
        return NULL;
    for (size_t at = hash & keys->mask; keys->cells[at].key != NULL; at = (at + 1) & keys->mask)
        if (keys->cells[at].hash == hash && is_text(keys->cells[at].key, text))
            return &keys->cells[at];
    return NULL;
}

PyObject *find_key(const Keys *keys, Slice text, uint64_t hash)
{
    KeyCell *cell = cell_of(keys, text, hash);
    return cell == NULL ? NULL : cell->value;
}

static void place_key(KeyCell *cells, size_t mask, KeyCell cell)
{
    size_t at = cell.hash & mask;
    while (cells[at].key != NULL)
        at = (at + 1) & mask;
    cells[at] = cell;
}

/* At most half full. */
static int widen_keys(Keys *keys)
{
    size_t size = keys->cells == NULL ? 0 : keys->mask + 1;
    if (2 * (keys->used + 1) <= size)
        return 0;
    size_t wider = size == 0 ? SMALLEST : 2 * size;
    KeyCell *cells = PyMem_Calloc(wider, sizeof *cells);
    if (cells == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < size; i++)
        if (keys->cells[i].key != NULL)
            place_key(cells, wider - 1, keys->cells[i]);
    PyMem_Free(keys->cells);
    keys->cells = cells;
    keys->mask = wider - 1;
    return 0;
}

/* Close the gap, so that every key is still found from its own place on. */
static void remove_key(Keys *keys, KeyCell *cell)
{
    size_t gap = (size_t)(cell - keys->cells), at = gap;
    PyObject *key = cell->key, *value = cell->value;
    for (;;) {
        at = (at + 1) & keys->mask;
        if (keys->cells[at].key == NULL)
            break;
        size_t home = keys->cells[at].hash & keys->mask;
        if (((at - home) & keys->mask) >= ((at - gap) & keys->mask)) {
            keys->cells[gap] = keys->cells[at];
            gap = at;
        }
    }
    keys->cells[gap] = (KeyCell){0, NULL, NULL};
    keys->used--;
    Py_DECREF(key);
    Py_DECREF(value);
}

static PyObject *get_key(PyObject *self, PyObject *key)
{
    Slice text;
    if (key == Py_None)
        Py_RETURN_NONE;
    if (!text_of_key(key, &text))
        return NULL;
    PyObject *found = find_key((Keys *)self, text, hash_text(text));
    return Py_NewRef(found == NULL ? Py_None : found);
}

static PyObject *subscript_key(PyObject *self, PyObject *key)
{
    PyObject *found = get_key(self, key);
    if (found != Py_None)
        return found;
    Py_DECREF(found);
    PyErr_SetObject(PyExc_KeyError, key);
    return NULL;
}

static int has_key(PyObject *self, PyObject *key)
{
    Slice text;
    return text_of_key(key, &text) ? find_key((Keys *)self, text, hash_text(text)) != NULL : -1;
}

static int assign_key(PyObject *self, PyObject *key, PyObject *value)
{
    Keys *keys = (Keys *)self;
    Slice text;
    if (!text_of_key(key, &text))
        return -1;
    uint64_t hash = hash_text(text);
    KeyCell *cell = cell_of(keys, text, hash);
    if (cell == NULL && value == NULL) {
        PyErr_SetObject(PyExc_KeyError, key);
        return -1;
    }
    if (value == NULL)
        remove_key(keys, cell);
    else if (cell != NULL)
        Py_SETREF(cell->value, Py_NewRef(value));
    else {
        if (widen_keys(keys) < 0)
            return -1;
        place_key(keys->cells, keys->mask, (KeyCell){hash, Py_NewRef(key), Py_NewRef(value)});
        keys->used++;
    }
    return 0;
}

static PyObject *pop_key(PyObject *self, PyObject *arguments)
{
    PyObject *key, *other;
    if (!PyArg_ParseTuple(arguments, "OO:pop", &key, &other))
        return NULL;
    int found = has_key(self, key);
    if (found <= 0)
        return found < 0 ? NULL : Py_NewRef(other);
    PyObject *value = get_key(self, key);
    if (assign_key(self, key, NULL) < 0)
        Py_CLEAR(value);
    return value;
}

static Py_ssize_t count_keys(PyObject *self)
{
    return (Py_ssize_t)((Keys *)self)->used;
}

static void drop_keys(PyObject *self)
{
    Keys *keys = (Keys *)self;
    for (size_t i = 0; keys->cells != NULL && i <= keys->mask; i++) {
        Py_XDECREF(keys->cells[i].key);
        Py_XDECREF(keys->cells[i].value);
    }
    PyMem_Free(keys->cells);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef keys_methods[] = {
    {"get", get_key, METH_O, "get(key): the object of the key, or None."},
    {"pop", pop_key, METH_VARARGS, "pop(key, other): take the key out; its object, or the other."},
    {NULL, NULL, 0, NULL},
};
static PyMappingMethods keys_mapping = {count_keys, subscript_key, assign_key};
static PySequenceMethods keys_sequence = {.sq_contains = has_key};

PyTypeObject keys_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "unitrate._prepare.Keys",
    .tp_doc = "Objects by text.",
    .tp_basicsize = sizeof(Keys),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = drop_keys,
    .tp_methods = keys_methods,
    .tp_as_mapping = &keys_mapping,
    .tp_as_sequence = &keys_sequence,
};

/* ---------------------------------------------------------------- recent identities */

uint64_t digest_seed = 0x9E3779B97F4A7C15u;

static DigestCell *digest_cell(const Recent *recent, uint64_t high, uint64_t low)
{
    size_t at = digest_place(recent, high);
    while (recent->cells[at].is_used && (recent->cells[at].high != high || recent->cells[at].low != low))
        at = (at + 1) & recent->mask;
    return &recent->cells[at];
}

static void halves(const unsigned char digest[16], uint64_t *high, uint64_t *low)
{
    memcpy(high, digest, 8);
    memcpy(low, digest + 8, 8);
}

const DigestCell *find_digest(const Recent *recent, const unsigned char digest[16])
{
    uint64_t high, low;
    if (recent->cells == NULL)
        return NULL;
    halves(digest, &high, &low);
    const DigestCell *cell = digest_cell(recent, high, low);
    return cell->is_used ? cell : NULL;
}

static int widen_recent(Recent *recent)
{
    size_t size = recent->cells == NULL ? 0 : recent->mask + 1;
    if (3 * (recent->used + 1) <= 2 * size)
        return 0;
    DigestCell *former = recent->cells, *cells;
    size_t wider = size == 0 ? 64 : 2 * size;
    cells = PyMem_Calloc(wider, sizeof *cells);
    if (cells == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    recent->cells = cells;
    recent->mask = wider - 1;
    for (size_t i = 0; i < size; i++)
        if (former[i].is_used)
            *digest_cell(recent, former[i].high, former[i].low) = former[i];
    PyMem_Free(former);
    return 0;
}

int put_digest(Recent *recent, const unsigned char digest[16], int32_t day)
{
    uint64_t high, low;
    if (widen_recent(recent) < 0)
        return -1;
    halves(digest, &high, &low);
    DigestCell *cell = digest_cell(recent, high, low);
    recent->used += !cell->is_used;
    *cell = (DigestCell){high, low, day, 1};
    return 0;
}

static const unsigned char *bytes_of_digest(PyObject *digest)
{
    if (PyBytes_Check(digest) && PyBytes_GET_SIZE(digest) == 16)
        return (const unsigned char *)PyBytes_AS_STRING(digest);
    PyErr_SetString(PyExc_TypeError, "a digest is 16 bytes");
    return NULL;
}

static PyObject *get_day(PyObject *self, PyObject *digest)
{
    const unsigned char *bytes = bytes_of_digest(digest);
    const DigestCell *found = bytes == NULL ? NULL : find_digest((Recent *)self, bytes);
    if (bytes == NULL)
        return NULL;
    return found == NULL ? Py_NewRef(Py_None) : PyLong_FromLong(found->day);
}

static int assign_day(PyObject *self, PyObject *digest, PyObject *day)
{
    const unsigned char *bytes = bytes_of_digest(digest);
    if (bytes == NULL)
        return -1;
    if (day == NULL) {
        PyErr_SetString(PyExc_TypeError, "recent identities are not deleted one by one");
        return -1;
    }
    long value = PyLong_AsLong(day);
    if (value == -1 && PyErr_Occurred())
        return -1;
    if (value < INT32_MIN || value > INT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a day has 32 bits");
        return -1;
    }
    return put_digest((Recent *)self, bytes, (int32_t)value);
}

static Py_ssize_t count_recent(PyObject *self)
{
    return (Py_ssize_t)((Recent *)self)->used;
}

static PyObject *take_recent(PyObject *self, PyObject *unused)
{
    Recent *recent = (Recent *)self;
    size_t count = recent->used, to = 0;
    (void)unused;
    PyObject *digests = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * 16));
    PyObject *days = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * sizeof(int32_t)));
    if (digests == NULL || days == NULL) {
        Py_XDECREF(digests);
        Py_XDECREF(days);
        return NULL;
    }
    for (size_t i = 0; to < count; i++) {
        if (!recent->cells[i].is_used)
            continue;
        memcpy(PyBytes_AS_STRING(digests) + to * 16, &recent->cells[i].high, 8);
        memcpy(PyBytes_AS_STRING(digests) + to * 16 + 8, &recent->cells[i].low, 8);
        memcpy(PyBytes_AS_STRING(days) + to++ * sizeof(int32_t), &recent->cells[i].day, sizeof(int32_t));
    }
    PyMem_Free(recent->cells);
    recent->cells = NULL;
    recent->mask = recent->used = 0;
    return Py_BuildValue("NN", digests, days);
}

static void drop_recent(PyObject *self)
{
    PyMem_Free(((Recent *)self)->cells);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef recent_methods[] = {
    {"get", get_day, METH_O, "get(digest): the day, or None."},
    {"take", take_recent, METH_NOARGS, "take(): all digests and their days (int32), joined; it is empty then."},
    {NULL, NULL, 0, NULL},
};
static PyMappingMethods recent_mapping = {count_recent, NULL, assign_day};

PyTypeObject recent_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "unitrate._prepare.Recent",
    .tp_doc = "Days by 128-bit digest.",
    .tp_basicsize = sizeof(Recent),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = drop_recent,
    .tp_methods = recent_methods,
    .tp_as_mapping = &recent_mapping,
};
