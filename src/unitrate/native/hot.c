#include "hot.h"

#include <stddef.h>
#include <structmember.h>

/* ---------------------------------------------------------------- names of usage counts */

PyObject *const *usage_names(int *size)
{
    static PyObject *names[MOST_USAGE];
    static int count = -1;
    if (count < 0) {
        PyObject *rows = PyImport_ImportModule("unitrate.rows");
        PyObject *usage = rows == NULL ? NULL : PyObject_GetAttrString(rows, "USAGE");
        Py_XDECREF(rows);
        if (usage == NULL)
            return NULL;
        Py_ssize_t found = PySequence_Size(usage);
        if (found < 0 || found > MOST_USAGE) {
            Py_DECREF(usage);
            PyErr_SetString(PyExc_ValueError, "more names of usage counts than there is room for");
            return NULL;
        }
        for (int i = 0; i < (int)found; i++)
            names[i] = PySequence_GetItem(usage, i);
        Py_DECREF(usage);
        if (PyErr_Occurred())
            return NULL;
        count = (int)found;
    }
    *size = count;
    return names;
}

int usage_index(PyObject *name)
{
    int size;
    PyObject *const *names = usage_names(&size);
    if (names == NULL)
        return -1;
    for (int i = 0; i < size; i++)
        if (name == names[i])
            return i;
    for (int i = 0; i < size; i++)
        if (PyUnicode_Check(name) && PyUnicode_Compare(name, names[i]) == 0)
            return i;
    return -1;
}

/* ---------------------------------------------------------------- adding */

void add_cost(HotUnit *unit, int64_t pico)
{
    uint64_t before = unit->cost_low;
    unit->cost_low += (uint64_t)pico;
    unit->cost_high += (pico < 0 ? -1 : 0) + (unit->cost_low < before);
}

int add_count(HotUnit *unit, int name, int64_t count)
{
    int at = 0;
    while (at < unit->usage_size && unit->usage_names[at] != name)
        at++;
    if (at == unit->usage_size) {
        unit->usage_names[at] = (unsigned char)name;
        unit->usage[at] = 0;
        unit->usage_size++;
    }
    if (!__builtin_add_overflow(unit->usage[at], count, &unit->usage[at]))
        return 0;
    PyErr_SetString(PyExc_OverflowError, "a unit's usage does not fit into 64 bits");
    return -1;
}

