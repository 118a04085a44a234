/* Requests that join their open unit: the common case of `unitrate.fold`, done as it is done there.
 *
 * Stops before the first event that is anything else, with nothing of it done; the plain loop takes that one. */
#include "columns.h"
#include "hot.h"
#include "room.h"
#include "tables.h"

#define DAY_US INT64_C(86400000000)
#define OPEN 0 /* units.OPEN */

typedef struct {
    PyObject *older, *fates, *offsets, *instants, *life, *dirty;
    Batch *batch;
    Recent *recent;
    Columns *columns;
    int64_t clock_us, clock_before_us, due_us, generation;
    Memory *memory;
    const Rooms *rooms;
} Work;

/* One event, looked at and not yet done; all borrowed. */
typedef struct {
    const Item *item;
    HotAccount *account;
    HotUnit *unit;
    const Meter *meter;
    int64_t instant;
    Fate fate;
} Found;

/* ---------------------------------------------------------------- small readings */

/* An int of 64 bits, of which no exception is made: false where it is anything else. */
static bool int_of(PyObject *value, int64_t *into)
{
    int overflow = 1;
    if (value != NULL && PyLong_CheckExact(value))
        *into = PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow == 0;
}

static bool int_at(PyObject *sequence, Py_ssize_t index, int64_t *into)
{
    if (PyList_CheckExact(sequence) && index < PyList_GET_SIZE(sequence))
        return int_of(PyList_GET_ITEM(sequence, index), into);
    PyObject *value = PySequence_GetItem(sequence, index);
    bool is_int = int_of(value, into);
    Py_XDECREF(value);
    return is_int;
}

/* ---------------------------------------------------------------- looking */

/* Whether the event reaches the account in time and for the first time. False, too, with an exception set. */
static bool is_new(Work *work, const Found *it, Py_ssize_t index)
{
    const HotAccount *account = it->account;
    if (!account->at_home || !account->dirty || it->item->time < account->oldest
        || find_digest(work->recent, it->item->digest) != NULL)
        return false;
    if (!is_dict(work->older) || PyDict_GET_SIZE(work->older) == 0)
        return true;
    PyObject *position = PyLong_FromSsize_t(index);
    int known = position == NULL ? -1 : PyDict_Contains(work->older, position);
    Py_XDECREF(position);
    return known == 0;
}

/* The clock when the event is handled; false where a timer would fire first. */
static bool is_quiet(Work *work, Found *it, Py_ssize_t index)
{
    it->instant = it->item->time;
    if (work->instants != Py_None && !int_at(work->instants, index, &it->instant))
        return false;
    return it->instant <= work->clock_us || it->instant <= work->due_us;
}

static bool has_codes(Work *work, Found *it)
{
    const Room *shapes = &work->rooms->shape, *streams = &work->rooms->stream;
    PyObject *shape = it->item->shape, *stream = it->item->stream;
    int64_t of_shape, of_stream;
    return int_of(*slot(shapes, shape, H_CODE_GENERATION), &of_shape) && of_shape == work->generation
           && int_of(*slot(streams, stream, S_CODE_GENERATION), &of_stream) && of_stream == work->generation
           && int_of(*slot(shapes, shape, H_CODE), &it->fate.shape)
           && int_of(*slot(streams, stream, S_CODE), &it->fate.stream);
}

/* The text of the event that makes it belong to a unit of the meter; false where it has none. */
static bool key_of(const Found *it, Slice *into)
{
    *into = it->item->run;
    if (it->meter->key == Py_None)
        return true;
    PyObject *by_name = PyTuple_GET_ITEM(it->item->attributes, 2);
    PyObject *key = is_dict(by_name) ? PyDict_GetItemWithError(by_name, it->meter->key) : NULL;
    Py_ssize_t size = 0;
    const char *text = key != NULL && PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, &size) : NULL;
    *into = (Slice){(const unsigned char *)text, (size_t)size};
    return text != NULL;
}

