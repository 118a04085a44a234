"""The tables: their DDL, generated from `rows` so that engine, writer and store cannot differ.

Owns engines, keys, partitions, codecs and comments. Runs nothing: `migrations` applies what this returns.
A partition is always a function of the sorting key (for `events`: of identity inside the dedupe horizon),
because ReplacingMergeTree replaces inside one partition only.
"""

from __future__ import annotations

from dataclasses import dataclass

from unitrate import rows

# A checkpoint's marker must not outlive the rows that it vouches for.
DURABLE = "fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"

# Kinds of columns whose neighbours are alike: deltas compress them; all others take the default codec.
_CODECS = {
    "time": "CODEC(Delta, ZSTD(1))",
    "int": "CODEC(Delta, ZSTD(1))",
    "bytes": "CODEC(ZSTD(3))",
    "str": "CODEC(ZSTD(1))",
    "id": "CODEC(ZSTD(1))",
    "money": "CODEC(ZSTD(1))",
    "money?": "CODEC(ZSTD(1))",
    "quantity": "CODEC(ZSTD(1))",
    "uint": "CODEC(T64, ZSTD(1))",
}


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `extra` is a column that the store adds to the engine's."""

    name: str
    columns: tuple[rows.Column, ...]
    engine: str
    order_by: tuple[str, ...]
    partition_by: str
    comment: str
    extra: str = ""
    ttl: str = ""


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def column_line(column: rows.Column) -> str:
    """`name Type CODEC(…) COMMENT '…'` of one column."""
    codec = _CODECS.get(column.kind, "")
    parts = (f"`{column.name}`", rows.KINDS[column.kind], "COMMENT " + quoted(column.comment), codec)
    return " ".join(part for part in parts if part)


def create_table(table: Table, database: str) -> str:
    """The table's CREATE statement; running it again changes nothing."""
    lines = [column_line(column) for column in table.columns]
    if table.extra:
        lines.append(table.extra)
    order = ", ".join(f"`{name}`" for name in table.order_by)
    statement = f"CREATE TABLE IF NOT EXISTS `{database}`.`{table.name}`\n(\n    "
    statement += ",\n    ".join(lines) + f"\n)\nENGINE = {table.engine}\n"
    if table.partition_by:
        statement += f"PARTITION BY {table.partition_by}\n"
    statement += f"ORDER BY ({order})\n"
    if table.ttl:
        statement += f"TTL {table.ttl}\n"
    return statement + f"SETTINGS {DURABLE}\nCOMMENT {quoted(table.comment)}"


LEDGER_TABLES = (
    Table(
        "events",
        rows.EVENTS,
        "ReplacingMergeTree(`first_wins`)",
        ("account", "source", "id"),
        "toYYYYMM(`time`)",
        "Ledger of accepted events: every request, whatever became of its run. Read it with FINAL and "
        "do_not_merge_across_partitions_select_final = 1",
        extra="`first_wins` UInt64 MATERIALIZED 9223372036854775807 - `offset` "
        "COMMENT 'of two rows of one identity the one with the lower offset stays'",
    ),
    Table(
        "units",
        rows.UNITS,
        "ReplacingMergeTree(`version`)",
        ("account", "opened_month", "unit_id"),
        "`opened_month`",
        "Units of work as they are now, one row a unit (FINAL). The money of a month comes from lines",
    ),
    Table(
        "lines",
        rows.LINES,
        "ReplacingMergeTree(`version`)",
        ("account", "bill_month", "unit_id", "charge", "price_value", "revision"),
        "`bill_month`",
        "Rated lines, append-only: the revenue ledger. A unit's revenue is the sum of its lines (FINAL)",
    ),
    Table(
        "cost_lines",
        rows.COST_LINES,
        "ReplacingMergeTree(`version`)",
        ("account", "bill_month", "unit_id", "revision", "side"),
        "`bill_month`",
        "Units, requests, cost and revenue by month, append-only and signed: what reports add up (FINAL)",
    ),
    Table(
        "rejected_events",
        rows.REJECTED,
        "ReplacingMergeTree(`version`)",
        ("partition", "offset"),
        "",
        "Events that were not accepted, whole, with the reason; kept 90 days. For operators only",
        # The store's clock, not the event's: a history that is loaded today is kept 90 days from today.
        extra="`kept_at` DateTime('UTC') DEFAULT now() "
        "COMMENT 'when the row was written; it is kept from then'",
        ttl="`kept_at` + INTERVAL 90 DAY",
    ),
    Table(
        "duplicates",
        rows.DUPLICATES,
        "ReplacingMergeTree(`version`)",
        ("partition", "offset"),
        "",
        "Events whose account, source and id had been seen: they cost and bill nothing",
    ),
)

