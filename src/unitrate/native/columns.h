/* The event ledger's columns, growing while events are folded: `ledger.Columns`, natively. */
#ifndef UNITRATE_COLUMNS_H
#define UNITRATE_COLUMNS_H

#include "batch.h"

enum IntColumn { C_OFFSET, C_TIME, C_STREAM, C_SHAPE, C_FATE, C_ATTEMPT, C_COST, C_COMPUTED, C_BILLED, INT_COLUMNS };
enum TextColumn { C_ID, C_RUN, C_RETRY_OF, C_UNIT, C_ATTRIBUTES, C_TAGS, TEXT_COLUMNS };

/* Bytes of a `bytes` object that is handed over in the end without being copied. */
typedef struct {
    PyObject *bytes;
    size_t size;
} Growing;

typedef struct {
    PyObject_HEAD
    Py_ssize_t count;
    Growing ints[INT_COLUMNS];
    Growing ends[TEXT_COLUMNS], texts[TEXT_COLUMNS]; /* where each text ends (int32), and all of them joined */
    Growing usage[MOST_USAGE];                       /* int64 from event 0 on; shorter where the last have none */
    PyObject *unpriced, *partial;
} Columns;

/* What the fold found out about an event. */
typedef struct {
    int64_t offset, stream, shape, fate;
    PyObject *unit_id;
} Fate;

extern PyTypeObject columns_type;

int append_item(Columns *columns, const Item *item, const Fate *fate); /* a native one; -1 with an exception set */

#endif
