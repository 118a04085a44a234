/* The numbers of units and accounts that nearly every event reads or writes, side by side.
 *
 * As Python objects they would lie all over memory, and memory is what the fold waits for. The classes are bases
 * of `units.Unit` and `accounts.AccountState`; hot.py has the plain ones. */
#ifndef UNITRATE_HOT_H
#define UNITRATE_HOT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "event.h"

typedef struct {
    PyObject_HEAD
    PyObject *meter, *unit_id, *repeated;
    char dirty, test, internal;
    unsigned char state, usage_size;
    unsigned char usage_names[MOST_USAGE]; /* in the order in which they came, as a dict would have them */
    int64_t window_end, started, last_any, last, opening, idle_at, version, repeated_time, repeated_order, requests;
    uint64_t cost_low; /* 10^-12, 128 bits, two's complement */
    int64_t cost_high;
    int64_t usage[MOST_USAGE];
} HotUnit;

typedef struct {
    PyObject_HEAD
    int64_t highest, oldest, oldest_day, version;
    char at_home, dirty;
} HotAccount;

extern PyTypeObject hot_unit_type, hot_account_type;

/* Names of usage counts in the order of `rows.USAGE`; NULL with an exception set. */
PyObject *const *usage_names(int *size);

/* Which name it is; -1 where it is none of them (or an exception is set). */
int usage_index(PyObject *name);

void add_cost(HotUnit *unit, int64_t pico);
int add_count(HotUnit *unit, int name, int64_t count); /* -1 with an exception set */

#endif
