/* Prepared records of a batch: what is said of each before any state is looked at.
 *
 * To Python it is a sequence of `Prepared` tuples, each made when it is asked for. */
#ifndef UNITRATE_BATCH_H
#define UNITRATE_BATCH_H

#include "memory.h"

/* One record. `stream` is NULL where only the plain version could say what it is; then there is the tuple. */
typedef struct {
    PyObject *tuple, *raw, *stream, *shape, *attributes, *tags;
    PyObject *state;  /* MeterState of a request that can join a unit; NULL where it is not known yet */
    PyObject *pairs;  /* borrowed of the attributes */
    uint64_t run_hash;
    Slice id, run, retry_of, attributes_text, tags_text;
    int64_t time, attempt;
    Price price;
    bool is_request, has_usage;
    unsigned char usage_size, usage_names[MOST_USAGE];
    unsigned char digest[16];
    int64_t usage[MOST_USAGE];
} Item;

typedef struct {
    PyObject_HEAD
    Memory *memory;
    Py_ssize_t count;
    Item *items;
} Batch;

extern PyTypeObject batch_type;

PyObject *tuple_of_item(Batch *batch, Item *item); /* borrowed; NULL with an exception set */
PyObject *prepare(PyObject *module, PyObject *arguments);

#endif
