/* The module `unitrate._prepare`, and what it keeps for an engine: `engine.native`, its caches. */
#include "columns.h"
#include "hot.h"
#include "room.h"
#include "segments.h"
#include "sha256.h"
#include "tables.h"

#include <stdlib.h>

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
static int read_names(Memory *memory, PyObject *prompt)
{
    memory->usage_names = usage_names(&memory->usage.size);
    for (int i = 0; memory->usage_names != NULL && i < memory->usage.size; i++) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(memory->usage_names[i], &size);
        int counts = text == NULL ? -1 : PySequence_Contains(prompt, memory->usage_names[i]);
        if (counts < 0)
            return -1;
        memory->usage.names[i] = (Slice){(const unsigned char *)text, (size_t)size};
        memory->prompt |= (uint32_t)counts << i;
    }
    return memory->usage_names == NULL ? -1 : 0;
}

static int fill(Memory *memory, PyObject *plain)
{
    PyObject *prompt = PyObject_GetAttrString(plain, "PROMPT_TOKENS");
    int failed = prompt == NULL || read_names(memory, prompt) < 0;
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
     "join(engine, batch, prepared, older, fates, first, end): how many from `first` on joined open units."},
    {"find_digests", find_digests, METH_VARARGS,
     "find_digests(high, low, bloom, digests): (index in the question, index in the segment) of those that are there."},
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
    digest_seed = hash_text((Slice){(const unsigned char *)"seed", 4}) | 1;
    memory_type = PyType_FromSpec(&memory_spec);
    PyObject *module = memory_type == NULL ? NULL : PyModule_Create(&definition);
    PyTypeObject *const types[] = {&hot_unit_type, &hot_account_type, &keys_type, &recent_type, &columns_type, &batch_type};
    for (size_t i = 0; module != NULL && i < sizeof types / sizeof *types; i++)
        if (PyModule_AddType(module, types[i]) < 0)
            Py_CLEAR(module);
    return module;
}
