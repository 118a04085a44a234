/* The slots of the engine's objects, and what all parts of the extension share about an engine. */
#ifndef UNITRATE_ROOM_H
#define UNITRATE_ROOM_H

#include "batch.h"

#define PARTS 17 /* of a Prepared tuple; prepare.py tells their order */

enum Part {
    P_TIME, P_STREAM, P_DIGEST, P_SHAPE, P_ATTRIBUTES, P_COMPLETION, P_ID, P_RUN, P_RETRY_OF, P_ATTEMPT, P_COST,
    P_COMPUTED, P_BILLED, P_UNPRICED, P_USAGE, P_ATTRIBUTES_TEXT, P_TAGS_TEXT,
};
enum AccountSlot { A_METERS, A_SLOTS };
enum MeterSlot { M_KEYS, M_RUNS, M_SLOTS };
enum StreamSlot { S_ACCOUNT, S_CODE, S_CODE_GENERATION, S_SLOTS };
enum ShapeSlot { H_FAST_METER, H_CATALOG, H_TEST, H_INTERNAL, H_CODE, H_CODE_GENERATION, H_SLOTS };

#define MOST_SLOTS 8

/* A class with __slots__: where in its objects each slot that is used here lies. */
typedef struct {
    PyTypeObject *type;
    Py_ssize_t at[MOST_SLOTS];
} Room;

typedef struct {
    Room unit, account, meter, stream, shape;
} Rooms;

int open_rooms(Rooms *rooms); /* -1 with an exception set */
void close_rooms(Rooms *rooms);

static inline PyObject **slot(const Room *room, PyObject *object, int which)
{
    return (PyObject **)((char *)object + room->at[which]);
}

/* The caches of an engine, made when it has none yet; a new reference. */
Memory *memory_of(PyObject *engine);
const Rooms *rooms_of(void);

static inline bool is_dict(PyObject *value)
{
    return value != NULL && PyDict_CheckExact(value);
}

bool get(PyObject *from, const char *name, PyObject **into);
int get_int(PyObject *from, const char *name, int64_t *into);

PyObject *join(PyObject *module, PyObject *arguments);
PyObject *large_pages(PyObject *module, PyObject *nothing);

#endif