MONTH_TABLES = (
    Table(
        "closings",
        rows.CLOSINGS,
        "ReplacingMergeTree(`version`)",
        ("control_seq", "account", "period"),
        "",
        "Closed months by account",
    ),
    Table(
        "grants",
        rows.GRANTS,
        "ReplacingMergeTree(`version`)",
        ("account", "grant_id"),
        "",
        "Top-ups and the credit that they grant",
    ),
    Table(
        "corrections",
        rows.CORRECTIONS,
        "ReplacingMergeTree(`version`)",
        ("account", "unit_id", "version"),
        "",
        "What operators corrected, with who and why",
    ),
)

RERATE_TABLES = (
    Table(
        "rerates",
        rows.RERATES,
        "ReplacingMergeTree(`version`)",
        ("partition", "number"),
        "",
        "Prices that were published wrong and corrected, with who and why; each partition has every record",
    ),
    Table(
        "rerated_months",
        rows.RERATED_MONTHS,
        "ReplacingMergeTree(`version`)",
        ("account", "bill_month", "usage_month", "plan", "plan_version", "number"),
        "`bill_month`",
        "Account months that have corrected prices",
    ),
)

_PARTITION = rows.Column("partition", "small", "log partition")

PROTOCOL_TABLES = (
    Table(
        "state",
        (
            _PARTITION,
            rows.Column("generation", "int", "offset of the record that began the generation"),
            rows.Column("kind", "code", "kind of entity"),
            rows.Column("entity", "bytes", "identity of the entity"),
            rows.Column("version", "int", "log offset after which the fact holds"),
            rows.Column("body", "bytes", "the entity then; empty: it had ended"),
        ),
        "ReplacingMergeTree",
        ("partition", "generation", "kind", "entity", "version"),
        "(`partition`, `generation`)",
        "The engine's state as facts: entity e after offset v. Never overwritten; old generations go",
    ),
    Table(
        "checkpoints",
        (
            _PARTITION,
            rows.Column("generation", "int", "generation of state rows that belongs to it"),
            rows.Column("last_offset", "int", "log offset up to which all rows are in the store"),
            rows.Column("meta", "str", "clock, catalogs and counters of the engine, JSON"),
            rows.Column("digests", "str", "count and sum of hashes of the state, JSON"),
        ),
        "ReplacingMergeTree(`last_offset`)",
        ("partition", "generation"),
        "",
        "Markers: the one with the highest last_offset of a partition is where it goes on",
        extra="`written_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'machine time of the checkpoint'",
    ),
    Table(
        "catalogs",
        (
            _PARTITION,
            rows.Column("published_offset", "int", "log offset of the publication"),
            rows.Column("id", "str", "catalog version"),
            rows.Column("effective", "time", "instant from which it holds"),
            rows.Column("sha256", "str", "hash of the publication"),
            rows.Column("currency", "code", "currency of its prices"),
            rows.Column("book", "code", "price book and its version"),
            rows.Column("publication", "bytes", "what the engine was given: all that a replay needs, JSON"),
        ),
        "ReplacingMergeTree",
        ("partition", "published_offset"),
        "",
        "Published catalog versions; one is never changed",
    ),
)

CATALOG_TEXTS = Table(
    "catalog_texts",
    (
        rows.Column("id", "str", "catalog version"),
        rows.Column("text", "bytes", "the YAML as its operator wrote it"),
    ),
    "ReplacingMergeTree",
    ("id",),
    "",
    "Source texts of published catalog versions",
)

EMBEDDED_TABLES = (
    Table(
        "manifest",
        (
            rows.Column("seq", "int", "order of the rows, from 0"),
            rows.Column("base_offset", "int", "log offset of its first record"),
            rows.Column("count", "int", "records"),
            rows.Column("kind", "code", "files, publication, tick, retry or control"),
            rows.Column("entered", "time", "machine time at which the records entered the log"),
            rows.Column("body", "str", "where the records are: files, byte ranges and hashes, JSON"),
            rows.Column("payload", "bytes", "bytes of a publication or of a control record"),
        ),
        "ReplacingMergeTree",
        ("seq",),
        "",
        "The embedded log: what its offsets stand for, in order",
    ),
    Table(
        "spool",
        (
            rows.Column("seq", "int", "manifest row that it belongs to"),
            rows.Column("part", "int", "order of the pieces"),
            rows.Column("body", "bytes", "raw events"),
        ),
        "ReplacingMergeTree",
        ("seq", "part"),
        "`seq`",
        "Raw events that no file holds (standard input, retries), until they are processed; then dropped",
    ),
    Table(
        "retried_events",
        (
            _PARTITION,
            rows.Column("offset", "int", "log offset of the rejected event"),
            rows.Column("retried_offset", "int", "log offset at which it was taken again"),
        ),
        "ReplacingMergeTree(`retried_offset`)",
        ("partition", "offset"),
        "",
        "Rejected events that were taken again",
    ),
)
TABLES = LEDGER_TABLES + MONTH_TABLES + RERATE_TABLES + PROTOCOL_TABLES + (CATALOG_TEXTS,) + EMBEDDED_TABLES
