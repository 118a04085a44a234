/* Looking digests up in a sorted segment. */
#ifndef UNITRATE_SEGMENTS_H
#define UNITRATE_SEGMENTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyObject *find_digests(PyObject *module, PyObject *arguments);

#endif
