/* Looking digests up in a sorted segment, behind its Bloom filter: `identities.plain_find`, natively. */
#include "segments.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define AHEAD 8 /* digests whose filter words are fetched while others are looked at */

typedef struct {
    Py_buffer high, low, bloom;
    const uint64_t *highs, *lows, *words;
    size_t count, word_count;
} Segment;

static bool open_words(PyObject *array, Py_buffer *buffer, const uint64_t **words, size_t *count)
{
    if (PyObject_GetBuffer(array, buffer, PyBUF_SIMPLE) < 0)
        return false;
    *words = buffer->buf;
    *count = (size_t)buffer->len / sizeof **words;
    return true;
}

static void close_segment(Segment *segment)
{
    PyBuffer_Release(&segment->high); /* does nothing with one that was not opened */
    PyBuffer_Release(&segment->low);
    PyBuffer_Release(&segment->bloom);
}

/* Four bits of a filter word, from bits of the digest that do not choose the word. */
static uint64_t mask_of(uint64_t low)
{
    const int shifts[] = {58, 52, 46, 40};
    uint64_t mask = 0;
    for (int i = 0; i < 4; i++)
        mask |= UINT64_C(1) << ((low >> shifts[i]) & 63);
    return mask;
}

static size_t first_of(const Segment *segment, uint64_t high)
{
    size_t from = 0, to = segment->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (segment->highs[middle] < high)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static int add_found(PyObject *found, Py_ssize_t index, size_t at)
{
    PyObject *pair = Py_BuildValue("nn", index, (Py_ssize_t)at);
    int failed = pair == NULL || PyList_Append(found, pair) < 0;
    Py_XDECREF(pair);
    return failed ? -1 : 0;
}

static void halves(const char *digests, Py_ssize_t index, uint64_t *high, uint64_t *low)
{
    memcpy(high, digests + index * 16, 8);
    memcpy(low, digests + index * 16 + 8, 8);
}

static int find_all(const Segment *segment, const char *digests, Py_ssize_t count, PyObject *found)
{
    uint64_t high, low;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i + AHEAD < count) {
            halves(digests, i + AHEAD, &high, &low);
            __builtin_prefetch(&segment->words[low % segment->word_count]);
        }
        halves(digests, i, &high, &low);
        uint64_t mask = mask_of(low);
        if ((segment->words[low % segment->word_count] & mask) != mask)
            continue;
        for (size_t at = first_of(segment, high); at < segment->count && segment->highs[at] == high; at++)
            if (segment->lows[at] == low && add_found(found, i, at) < 0)
                return -1;
    }
    return 0;
}

PyObject *find_digests(PyObject *module, PyObject *arguments)
{
    PyObject *high, *low, *bloom, *found = NULL;
    const char *digests;
    Py_ssize_t size;
    size_t lows;
    Segment segment = {0};
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OOOy#:find_digests", &high, &low, &bloom, &digests, &size))
        return NULL;
    if (open_words(high, &segment.high, &segment.highs, &segment.count)
        && open_words(low, &segment.low, &segment.lows, &lows)
        && open_words(bloom, &segment.bloom, &segment.words, &segment.word_count)) {
        if (lows == segment.count && segment.word_count > 0 && size % 16 == 0)
            found = PyList_New(0);
        else
            PyErr_SetString(PyExc_ValueError, "find_digests: halves of equal length, a filter, digests of 16 bytes");
    }
    if (found != NULL && find_all(&segment, digests, size / 16, found) < 0)
        Py_CLEAR(found);
    close_segment(&segment);
    return found;
}
