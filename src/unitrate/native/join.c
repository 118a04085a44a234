/* Requests that join their open unit: the common case of `unitrate.fold`, done as it is done there.
 *
 * Stops before the first event that is anything else, with nothing of it done; the plain loop takes that one. */
#include "room.h"

#define DAY_US INT64_C(86400000000)
typedef struct {
    PyObject *prepared, *older, *fates, *entries, *offsets, *instants;
    PyObject *life, *dirty, *recent;
    int64_t clock_us, clock_before_us, due_us, generation;
    Memory *memory;
    const Rooms *rooms;
} Work;

/* One event, looked at and not yet done; all borrowed but the offset. */
typedef struct {
    PyObject *event, *stream, *account, *shape, *unit, *which, *fate, *offset;
    const Meter *meter;
    int64_t time, instant, window_end;
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

static int put(const Room *room, PyObject *object, int which, PyObject *value)
{
    if (value == NULL)
        return -1;
    Py_XSETREF(*slot(room, object, which), value);
    return 0;
}

static int put_int(const Room *room, PyObject *object, int which, int64_t value)
{
    return put(room, object, which, PyLong_FromLongLong(value));
}

static int read_meter(Meter *into, PyObject *meter)
{
    *into = (Meter){.meter = Py_NewRef(meter)};
    if (!get(meter, "name", &into->name) || !get(meter, "key", &into->key))
        return -1;
    return get_int(meter, "idle_us", &into->idle_us) < 0 ? -1 : get_int(meter, "max_age_us", &into->max_age_us);
}

static const Meter *meter_of(Memory *memory, PyObject *meter)
{
    for (int i = 0; i < memory->meter_count; i++)
        if (memory->meters[i].meter == meter)
            return &memory->meters[i];
    if (memory->meter_count == MOST_METERS)
        forget_meters(memory);
    Meter *found = &memory->meters[memory->meter_count++];
    if (read_meter(found, meter) == 0)
        return found;
    forget_meters(memory);
    return NULL;
}

/* ---------------------------------------------------------------- looking */

/* Whether the event reaches the account in time and for the first time. False, too, with an exception set. */
static bool is_new(Work *work, Found *it, Py_ssize_t index)
{
    const Room *accounts = &work->rooms->account;
    int64_t oldest;
    if (*slot(accounts, it->account, A_AT_HOME) != Py_True || *slot(accounts, it->account, A_DIRTY) != Py_True)
        return false;
    if (!int_of(*slot(accounts, it->account, A_OLDEST), &oldest) || it->time < oldest)
        return false;
    if (PyDict_GetItemWithError(work->recent, it->which) != NULL || PyErr_Occurred())
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
    it->instant = it->time;
    if (work->instants != Py_None) {
        PyObject *instant = PySequence_GetItem(work->instants, index);
        bool is_int = int_of(instant, &it->instant);
        Py_XDECREF(instant);
        if (!is_int)
            return false;
    }
    return it->instant <= work->clock_us || it->instant <= work->due_us;
}

static bool has_codes(Work *work, Found *it)
{
    const Room *shapes = &work->rooms->shape, *streams = &work->rooms->stream;
    int64_t of_shape, of_stream;
    return int_of(*slot(shapes, it->shape, H_CODE_GENERATION), &of_shape) && of_shape == work->generation
           && int_of(*slot(streams, it->stream, S_CODE_GENERATION), &of_stream) && of_stream == work->generation;
}

/* The open unit that the request joins, as the plain loop finds it; NULL where there is none. */
static PyObject *unit_of(Work *work, Found *it)
{
    const Rooms *rooms = work->rooms;
    PyObject *event = it->event, *run = PyTuple_GET_ITEM(event, P_RUN), *key = run, *state, *unit;
    PyObject *meters = *slot(&rooms->account, it->account, A_METERS);
    state = is_dict(meters) ? PyDict_GetItemWithError(meters, it->meter->name) : NULL;
    if (state == NULL || !Py_IS_TYPE(state, rooms->meter.type))
        return NULL;
    PyObject *keys = *slot(&rooms->meter, state, M_KEYS), *runs = *slot(&rooms->meter, state, M_RUNS);
    if (it->meter->key != Py_None) {
        PyObject *attributes = PyTuple_GET_ITEM(event, P_ATTRIBUTES);
        PyObject *by_name = PyTuple_GET_SIZE(attributes) == 3 ? PyTuple_GET_ITEM(attributes, 2) : NULL;
        key = is_dict(by_name) ? PyDict_GetItemWithError(by_name, it->meter->key) : NULL;
    }
    unit = key != NULL && is_dict(keys) ? PyDict_GetItemWithError(keys, key) : NULL;
    if (unit == NULL || !Py_IS_TYPE(unit, rooms->unit.type) || !is_dict(runs))
        return NULL;
    if (it->meter->key != Py_None && PyDict_GetItemWithError(runs, run) != unit)
        return NULL;
    return unit;
}

static bool takes(Work *work, Found *it)
{
    const Room *units = &work->rooms->unit;
    PyObject *unit = it->unit;
    int64_t state;
    if (!int_of(*slot(units, unit, U_STATE), &state) || state != 0 || *slot(units, unit, U_METER) != it->meter->meter)
        return false;
    return int_of(*slot(units, unit, U_WINDOW_END), &it->window_end) && it->time <= it->window_end;
}

/* False, with or without an exception, where the event is not the common one. */
static bool is_common(Work *work, Found *it, Py_ssize_t index)
{
    const Rooms *rooms = work->rooms;
    PyObject *event = it->event = PyList_GET_ITEM(work->prepared, index);
    if (!PyTuple_CheckExact(event) || PyTuple_GET_SIZE(event) != PARTS)
        return false;
    it->stream = PyTuple_GET_ITEM(event, P_STREAM);
    it->shape = PyTuple_GET_ITEM(event, P_SHAPE);
    it->which = PyTuple_GET_ITEM(event, P_DIGEST);
    if (!Py_IS_TYPE(it->stream, rooms->stream.type) || !Py_IS_TYPE(it->shape, rooms->shape.type))
        return false;
    it->account = *slot(&rooms->stream, it->stream, S_ACCOUNT);
    PyObject *meter = *slot(&rooms->shape, it->shape, H_FAST_METER), *retry_of = PyTuple_GET_ITEM(event, P_RETRY_OF);
    if (it->account == NULL || !Py_IS_TYPE(it->account, rooms->account.type) || meter == NULL || meter == Py_None)
        return false;
    if (!PyUnicode_Check(retry_of) || PyUnicode_GET_LENGTH(retry_of) != 0
        || PyTuple_GET_ITEM(event, P_UNPRICED) != Py_False || !PyTuple_CheckExact(PyTuple_GET_ITEM(event, P_ATTRIBUTES)))
        return false;
    if (!int_of(PyTuple_GET_ITEM(event, P_TIME), &it->time) || !has_codes(work, it) || !is_quiet(work, it, index)
        || !is_new(work, it, index))
        return false;
    it->meter = meter_of(work->memory, meter);
    it->fate = it->meter == NULL ? NULL : PyDict_GetItemWithError(work->fates, it->meter->name);
    it->unit = it->fate == NULL ? NULL : unit_of(work, it);
    return it->unit != NULL && takes(work, it);
}

/* ---------------------------------------------------------------- doing */

static int add(PyObject **to, PyObject *more)
{
    PyObject *sum = *to == NULL ? NULL : PyNumber_Add(*to, more);
    if (sum == NULL)
        return -1;
    Py_SETREF(*to, sum);
    return 0;
}

static int add_usage(PyObject *sums, PyObject *usage)
{
    PyObject *name, *count;
    Py_ssize_t at = 0;
    if (!is_dict(usage))
        return 0; /* None: it has none */
    while (PyDict_Next(usage, &at, &name, &count)) {
        PyObject *former = PyDict_GetItemWithError(sums, name);
        if (former == NULL && PyErr_Occurred())
            return -1;
        PyObject *sum = former == NULL ? Py_NewRef(count) : PyNumber_Add(former, count);
        int failed = sum == NULL || PyDict_SetItem(sums, name, sum) < 0;
        Py_XDECREF(sum);
        if (failed)
            return -1;
    }
    return 0;
}

static int add_attributes(const Room *units, const Found *it)
{
    PyObject *pairs = PyTuple_GET_ITEM(PyTuple_GET_ITEM(it->event, P_ATTRIBUTES), 0);
    PyObject *time = PyTuple_GET_ITEM(it->event, P_TIME);
    int64_t repeated;
    if (PyTuple_CheckExact(pairs) && PyTuple_GET_SIZE(pairs) == 0)
        return 0;
    if (pairs == *slot(units, it->unit, U_REPEATED) && int_of(*slot(units, it->unit, U_REPEATED_TIME), &repeated)
        && it->time >= repeated) {
        put(units, it->unit, U_REPEATED_TIME, Py_NewRef(time));
        return put(units, it->unit, U_REPEATED_ORDER, Py_NewRef(it->offset));
    }
    PyObject *done = PyObject_CallMethod(it->unit, "note_attributes", "OOO", pairs, time, it->offset);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* The unit's times (D14, D16) after an ordinary event. */
static int renew(const Work *work, const Found *it)
{
    const Room *units = &work->rooms->unit;
    PyObject *unit = it->unit, *time = PyTuple_GET_ITEM(it->event, P_TIME);
    int64_t started, last_any, last, opening;
    if (!int_of(*slot(units, unit, U_STARTED), &started) || !int_of(*slot(units, unit, U_LAST_ANY), &last_any)
        || !int_of(*slot(units, unit, U_LAST), &last) || !int_of(*slot(units, unit, U_OPENING), &opening)) {
        PyErr_SetString(PyExc_TypeError, "a unit's times are ints of 64 bits");
        return -1;
    }
    if (it->time < started)
        put(units, unit, U_STARTED, Py_NewRef(time));
    if (it->time > last_any)
        put(units, unit, U_LAST_ANY, Py_NewRef(time));
    if (it->time > last) {
        int64_t ends = it->time + it->meter->idle_us, oldest_end = opening + it->meter->max_age_us;
        put(units, unit, U_LAST, Py_NewRef(time));
        if (put_int(units, unit, U_WINDOW_END, ends < oldest_end ? ends : oldest_end) < 0)
            return -1;
    }
    return put_int(units, unit, U_IDLE_AT, work->clock_us + it->meter->idle_us);
}

static int join_unit(Work *work, const Found *it)
{
    const Room *units = &work->rooms->unit, *shapes = &work->rooms->shape;
    PyObject *unit = it->unit, *sums = *slot(units, unit, U_USAGE);
    int64_t requests;
    if (!is_dict(sums) || !int_of(*slot(units, unit, U_REQUESTS), &requests)) {
        PyErr_SetString(PyExc_TypeError, "a unit has requests and usage");
        return -1;
    }
    if (put_int(units, unit, U_REQUESTS, requests + 1) < 0
        || add(slot(units, unit, U_COST), PyTuple_GET_ITEM(it->event, P_COST)) < 0
        || add_usage(sums, PyTuple_GET_ITEM(it->event, P_USAGE)) < 0 || add_attributes(units, it) < 0)
        return -1;
    if (*slot(shapes, it->shape, H_TEST) == Py_True)
        put(units, unit, U_TEST, Py_NewRef(Py_True));
    if (*slot(shapes, it->shape, H_INTERNAL) == Py_True)
        put(units, unit, U_INTERNAL, Py_NewRef(Py_True));
    if (renew(work, it) < 0 || put(units, unit, U_VERSION, Py_NewRef(it->offset)) < 0)
        return -1;
    if (*slot(units, unit, U_DIRTY) == Py_True)
        return 0;
    put(units, unit, U_DIRTY, Py_NewRef(Py_True));
    return PyList_Append(work->dirty, unit);
}

/* The account's highest time, and the horizon with it (AccountState.reach). */
static int reach(Work *work, const Found *it)
{
    const Room *accounts = &work->rooms->account;
    int64_t highest;
    put(accounts, it->account, A_VERSION, Py_NewRef(it->offset));
    if (int_of(*slot(accounts, it->account, A_HIGHEST), &highest) && it->time <= highest)
        return 0;
    PyObject *catalog = *slot(&work->rooms->shape, it->shape, H_CATALOG);
    if (catalog != work->memory->catalog) {
        if (catalog == NULL || get_int(catalog, "dedupe_us", &work->memory->dedupe_us) < 0)
            return -1;
        Py_XSETREF(work->memory->catalog, Py_NewRef(catalog));
    }
    int64_t oldest = it->time - work->memory->dedupe_us, day = oldest / DAY_US - (oldest % DAY_US < 0);
    put(accounts, it->account, A_HIGHEST, Py_NewRef(PyTuple_GET_ITEM(it->event, P_TIME)));
    if (put_int(accounts, it->account, A_OLDEST, oldest) < 0)
        return -1;
    return put_int(accounts, it->account, A_OLDEST_DAY, day);
}

static int remember(Work *work, const Found *it)
{
    Memory *memory = work->memory;
    int64_t day = it->time / DAY_US;
    if (memory->day == NULL || day != memory->day_number) {
        Py_XSETREF(memory->day, PyLong_FromLongLong(day));
        memory->day_number = day;
    }
    return memory->day == NULL ? -1 : PyDict_SetItem(work->recent, it->which, memory->day);
}

static int do_common(Work *work, const Found *it)
{
    const Rooms *rooms = work->rooms;
    if (it->instant > work->clock_us)
        work->clock_us = it->instant;
    if (join_unit(work, it) < 0 || remember(work, it) < 0 || reach(work, it) < 0)
        return -1;
    PyObject *entry = PyTuple_Pack(
        6, it->offset, it->event, *slot(&rooms->stream, it->stream, S_CODE), *slot(&rooms->shape, it->shape, H_CODE),
        it->fate, *slot(&rooms->unit, it->unit, U_UNIT_ID)
    );
    int failed = entry == NULL || PyList_Append(work->entries, entry) < 0;
    Py_XDECREF(entry);
    return failed ? -1 : 0;
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
                 || !get(seen, "recent", &work->recent) || !get(engine, "buffer", &buffer)
                 || get_int(buffer, "generation", &work->generation) < 0;
    Py_XDECREF(seen);
    Py_XDECREF(buffer);
    work->clock_before_us = work->clock_us;
    if (failed)
        return -1;
    if (is_dict(work->recent) && is_dict(work->fates) && PyList_CheckExact(work->dirty)
        && PyList_CheckExact(work->prepared) && PyList_CheckExact(work->entries))
        return 0;
    PyErr_SetString(PyExc_TypeError, "join: recent and fates are dicts; dirty, prepared and entries are lists");
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
    Py_XDECREF(work->recent);
    Py_XDECREF((PyObject *)work->memory);
    return failed ? -1 : 0;
}

PyObject *join(PyObject *module, PyObject *arguments)
{
    Work work = {.rooms = rooms_of()};
    PyObject *engine, *batch;
    Py_ssize_t first, end, at;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OOOOOOnn:join", &engine, &batch, &work.prepared, &work.older, &work.fates,
                          &work.entries, &first, &end))
        return NULL;
    at = first;
    if (work.rooms != NULL && open_work(&work, engine, batch) == 0 && first >= 0) {
        Found it;
        for (; at < end && at < PyList_GET_SIZE(work.prepared); at++) {
            if (!is_common(&work, &it, at))
                break;
            it.offset = PySequence_GetItem(work.offsets, at);
            int failed = it.offset == NULL || do_common(&work, &it) < 0;
            Py_XDECREF(it.offset);
            if (failed)
                break;
        }
    }
    return close_work(&work) < 0 ? NULL : PyLong_FromSsize_t(at - first);
}
