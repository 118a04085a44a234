#include "room.h"

#include <structmember.h>

static const char *const ACCOUNT[] = {"meters"};
static const char *const METER[] = {"keys", "runs"};
static const char *const STREAM[] = {"account", "code", "code_generation"};
static const char *const SHAPE[] = {"fast_meter", "catalog", "test", "internal", "code", "code_generation"};

static int find_slot(PyObject *type, const char *name, Py_ssize_t *into)
{
    PyObject *found = PyObject_GetAttrString(type, name);
    if (found == NULL)
        return -1;
    int is_slot = Py_IS_TYPE(found, &PyMemberDescr_Type)
                  && ((PyMemberDescrObject *)found)->d_member->type == T_OBJECT_EX;
    if (is_slot)
        *into = ((PyMemberDescrObject *)found)->d_member->offset;
    else
        PyErr_Format(PyExc_TypeError, "%s is no slot of its class", name);
    Py_DECREF(found);
    return is_slot ? 0 : -1;
}

static int open_room(Room *room, const char *module, const char *class, const char *const *names, int count)
{
    PyObject *loaded = PyImport_ImportModule(module);
    PyObject *type = loaded == NULL ? NULL : PyObject_GetAttrString(loaded, class);
    Py_XDECREF(loaded);
    if (type == NULL)
        return -1;
    Py_XSETREF(room->type, (PyTypeObject *)type);
    for (int i = 0; i < count; i++)
        if (find_slot(type, names[i], &room->at[i]) < 0)
            return -1;
    return 0;
}

_Static_assert(sizeof ACCOUNT / sizeof *ACCOUNT == A_SLOTS, "each slot has its name");
_Static_assert(sizeof METER / sizeof *METER == M_SLOTS, "each slot has its name");
_Static_assert(sizeof STREAM / sizeof *STREAM == S_SLOTS, "each slot has its name");
_Static_assert(sizeof SHAPE / sizeof *SHAPE == H_SLOTS, "each slot has its name");

int open_rooms(Rooms *rooms)
{
    if (open_room(&rooms->unit, "unitrate.units", "Unit", NULL, 0) < 0
        || open_room(&rooms->account, "unitrate.accounts", "AccountState", ACCOUNT, A_SLOTS) < 0
        || open_room(&rooms->meter, "unitrate.accounts", "MeterState", METER, M_SLOTS) < 0
        || open_room(&rooms->stream, "unitrate.accounts", "Stream", STREAM, S_SLOTS) < 0
        || open_room(&rooms->shape, "unitrate.routing", "Shape", SHAPE, H_SLOTS) < 0)
        return -1;
    return 0;
}

void close_rooms(Rooms *rooms)
{
    Py_CLEAR(rooms->unit.type);
    Py_CLEAR(rooms->account.type);
    Py_CLEAR(rooms->meter.type);
    Py_CLEAR(rooms->stream.type);
    Py_CLEAR(rooms->shape.type);
}