static PyObject *add_usage(PyObject *self, PyObject *usage)
{
    PyObject *name, *count;
    Py_ssize_t at = 0;
    if (usage == Py_None)
        Py_RETURN_NONE;
    if (!PyDict_Check(usage)) {
        PyErr_SetString(PyExc_TypeError, "usage is a dict or None");
        return NULL;
    }
    while (PyDict_Next(usage, &at, &name, &count)) {
        int which = usage_index(name);
        int64_t value = which < 0 ? -1 : PyLong_AsLongLong(count);
        if (which < 0 && !PyErr_Occurred())
            PyErr_SetObject(PyExc_KeyError, name);
        if (PyErr_Occurred() || add_count((HotUnit *)self, which, value) < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------- as Python sees it */

static PyObject *get_usage(PyObject *self, void *unused)
{
    HotUnit *unit = (HotUnit *)self;
    int size;
    PyObject *const *names = usage_names(&size), *usage = names == NULL ? NULL : PyDict_New();
    (void)unused;
    for (int i = 0; usage != NULL && i < unit->usage_size; i++) {
        PyObject *count = PyLong_FromLongLong(unit->usage[i]);
        if (count == NULL || PyDict_SetItem(usage, names[unit->usage_names[i]], count) < 0)
            Py_CLEAR(usage);
        Py_XDECREF(count);
    }
    return usage;
}

static int set_usage(PyObject *self, PyObject *usage, void *unused)
{
    (void)unused;
    if (usage == NULL) {
        PyErr_SetString(PyExc_AttributeError, "usage cannot be deleted");
        return -1;
    }
    ((HotUnit *)self)->usage_size = 0;
    PyObject *done = add_usage(self, usage);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyObject *get_cost(PyObject *self, void *unused)
{
    HotUnit *unit = (HotUnit *)self;
    (void)unused;
    if (unit->cost_high == ((int64_t)unit->cost_low < 0 ? -1 : 0))
        return PyLong_FromLongLong((int64_t)unit->cost_low);
    PyObject *high = PyLong_FromLongLong(unit->cost_high), *low = PyLong_FromUnsignedLongLong(unit->cost_low);
    PyObject *bits = PyLong_FromLong(64), *shifted = NULL, *whole = NULL;
    if (high != NULL && low != NULL && bits != NULL)
        shifted = PyNumber_Lshift(high, bits);
    if (shifted != NULL)
        whole = PyNumber_Or(shifted, low);
    Py_XDECREF(high);
    Py_XDECREF(low);
    Py_XDECREF(bits);
    Py_XDECREF(shifted);
    return whole;
}

static int set_cost(PyObject *self, PyObject *cost, void *unused)
{
    HotUnit *unit = (HotUnit *)self;
    int overflow = 0;
    (void)unused;
    if (cost == NULL || !PyLong_Check(cost)) {
        PyErr_SetString(PyExc_TypeError, "a cost is an integer of 10^-12");
        return -1;
    }
    int64_t small = PyLong_AsLongLongAndOverflow(cost, &overflow);
    if (overflow == 0) {
        unit->cost_low = (uint64_t)small;
        unit->cost_high = small < 0 ? -1 : 0;
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *bits = PyLong_FromLong(64), *high = bits == NULL ? NULL : PyNumber_Rshift(cost, bits);
    int64_t top = high == NULL ? -1 : PyLong_AsLongLong(high);
    Py_XDECREF(bits);
    Py_XDECREF(high);
    if (PyErr_Occurred())
        return -1;
    unit->cost_low = PyLong_AsUnsignedLongLongMask(cost);
    unit->cost_high = top;
    return 0;
}

#define UNIT(name, kind) {#name, kind, offsetof(HotUnit, name), 0, NULL}
static PyMemberDef unit_members[] = {
    UNIT(meter, T_OBJECT_EX), UNIT(unit_id, T_OBJECT_EX), UNIT(repeated, T_OBJECT),
    UNIT(dirty, T_BOOL), UNIT(test, T_BOOL), UNIT(internal, T_BOOL), UNIT(state, T_UBYTE),
    UNIT(window_end, T_LONGLONG), UNIT(started, T_LONGLONG), UNIT(last_any, T_LONGLONG), UNIT(last, T_LONGLONG),
    UNIT(opening, T_LONGLONG), UNIT(idle_at, T_LONGLONG), UNIT(version, T_LONGLONG), UNIT(repeated_time, T_LONGLONG),
    UNIT(repeated_order, T_LONGLONG), UNIT(requests, T_LONGLONG), {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef unit_getset[] = {
    {"cost", get_cost, set_cost, "cost of all its requests, 10^-12", NULL},
    {"usage", get_usage, set_usage, "counts by name: a copy", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMethodDef unit_methods[] = {
    {"add_usage", add_usage, METH_O, "add_usage(usage): add the counts of a request."},
    {NULL, NULL, 0, NULL},
};

static void drop_unit(PyObject *self)
{
    HotUnit *unit = (HotUnit *)self;
    Py_XDECREF(unit->meter);
    Py_XDECREF(unit->unit_id);
    Py_XDECREF(unit->repeated);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject hot_unit_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "unitrate._prepare.HotUnit",
    .tp_doc = "What nearly every event of a unit reads or writes.",
    .tp_basicsize = sizeof(HotUnit),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = drop_unit,
    .tp_members = unit_members,
    .tp_getset = unit_getset,
    .tp_methods = unit_methods,
};

#define ACCOUNT(name, kind) {#name, kind, offsetof(HotAccount, name), 0, NULL}
static PyMemberDef account_members[] = {
    ACCOUNT(highest, T_LONGLONG), ACCOUNT(oldest, T_LONGLONG), ACCOUNT(oldest_day, T_LONGLONG),
    ACCOUNT(version, T_LONGLONG), ACCOUNT(at_home, T_BOOL), ACCOUNT(dirty, T_BOOL), {NULL, 0, 0, 0, NULL},
};

PyTypeObject hot_account_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "unitrate._prepare.HotAccount",
    .tp_doc = "What nearly every event of an account reads or writes.",
    .tp_basicsize = sizeof(HotAccount),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_members = account_members,
};
