"""Events as the ledgers keep them, back as the JSON that they came as: what a fold of it can see is the same.

Owns the SQL that writes that JSON. Costs that a provider billed come back in the catalog's currency, as they
were converted then; those that nothing converted come back as they were billed.
"""

from __future__ import annotations

from unitrate.rows import USAGE

# What became of a record that is no accepted event: "duplicate", or the reason code of a rejected one.
DUPLICATE = "duplicate"
_TIME = "formatDateTime(time, '%Y-%m-%dT%H:%i:%S.%fZ', 'UTC')"
_PLACEHOLDER = "0 XXX"  # a bill in a currency of no catalog: such a request is unpriced


def _text(name: str, column: str | None = None) -> str:
    """`,"name":"…"` where the column is not empty."""
    column = column or name
    return f"""if({column} = '', '', concat(',"{name}":', toJSONString(toString({column}))))"""


def _number(name: str, absent: int) -> str:
    return f"""if({name} = {absent}, '', concat(',"{name}":', toString({name})))"""


def _raw(name: str) -> str:
    """`,"name":{…}`: attributes and tags are kept as the JSON that they came as."""
    return f"""if({name} = '', '', concat(',"{name}":', {name}))"""


_COUNTS = ", ".join(_number(name, 0) for name in USAGE)
_USAGE = f"""if(has_usage, concat(',"usage":{{', substring(concat({_COUNTS}), 2), '}}'), '')"""


def _cost(amount: str, currency: str) -> str:
    return f"""concat(',"cost":{{"amount":"', {amount}, '","currency":"', {currency}, '"}}')"""


_CONVERTED = _cost("toString(assumeNotNull(cost_billed))", "{currency:String}")
_AS_BILLED = _cost("splitByChar(' ', bill)[1]", "splitByChar(' ', bill)[2]")
_BILL = f"multiIf(isNotNull(cost_billed), {_CONVERTED}, bill != '', {_AS_BILLED}, '')"
_COMPLETION = "if(completion = 1, '', concat(',\"completion\":', toString(completion)))"
_DATA = (
    _text("workspace"),
    "if(mode = 'live', '', concat(',\"mode\":\"', mode, '\"'))",
    _text("retry_of"),
    _raw("attributes"),
    _raw("tags"),
    _text("provider"),
    _text("model"),
    _text("operation"),
    _text("status"),
    _text("step"),
    _number("attempt", 1),
    "if(background, ',\"background\":true', '')",
    _USAGE,
    _BILL,
    _COMPLETION,
)


def _event_json(type_: str, data: str) -> str:
    return (
        'concat(\'{"specversion":"1.0","id":\', toJSONString(id), \',"source":\', '
        f'toJSONString(toString(source)), \',"type":"\', {type_}, \'","subject":\', '
        f"toJSONString(toString(account)), ',\"time\":\"', {_TIME}, '\",\"data\":', {data}, '}}')"
    )


_COLUMNS = ", ".join(
    (
        "account, source, id, type, time, workflow, run_id, workspace, mode, retry_of, attributes, tags",
        "provider, model, operation, status, step, attempt, background, cost_billed, completion",
        *USAGE,
    )
)
_RUN = "'{\"workflow\":', toJSONString(toString(workflow)), ',\"run_id\":', toJSONString(run_id)"
_WHOLE = f"concat({', '.join((_RUN, *_DATA))}, '}}')"
_NOTHING = """'{"workflow":"duplicate","run_id":"duplicate"}'"""

_SETTINGS = "output_format_json_escape_forward_slashes = 0"  # what is escaped is slower to read
# A copy of the events in the order of the log: the ledger is sorted by identity, and sorting all of it in one
# query would take memory by its size. It is dropped when the replay ends.
SORTED = "replay"
DROP = f"DROP DATABASE IF EXISTS {SORTED} SYNC"
CREATE = f"CREATE DATABASE {SORTED} ENGINE = Atomic"
COPY = f"""
CREATE TABLE {SORTED}.events ENGINE = MergeTree ORDER BY offset AS
SELECT offset, {_COLUMNS}, unit_id, meter, reason, cost, {" + ".join(USAGE)} > 0 AS has_usage,
       if(billed = '' AND unpriced AND isNotNull(cost_computed), '{_PLACEHOLDER}', billed) AS bill
FROM events WHERE partition = {{partition:UInt32}} AND offset >= {{since:Int64}} AND offset <= {{upto:Int64}}
SETTINGS min_insert_block_size_rows = 200000, max_insert_block_size = 200000, max_insert_threads = 1
"""
# What a record said and what became of it. An insert that was done twice gives rows twice.
EVENTS = f"""
SELECT offset, {_event_json("type", _WHOLE)} AS raw, unit_id, meter, reason, cost
FROM {SORTED}.events WHERE offset >= {{since:Int64}} AND offset <= {{upto:Int64}} ORDER BY offset
SETTINGS {_SETTINGS}
"""
# Of a duplicate the identity and the time are kept, which is all that the fold asked of it.
DUPLICATES = f"""
SELECT offset, '{DUPLICATE}' AS kept, toUnixTimestamp64Micro(time) AS time_us,
       {_event_json("'work.annotated'", _NOTHING)} AS raw
FROM duplicates
WHERE partition = {{partition:UInt32}} AND offset >= {{since:Int64}} AND offset <= {{upto:Int64}}
ORDER BY offset LIMIT 1 BY offset
SETTINGS {_SETTINGS}
"""
# Well-formed events that were not taken: they met the fold, and in files they moved the log's time.
# (Of `unit_final` the ledger has the event.) Malformed ones changed nothing.
REJECTED = """
SELECT offset, toString(reason) AS kept, toInt64(0) AS time_us, raw
FROM rejected_events
WHERE partition = {partition:UInt32} AND offset >= {since:Int64} AND offset <= {upto:Int64}
  AND reason IN ('too_old', 'no_unit', 'wrong_partition')
ORDER BY offset LIMIT 1 BY offset
"""