/* The open unit that the request joins, as the plain loop finds it; NULL where there is none. */
static HotUnit *unit_of(Work *work, const Found *it)
{
    const Rooms *rooms = work->rooms;
    const Item *item = it->item;
    Slice key;
    PyObject *state = item->state;
    if (state == NULL) { /* the account had none when the batch was prepared */
        PyObject *meters = *slot(&rooms->account, (PyObject *)it->account, A_METERS);
        state = is_dict(meters) ? PyDict_GetItemWithError(meters, it->meter->name) : NULL;
    }
    if (state == NULL || !Py_IS_TYPE(state, rooms->meter.type) || !key_of(it, &key))
        return NULL;
    PyObject *keys = *slot(&rooms->meter, state, M_KEYS), *runs = *slot(&rooms->meter, state, M_RUNS);
    if (keys == NULL || runs == NULL || !Py_IS_TYPE(keys, &keys_type) || !Py_IS_TYPE(runs, &keys_type))
        return NULL;
    bool is_run = key.text == item->run.text;
    PyObject *unit = find_key((Keys *)keys, key, is_run ? item->run_hash : hash_text(key));
    if (unit == NULL || !Py_IS_TYPE(unit, rooms->unit.type))
        return NULL;
    if (it->meter->key != Py_None && find_key((Keys *)runs, item->run, item->run_hash) != unit)
        return NULL;
    return (HotUnit *)unit;
}

/* False, with or without an exception, where the event is not the common one. */
static bool is_common(Work *work, Found *it, Py_ssize_t index)
{
    const Rooms *rooms = work->rooms;
    const Item *item = it->item = &work->batch->items[index];
    if (item->stream == NULL || item->retry_of.size != 0 || item->price.unpriced
        || !Py_IS_TYPE(item->stream, rooms->stream.type) || !Py_IS_TYPE(item->shape, rooms->shape.type))
        return false;
    PyObject *account = *slot(&rooms->stream, item->stream, S_ACCOUNT), *meter = *slot(&rooms->shape, item->shape, H_FAST_METER);
    if (account == NULL || !Py_IS_TYPE(account, rooms->account.type) || meter == NULL || meter == Py_None)
        return false;
    it->account = (HotAccount *)account;
    if (!has_codes(work, it) || !is_quiet(work, it, index) || !is_new(work, it, index))
        return false;
    it->meter = meter_of(work->memory, meter);
    PyObject *fate = it->meter == NULL ? NULL : PyDict_GetItemWithError(work->fates, it->meter->name);
    if (!int_of(fate, &it->fate.fate) || (it->unit = unit_of(work, it)) == NULL)
        return false;
    it->fate.unit_id = it->unit->unit_id;
    return it->unit->state == OPEN && it->unit->meter == meter && item->time <= it->unit->window_end
           && it->fate.unit_id != NULL && int_at(work->offsets, index, &it->fate.offset);
}

/* Have the unit that the event will probably join fetched from memory. */
static void expect_unit(const Work *work, Py_ssize_t index)
{
    const Item *item = index < work->batch->count ? &work->batch->items[index] : NULL;
    PyObject *keys = item == NULL || item->state == NULL ? NULL : *slot(&work->rooms->meter, item->state, M_KEYS);
    if (keys == NULL || !Py_IS_TYPE(keys, &keys_type))
        return;
    const char *unit = (const char *)likely_value((Keys *)keys, item->run_hash);
    for (size_t at = 0; unit != NULL && at < sizeof(HotUnit); at += 64)
        __builtin_prefetch(unit + at);
}

/* ---------------------------------------------------------------- doing */

