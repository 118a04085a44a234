/* Two hash tables: units by key, and identities that were seen lately. hot.py has the plain ones. */
#ifndef UNITRATE_TABLES_H
#define UNITRATE_TABLES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "text.h"

typedef struct {
    uint64_t hash;
    PyObject *key, *value; /* a str and its object; NULL: free */
} KeyCell;

typedef struct {
    PyObject_HEAD
    size_t mask, used;
    KeyCell *cells; /* NULL while it is empty */
} Keys;

typedef struct {
    uint64_t high, low;
    int32_t day;
    uint32_t is_used;
} DigestCell;

typedef struct {
    PyObject_HEAD
    size_t mask, used;
    DigestCell *cells;
} Recent;

extern PyTypeObject keys_type, recent_type;

uint64_t hash_text(Slice text);                                      /* seeded by Python, as its strings are */
PyObject *find_key(const Keys *keys, Slice text, uint64_t hash);     /* borrowed; NULL where there is none */
const DigestCell *find_digest(const Recent *recent, const unsigned char digest[16]);
int put_digest(Recent *recent, const unsigned char digest[16], int32_t day); /* -1 with an exception set */

static inline void expect_digest(const Recent *recent, const unsigned char digest[16]);

extern uint64_t digest_seed; /* so that nobody can choose identities that fall into one place */

static inline size_t digest_place(const Recent *recent, uint64_t high)
{
    uint64_t mixed = high * digest_seed;
    return (size_t)(mixed ^ mixed >> 32) & recent->mask;
}

/* Have the digest's cell fetched from memory while other work goes on. */
static inline void expect_digest(const Recent *recent, const unsigned char digest[16])
{
    uint64_t high;
    if (recent->cells == NULL)
        return;
    __builtin_memcpy(&high, digest, sizeof high);
    __builtin_prefetch(&recent->cells[digest_place(recent, high)]);
}

/* The object of a key that has the hash, without a look at the key: for prefetching. */
static inline PyObject *likely_value(const Keys *keys, uint64_t hash)
{
    const KeyCell *cell = keys->cells == NULL ? NULL : &keys->cells[hash & keys->mask];
    if (cell == NULL || cell->hash != hash)
        return NULL;
    __builtin_prefetch(cell->key);
    return cell->value;
}

static inline void expect_key(const Keys *keys, uint64_t hash)
{
    if (keys->cells != NULL)
        __builtin_prefetch(&keys->cells[hash & keys->mask]);
}

#endif