static int add_attributes(const Found *it)
{
    HotUnit *unit = it->unit;
    PyObject *pairs = it->item->pairs;
    if (PyTuple_GET_SIZE(pairs) == 0)
        return 0;
    if (pairs == unit->repeated && it->item->time >= unit->repeated_time) {
        unit->repeated_time = it->item->time;
        unit->repeated_order = it->fate.offset;
        return 0;
    }
    PyObject *done = PyObject_CallMethod(
        (PyObject *)unit, "note_attributes", "OLL", pairs, (long long)it->item->time, (long long)it->fate.offset
    );
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* The unit's times (D14, D16) after an ordinary event. */
static void renew(const Work *work, const Found *it)
{
    HotUnit *unit = it->unit;
    int64_t time = it->item->time;
    if (time < unit->started)
        unit->started = time;
    if (time > unit->last_any)
        unit->last_any = time;
    if (time > unit->last) {
        int64_t ends = time + it->meter->idle_us, oldest_end = unit->opening + it->meter->max_age_us;
        unit->last = time;
        unit->window_end = ends < oldest_end ? ends : oldest_end;
    }
    unit->idle_at = work->clock_us + it->meter->idle_us;
}

static int join_unit(Work *work, const Found *it)
{
    const Room *shapes = &work->rooms->shape;
    const Item *item = it->item;
    HotUnit *unit = it->unit;
    unit->requests++;
    add_cost(unit, item->price.cost);
    for (int i = 0; i < item->usage_size; i++)
        if (add_count(unit, item->usage_names[i], item->usage[i]) < 0)
            return -1;
    if (add_attributes(it) < 0)
        return -1;
    unit->test |= *slot(shapes, item->shape, H_TEST) == Py_True;
    unit->internal |= *slot(shapes, item->shape, H_INTERNAL) == Py_True;
    renew(work, it);
    unit->version = it->fate.offset;
    if (unit->dirty)
        return 0;
    unit->dirty = 1;
    return PyList_Append(work->dirty, (PyObject *)unit);
}

/* The account's highest time, and the horizon with it (AccountState.reach). */
static int reach(Work *work, const Found *it)
{
    HotAccount *account = it->account;
    account->version = it->fate.offset;
    if (it->item->time <= account->highest)
        return 0;
    PyObject *catalog = *slot(&work->rooms->shape, it->item->shape, H_CATALOG);
    if (catalog != work->memory->catalog) {
        if (catalog == NULL || get_int(catalog, "dedupe_us", &work->memory->dedupe_us) < 0)
            return -1;
        Py_XSETREF(work->memory->catalog, Py_NewRef(catalog));
    }
    int64_t oldest = it->item->time - work->memory->dedupe_us;
    account->highest = it->item->time;
    account->oldest = oldest;
    account->oldest_day = oldest / DAY_US - (oldest % DAY_US < 0);
    return 0;
}

static int do_common(Work *work, const Found *it)
{
    if (it->instant > work->clock_us)
        work->clock_us = it->instant;
    if (join_unit(work, it) < 0 || put_digest(work->recent, it->item->digest, (int32_t)(it->item->time / DAY_US)) < 0
        || reach(work, it) < 0)
        return -1;
    return append_item(work->columns, it->item, &it->fate);
}

/* ---------------------------------------------------------------- a batch */

static int open_work(Work *work, PyObject *engine, PyObject *batch)
{
    PyObject *seen = NULL, *buffer = NULL;
    work->memory = memory_of(engine);
    int failed = work->memory == NULL || !get(batch, "offsets", &work->offsets) || !get(batch, "timestamps_us", &work->instants)
                 || !get(engine, "life", &work->life) || !get(work->life, "dirty", &work->dirty)
                 || get_int(work->life, "clock", &work->clock_us) < 0
                 || get_int(work->life, "next_due", &work->due_us) < 0 || !get(engine, "seen", &seen)
                 || !get(seen, "recent", (PyObject **)&work->recent) || !get(engine, "buffer", &buffer)
                 || !get(buffer, "columns", (PyObject **)&work->columns)
                 || get_int(buffer, "generation", &work->generation) < 0;
    Py_XDECREF(seen);
    Py_XDECREF(buffer);
    work->clock_before_us = work->clock_us;
    if (failed)
        return -1;
    if (Py_IS_TYPE((PyObject *)work->recent, &recent_type) && Py_IS_TYPE((PyObject *)work->columns, &columns_type)
        && is_dict(work->fates) && PyList_CheckExact(work->dirty))
        return 0;
    PyErr_SetString(PyExc_TypeError, "join: recent and columns are native; fates is a dict, dirty a list");
    return -1;
}

static int close_work(Work *work)
{
    int failed = PyErr_Occurred() != NULL;
    if (!failed && work->clock_us != work->clock_before_us) {
        PyObject *clock = PyLong_FromLongLong(work->clock_us);
        failed = clock == NULL || PyObject_SetAttrString(work->life, "clock", clock) < 0;
        Py_XDECREF(clock);
    }
    Py_XDECREF(work->offsets);
    Py_XDECREF(work->instants);
    Py_XDECREF(work->life);
    Py_XDECREF(work->dirty);
    Py_XDECREF((PyObject *)work->recent);
    Py_XDECREF((PyObject *)work->columns);
    Py_XDECREF((PyObject *)work->memory);
    return failed ? -1 : 0;
}

PyObject *join(PyObject *module, PyObject *arguments)
{
    Work work = {.rooms = rooms_of()};
    PyObject *engine, *batch;
    Py_ssize_t first, end, at;
    (void)module;
    if (work.rooms == NULL
        || !PyArg_ParseTuple(arguments, "OOO!OOnn:join", &engine, &batch, &batch_type, &work.batch, &work.older,
                             &work.fates, &first, &end))
        return NULL;
    at = first;
    if (open_work(&work, engine, batch) == 0 && first >= 0) {
        Found it;
        for (; at < end && at < work.batch->count; at++) {
            expect_unit(&work, at + 2);
            if (!is_common(&work, &it, at) || do_common(&work, &it) < 0)
                break;
        }
    }
    return close_work(&work) < 0 ? NULL : PyLong_FromSsize_t(at - first);
}
