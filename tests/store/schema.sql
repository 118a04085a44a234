-- 1: tables

CREATE TABLE IF NOT EXISTS `unitrate`.`events`
(
    `partition` UInt32 COMMENT 'log partition',
    `offset` Int64 COMMENT 'log offset of the record' CODEC(Delta, ZSTD(1)),
    `account` LowCardinality(String) COMMENT 'customer who is billed (CloudEvents subject)',
    `source` LowCardinality(String) COMMENT 'who emitted the event',
    `id` String COMMENT 'identity of the event within its source and account' CODEC(ZSTD(1)),
    `type` LowCardinality(String) COMMENT 'ai.request or work.*',
    `time` DateTime64(6, 'UTC') COMMENT 'when it happened' CODEC(Delta, ZSTD(1)),
    `workflow` LowCardinality(String) COMMENT 'workflow that made the request',
    `run_id` String COMMENT 'workflow run' CODEC(ZSTD(1)),
    `workspace` LowCardinality(String) COMMENT 'workspace, empty where none',
    `mode` LowCardinality(String) COMMENT 'live, test or internal',
    `retry_of` String COMMENT 'run that this run repeats, empty where none' CODEC(ZSTD(1)),
    `unit_id` String COMMENT 'unit that the event joined; zero for a cost-only row' CODEC(ZSTD(1)),
    `meter` LowCardinality(String) COMMENT 'meter of that unit',
    `reason` LowCardinality(String) COMMENT 'why it is cost-only: unmetered, no_key, background, unit_final; else empty',
    `provider` LowCardinality(String) COMMENT 'provider as the event names it',
    `model` LowCardinality(String) COMMENT 'model as the event names it',
    `operation` LowCardinality(String) COMMENT 'operation of an ai.request',
    `status` LowCardinality(String) COMMENT 'ok, error, timeout or cancelled',
    `step` LowCardinality(String) COMMENT 'step of the workflow',
    `attempt` UInt32 COMMENT 'attempt, from 1',
    `background` Bool COMMENT 'cost only, never opens a unit',
    `input_tokens` UInt64 COMMENT 'count of input tokens' CODEC(T64, ZSTD(1)),
    `cache_read_tokens` UInt64 COMMENT 'count of cache read tokens' CODEC(T64, ZSTD(1)),
    `cache_write_tokens` UInt64 COMMENT 'count of cache write tokens' CODEC(T64, ZSTD(1)),
    `cache_write_1h_tokens` UInt64 COMMENT 'count of cache write 1h tokens' CODEC(T64, ZSTD(1)),
    `output_tokens` UInt64 COMMENT 'count of output tokens' CODEC(T64, ZSTD(1)),
    `reasoning_tokens` UInt64 COMMENT 'count of reasoning tokens' CODEC(T64, ZSTD(1)),
    `input_audio_tokens` UInt64 COMMENT 'count of input audio tokens' CODEC(T64, ZSTD(1)),
    `cache_read_audio_tokens` UInt64 COMMENT 'count of cache read audio tokens' CODEC(T64, ZSTD(1)),
    `output_audio_tokens` UInt64 COMMENT 'count of output audio tokens' CODEC(T64, ZSTD(1)),
    `images` UInt64 COMMENT 'count of images' CODEC(T64, ZSTD(1)),
    `pages` UInt64 COMMENT 'count of pages' CODEC(T64, ZSTD(1)),
    `seconds` UInt64 COMMENT 'count of seconds' CODEC(T64, ZSTD(1)),
    `characters` UInt64 COMMENT 'count of characters' CODEC(T64, ZSTD(1)),
    `searches` UInt64 COMMENT 'count of searches' CODEC(T64, ZSTD(1)),
    `tool_calls` UInt64 COMMENT 'count of tool calls' CODEC(T64, ZSTD(1)),
    `cost` Decimal(38, 12) COMMENT 'what the request cost us, in the catalog\'s currency; 0 while unpriced' CODEC(ZSTD(1)),
    `cost_computed` Nullable(Decimal(38, 12)) COMMENT 'by own price or price book; NULL where not priced' CODEC(ZSTD(1)),
    `cost_billed` Nullable(Decimal(38, 12)) COMMENT 'what the provider billed, converted; NULL where not told' CODEC(ZSTD(1)),
    `unpriced` Bool COMMENT 'the cost is not known',
    `billed` String COMMENT 'amount and currency that the provider billed, where it could not be converted' CODEC(ZSTD(1)),
    `catalog` LowCardinality(String) COMMENT 'catalog version in force',
    `price_book` LowCardinality(String) COMMENT 'price book and its version',
    `attributes` String COMMENT 'attributes, JSON' CODEC(ZSTD(1)),
    `tags` String COMMENT 'tags for reporting, JSON' CODEC(ZSTD(1)),
    `completion` Decimal(38, 12) COMMENT 'completion of a work.completed, 1 where not told' CODEC(ZSTD(1)),
    `first_wins` UInt64 MATERIALIZED 9223372036854775807 - `offset` COMMENT 'of two rows of one identity the one with the lower offset stays'
)
ENGINE = ReplacingMergeTree(`first_wins`)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`account`, `source`, `id`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Ledger of accepted events: every request, whatever became of its run. Read it with FINAL and do_not_merge_across_partitions_select_final = 1';

CREATE TABLE IF NOT EXISTS `unitrate`.`units`
(
    `account` LowCardinality(String) COMMENT 'customer who is billed',
    `opened_month` UInt32 COMMENT 'UTC month of the opening record\'s event; partition of the table',
    `unit_id` String COMMENT 'derived from account, meter, key and opening offset' CODEC(ZSTD(1)),
    `version` Int64 COMMENT 'log offset of the record that last changed the unit' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition',
    `opened_offset` Int64 COMMENT 'log offset of the record that opened it' CODEC(Delta, ZSTD(1)),
    `meter` LowCardinality(String) COMMENT 'meter',
    `unit` LowCardinality(String) COMMENT 'run, document, ticket, conversation, action or outcome',
    `key` String COMMENT 'what makes events the same unit; ~2, ~3 … for the next unit of a key' CODEC(ZSTD(1)),
    `ordinal` UInt32 COMMENT '1, 2, … of the units of a key; 0 where every event is a unit',
    `workspace` LowCardinality(String) COMMENT 'workspace of its first event',
    `workflow` LowCardinality(String) COMMENT 'workflow of its first event',
    `state` LowCardinality(String) COMMENT 'open, sealed or final',
    `disposition` LowCardinality(String) COMMENT 'billable, not_billed or held',
    `reason` LowCardinality(String) COMMENT 'the policy rule or condition that decided',
    `size` LowCardinality(String) COMMENT 'size tier, empty where none',
    `quantity` Decimal(38, 12) COMMENT 'units that it counts as' CODEC(ZSTD(1)),
    `billable_quantity` Decimal(38, 12) COMMENT 'units that bill, times the fraction charged' CODEC(ZSTD(1)),
    `period` UInt32 COMMENT 'month it belongs to, in its account\'s time zone',
    `started` DateTime64(6, 'UTC') COMMENT 'time of its earliest event' CODEC(Delta, ZSTD(1)),
    `last_event` DateTime64(6, 'UTC') COMMENT 'time of its latest event' CODEC(Delta, ZSTD(1)),
    `ended` Nullable(DateTime64(6, 'UTC')) COMMENT 'end of the unit; NULL while open',
    `ended_by` LowCardinality(String) COMMENT 'work.* type that ended it; idle or max_age; empty while open',
    `requests` UInt64 COMMENT 'provider-charged requests, retries included' CODEC(T64, ZSTD(1)),
    `background_requests` UInt64 COMMENT 'of these, background ones' CODEC(T64, ZSTD(1)),
    `attempts` UInt64 COMMENT '1 + absorbed retry runs' CODEC(T64, ZSTD(1)),
    `input_tokens` UInt64 COMMENT 'sum of input tokens' CODEC(T64, ZSTD(1)),
    `cache_read_tokens` UInt64 COMMENT 'sum of cache read tokens' CODEC(T64, ZSTD(1)),
    `cache_write_tokens` UInt64 COMMENT 'sum of cache write tokens' CODEC(T64, ZSTD(1)),
    `cache_write_1h_tokens` UInt64 COMMENT 'sum of cache write 1h tokens' CODEC(T64, ZSTD(1)),
    `output_tokens` UInt64 COMMENT 'sum of output tokens' CODEC(T64, ZSTD(1)),
    `reasoning_tokens` UInt64 COMMENT 'sum of reasoning tokens' CODEC(T64, ZSTD(1)),
    `input_audio_tokens` UInt64 COMMENT 'sum of input audio tokens' CODEC(T64, ZSTD(1)),
    `cache_read_audio_tokens` UInt64 COMMENT 'sum of cache read audio tokens' CODEC(T64, ZSTD(1)),
    `output_audio_tokens` UInt64 COMMENT 'sum of output audio tokens' CODEC(T64, ZSTD(1)),
    `images` UInt64 COMMENT 'sum of images' CODEC(T64, ZSTD(1)),
    `pages` UInt64 COMMENT 'sum of pages' CODEC(T64, ZSTD(1)),
    `seconds` UInt64 COMMENT 'sum of seconds' CODEC(T64, ZSTD(1)),
    `characters` UInt64 COMMENT 'sum of characters' CODEC(T64, ZSTD(1)),
    `searches` UInt64 COMMENT 'sum of searches' CODEC(T64, ZSTD(1)),
    `tool_calls` UInt64 COMMENT 'sum of tool calls' CODEC(T64, ZSTD(1)),
    `cost` Decimal(38, 12) COMMENT 'cost of all its requests' CODEC(ZSTD(1)),
    `unpriced_requests` UInt64 COMMENT 'requests whose cost is not known' CODEC(T64, ZSTD(1)),
    `revenue` Decimal(38, 12) COMMENT 'sum of its lines' CODEC(ZSTD(1)),
    `booked_cost` Decimal(38, 12) COMMENT 'cost that cost_lines hold; the rest is of an open unit' CODEC(ZSTD(1)),
    `booked_requests` UInt64 COMMENT 'requests that cost_lines hold' CODEC(T64, ZSTD(1)),
    `attributes` String COMMENT 'aggregated attributes, JSON' CODEC(ZSTD(1)),
    `conditions` String COMMENT 'conditions that hold, JSON list' CODEC(ZSTD(1)),
    `verdict` LowCardinality(String) COMMENT 'accepted, rejected or empty',
    `verdict_time` Nullable(DateTime64(6, 'UTC')) COMMENT 'time of the verdict that decides',
    `plan` LowCardinality(String) COMMENT 'plan that rated it, empty where none',
    `plan_version` UInt32 COMMENT 'its version',
    `catalog` LowCardinality(String) COMMENT 'catalog version that decided it',
    `runs` String COMMENT 'runs that joined it other than by its key, JSON list' CODEC(ZSTD(1)),
    `revision` UInt32 COMMENT 'changes that were booked, from 1; 0 before it first ended'
)
ENGINE = ReplacingMergeTree(`version`)
PARTITION BY `opened_month`
ORDER BY (`account`, `opened_month`, `unit_id`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Units of work as they are now, one row a unit (FINAL). The money of a month comes from lines';

CREATE TABLE IF NOT EXISTS `unitrate`.`lines`
(
    `account` LowCardinality(String) COMMENT 'customer who is billed',
    `bill_month` UInt32 COMMENT 'month whose invoice carries the line',
    `unit_id` String COMMENT 'unit; for unit-less lines derived from the control record' CODEC(ZSTD(1)),
    `charge` LowCardinality(String) COMMENT 'charge of the plan',
    `price_value` LowCardinality(String) COMMENT 'which of the prices: size, workspace …, joined by /; empty without `by`',
    `revision` UInt32 COMMENT 'revision of the unit',
    `version` Int64 COMMENT 'log offset of the record that made the line' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition',
    `line_id` String COMMENT 'unit_id.charge number.revision, or of the control record' CODEC(ZSTD(1)),
    `usage_month` UInt32 COMMENT 'month whose quantities rate it; differs from bill_month for adjustments',
    `meter` LowCardinality(String) COMMENT 'meter',
    `key` String COMMENT 'key of the unit, empty for unit-less lines' CODEC(ZSTD(1)),
    `workspace` LowCardinality(String) COMMENT 'workspace',
    `workflow` LowCardinality(String) COMMENT 'workflow',
    `size` LowCardinality(String) COMMENT 'size tier',
    `plan` LowCardinality(String) COMMENT 'plan',
    `plan_version` UInt32 COMMENT 'its version',
    `catalog` LowCardinality(String) COMMENT 'catalog version that priced it',
    `reason` LowCardinality(String) COMMENT 'policy reason, plan_change or rerate',
    `quantity` Decimal(38, 12) COMMENT 'change of the price\'s quantity' CODEC(ZSTD(1)),
    `units` Decimal(38, 12) COMMENT 'change of the units it bills' CODEC(ZSTD(1)),
    `total_before` Decimal(38, 12) COMMENT 'the price\'s quantity of the month before' CODEC(ZSTD(1)),
    `total_after` Decimal(38, 12) COMMENT 'and after' CODEC(ZSTD(1)),
    `included_before` Decimal(38, 12) COMMENT 'of it included, before' CODEC(ZSTD(1)),
    `included_after` Decimal(38, 12) COMMENT 'and after' CODEC(ZSTD(1)),
    `cost_before` Decimal(38, 12) COMMENT 'cost_plus: cost base of the month before' CODEC(ZSTD(1)),
    `cost_after` Decimal(38, 12) COMMENT 'and after' CODEC(ZSTD(1)),
    `rated_before` Decimal(38, 12) COMMENT 'f of the whole charge before' CODEC(ZSTD(1)),
    `rated_after` Decimal(38, 12) COMMENT 'and after' CODEC(ZSTD(1)),
    `amount` Decimal(38, 12) COMMENT 'rated_after − rated_before' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(`version`)
PARTITION BY `bill_month`
ORDER BY (`account`, `bill_month`, `unit_id`, `charge`, `price_value`, `revision`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Rated lines, append-only: the revenue ledger. A unit\'s revenue is the sum of its lines (FINAL)';

CREATE TABLE IF NOT EXISTS `unitrate`.`cost_lines`
(
    `account` LowCardinality(String) COMMENT 'customer',
    `bill_month` UInt32 COMMENT 'month whose reports carry it',
    `unit_id` String COMMENT 'unit; for cost-only rows derived from the event\'s identity' CODEC(ZSTD(1)),
    `revision` UInt32 COMMENT 'revision of the unit',
    `side` UInt32 COMMENT '0 takes the former figures off, 1 puts the new ones on',
    `version` Int64 COMMENT 'log offset of the record that made it' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition',
    `usage_month` UInt32 COMMENT 'month that the unit belongs to',
    `meter` LowCardinality(String) COMMENT 'meter, empty for cost-only rows',
    `workspace` LowCardinality(String) COMMENT 'workspace',
    `workflow` LowCardinality(String) COMMENT 'workflow',
    `size` LowCardinality(String) COMMENT 'size tier',
    `disposition` LowCardinality(String) COMMENT 'billable, not_billed or held',
    `reason` LowCardinality(String) COMMENT 'reason',
    `units` Int64 COMMENT 'units, signed' CODEC(Delta, ZSTD(1)),
    `billable_quantity` Decimal(38, 12) COMMENT 'billable units, signed' CODEC(ZSTD(1)),
    `requests` Int64 COMMENT 'requests, signed' CODEC(Delta, ZSTD(1)),
    `revenue` Decimal(38, 12) COMMENT 'revenue, signed: the sum of the revision\'s lines' CODEC(ZSTD(1)),
    `cost` Decimal(38, 12) COMMENT 'cost, signed' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(`version`)
PARTITION BY `bill_month`
ORDER BY (`account`, `bill_month`, `unit_id`, `revision`, `side`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Units, requests, cost and revenue by month, append-only and signed: what reports add up (FINAL)';

CREATE TABLE IF NOT EXISTS `unitrate`.`rejected_events`
(
    `partition` UInt32 COMMENT 'log partition',
    `offset` Int64 COMMENT 'log offset' CODEC(Delta, ZSTD(1)),
    `version` Int64 COMMENT '= offset' CODEC(Delta, ZSTD(1)),
    `received` DateTime64(6, 'UTC') COMMENT 'log time when it was rejected' CODEC(Delta, ZSTD(1)),
    `reason` LowCardinality(String) COMMENT 'reason code',
    `message` String COMMENT 'what is wrong, where, and the fix' CODEC(ZSTD(1)),
    `account` String COMMENT 'subject, as far as it could be read' CODEC(ZSTD(1)),
    `source` String COMMENT 'source, as far as it could be read' CODEC(ZSTD(1)),
    `id` String COMMENT 'id, as far as it could be read' CODEC(ZSTD(1)),
    `place` String COMMENT 'file:line, or topic[partition]@offset' CODEC(ZSTD(1)),
    `raw` String COMMENT 'the event, whole, as it came' CODEC(ZSTD(3)),
    `kept_at` DateTime('UTC') DEFAULT now() COMMENT 'when the row was written; it is kept from then'
)
ENGINE = ReplacingMergeTree(`version`)
ORDER BY (`partition`, `offset`)
TTL `kept_at` + INTERVAL 90 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Events that were not accepted, whole, with the reason; kept 90 days. For operators only';

CREATE TABLE IF NOT EXISTS `unitrate`.`duplicates`
(
    `partition` UInt32 COMMENT 'log partition',
    `offset` Int64 COMMENT 'log offset' CODEC(Delta, ZSTD(1)),
    `version` Int64 COMMENT '= offset' CODEC(Delta, ZSTD(1)),
    `account` LowCardinality(String) COMMENT 'customer',
    `source` LowCardinality(String) COMMENT 'source',
    `id` String COMMENT 'identity that was seen before' CODEC(ZSTD(1)),
    `time` DateTime64(6, 'UTC') COMMENT 'time that the repeated event claims' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(`version`)
ORDER BY (`partition`, `offset`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Events whose account, source and id had been seen: they cost and bill nothing';

CREATE TABLE IF NOT EXISTS `unitrate`.`closings`
(
    `control_seq` Int64 COMMENT 'number of the close record among the log\'s control records' CODEC(Delta, ZSTD(1)),
    `account` LowCardinality(String) COMMENT 'account whose month it closed',
    `period` UInt32 COMMENT 'the month; its figures never change again',
    `version` Int64 COMMENT 'log offset of the close record' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition',
    `closed_at` DateTime64(6, 'UTC') COMMENT 'log time' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(`version`)
ORDER BY (`control_seq`, `account`, `period`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Closed months by account';

CREATE TABLE IF NOT EXISTS `unitrate`.`grants`
(
    `account` LowCardinality(String) COMMENT 'account',
    `grant_id` String COMMENT 'derived from the top-up\'s record' CODEC(ZSTD(1)),
    `version` Int64 COMMENT 'log offset of the record' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition',
    `bill_month` UInt32 COMMENT 'month whose invoice charges the top-up',
    `name` String COMMENT 'name of the top-up' CODEC(ZSTD(1)),
    `amount` Decimal(38, 12) COMMENT 'its price' CODEC(ZSTD(1)),
    `credit` Decimal(38, 12) COMMENT 'credit that it grants' CODEC(ZSTD(1)),
    `granted_at` DateTime64(6, 'UTC') COMMENT 'log time' CODEC(Delta, ZSTD(1)),
    `expires_at` Nullable(DateTime64(6, 'UTC')) COMMENT 'end of the credit; NULL where it does not expire'
)
ENGINE = ReplacingMergeTree(`version`)
ORDER BY (`account`, `grant_id`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Top-ups and the credit that they grant';

CREATE TABLE IF NOT EXISTS `unitrate`.`corrections`
(
    `account` LowCardinality(String) COMMENT 'account',
    `unit_id` String COMMENT 'unit that was corrected' CODEC(ZSTD(1)),
    `version` Int64 COMMENT 'log offset of the record' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition',
    `corrected_at` DateTime64(6, 'UTC') COMMENT 'log time' CODEC(Delta, ZSTD(1)),
    `action` LowCardinality(String) COMMENT 'waive or restore',
    `who` String COMMENT 'who decided' CODEC(ZSTD(1)),
    `why` String COMMENT 'why' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(`version`)
ORDER BY (`account`, `unit_id`, `version`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'What operators corrected, with who and why';

CREATE TABLE IF NOT EXISTS `unitrate`.`rerates`
(
    `partition` UInt32 COMMENT 'log partition',
    `version` Int64 COMMENT 'log offset of the record' CODEC(Delta, ZSTD(1)),
    `number` Int64 COMMENT 'of the log\'s re-rates, from 1: the same in every partition' CODEC(Delta, ZSTD(1)),
    `rerated_at` DateTime64(6, 'UTC') COMMENT 'log time' CODEC(Delta, ZSTD(1)),
    `catalog` LowCardinality(String) COMMENT 'catalog version whose prices were wrong',
    `plans` String COMMENT 'plans that it corrects, as growth v3, growth v4' CODEC(ZSTD(1)),
    `from_time` Nullable(DateTime64(6, 'UTC')) COMMENT 'first instant that it is for; NULL where it is told by month, or for all',
    `from_month` UInt32 COMMENT 'first month that it is for, in each account\'s zone; 0: see from_time',
    `who` String COMMENT 'who decided' CODEC(ZSTD(1)),
    `why` String COMMENT 'why' CODEC(ZSTD(1)),
    `body` String COMMENT 'the record: the plans as they should have been, JSON' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree(`version`)
ORDER BY (`partition`, `number`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Prices that were published wrong and corrected, with who and why; each partition has every record';

CREATE TABLE IF NOT EXISTS `unitrate`.`rerated_months`
(
    `account` LowCardinality(String) COMMENT 'account whose month has corrected prices',
    `bill_month` UInt32 COMMENT 'month whose invoice carries what that changes',
    `usage_month` UInt32 COMMENT 'the month',
    `plan` LowCardinality(String) COMMENT 'plan',
    `plan_version` UInt32 COMMENT 'its version',
    `number` Int64 COMMENT 'of the re-rate' CODEC(Delta, ZSTD(1)),
    `version` Int64 COMMENT 'log offset of the record' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition'
)
ENGINE = ReplacingMergeTree(`version`)
PARTITION BY `bill_month`
ORDER BY (`account`, `bill_month`, `usage_month`, `plan`, `plan_version`, `number`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Account months that have corrected prices';

CREATE TABLE IF NOT EXISTS `unitrate`.`state`
(
    `partition` UInt32 COMMENT 'log partition',
    `generation` Int64 COMMENT 'offset of the record that began the generation' CODEC(Delta, ZSTD(1)),
    `kind` LowCardinality(String) COMMENT 'kind of entity',
    `entity` String COMMENT 'identity of the entity' CODEC(ZSTD(3)),
    `version` Int64 COMMENT 'log offset after which the fact holds' CODEC(Delta, ZSTD(1)),
    `body` String COMMENT 'the entity then; empty: it had ended' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY (`partition`, `generation`)
ORDER BY (`partition`, `generation`, `kind`, `entity`, `version`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'The engine\'s state as facts: entity e after offset v. Never overwritten; old generations go';

CREATE TABLE IF NOT EXISTS `unitrate`.`checkpoints`
(
    `partition` UInt32 COMMENT 'log partition',
    `generation` Int64 COMMENT 'generation of state rows that belongs to it' CODEC(Delta, ZSTD(1)),
    `last_offset` Int64 COMMENT 'log offset up to which all rows are in the store' CODEC(Delta, ZSTD(1)),
    `meta` String COMMENT 'clock, catalogs and counters of the engine, JSON' CODEC(ZSTD(1)),
    `digests` String COMMENT 'count and sum of hashes of the state, JSON' CODEC(ZSTD(1)),
    `written_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'machine time of the checkpoint'
)
ENGINE = ReplacingMergeTree(`last_offset`)
ORDER BY (`partition`, `generation`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Markers: the one with the highest last_offset of a partition is where it goes on';

CREATE TABLE IF NOT EXISTS `unitrate`.`catalogs`
(
    `partition` UInt32 COMMENT 'log partition',
    `published_offset` Int64 COMMENT 'log offset of the publication' CODEC(Delta, ZSTD(1)),
    `id` String COMMENT 'catalog version' CODEC(ZSTD(1)),
    `effective` DateTime64(6, 'UTC') COMMENT 'instant from which it holds' CODEC(Delta, ZSTD(1)),
    `sha256` String COMMENT 'hash of the publication' CODEC(ZSTD(1)),
    `currency` LowCardinality(String) COMMENT 'currency of its prices',
    `book` LowCardinality(String) COMMENT 'price book and its version',
    `publication` String COMMENT 'what the engine was given: all that a replay needs, JSON' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY (`partition`, `published_offset`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Published catalog versions; one is never changed';

CREATE TABLE IF NOT EXISTS `unitrate`.`catalog_texts`
(
    `id` String COMMENT 'catalog version' CODEC(ZSTD(1)),
    `text` String COMMENT 'the YAML as its operator wrote it' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY (`id`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Source texts of published catalog versions';

CREATE TABLE IF NOT EXISTS `unitrate`.`manifest`
(
    `seq` Int64 COMMENT 'order of the rows, from 0' CODEC(Delta, ZSTD(1)),
    `base_offset` Int64 COMMENT 'log offset of its first record' CODEC(Delta, ZSTD(1)),
    `count` Int64 COMMENT 'records' CODEC(Delta, ZSTD(1)),
    `kind` LowCardinality(String) COMMENT 'files, publication, tick, retry or control',
    `entered` DateTime64(6, 'UTC') COMMENT 'machine time at which the records entered the log' CODEC(Delta, ZSTD(1)),
    `body` String COMMENT 'where the records are: files, byte ranges and hashes, JSON' CODEC(ZSTD(1)),
    `payload` String COMMENT 'bytes of a publication or of a control record' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY (`seq`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'The embedded log: what its offsets stand for, in order';

CREATE TABLE IF NOT EXISTS `unitrate`.`spool`
(
    `seq` Int64 COMMENT 'manifest row that it belongs to' CODEC(Delta, ZSTD(1)),
    `part` Int64 COMMENT 'order of the pieces' CODEC(Delta, ZSTD(1)),
    `body` String COMMENT 'raw events' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY `seq`
ORDER BY (`seq`, `part`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Raw events that no file holds (standard input, retries), until they are processed; then dropped';

CREATE TABLE IF NOT EXISTS `unitrate`.`retried_events`
(
    `partition` UInt32 COMMENT 'log partition',
    `offset` Int64 COMMENT 'log offset of the rejected event' CODEC(Delta, ZSTD(1)),
    `retried_offset` Int64 COMMENT 'log offset at which it was taken again' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(`retried_offset`)
ORDER BY (`partition`, `offset`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Rejected events that were taken again';

-- 2: months

CREATE TABLE IF NOT EXISTS `unitrate`.`closings`
(
    `control_seq` Int64 COMMENT 'number of the close record among the log\'s control records' CODEC(Delta, ZSTD(1)),
    `account` LowCardinality(String) COMMENT 'account whose month it closed',
    `period` UInt32 COMMENT 'the month; its figures never change again',
    `version` Int64 COMMENT 'log offset of the close record' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition',
    `closed_at` DateTime64(6, 'UTC') COMMENT 'log time' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(`version`)
ORDER BY (`control_seq`, `account`, `period`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Closed months by account';

CREATE TABLE IF NOT EXISTS `unitrate`.`grants`
(
    `account` LowCardinality(String) COMMENT 'account',
    `grant_id` String COMMENT 'derived from the top-up\'s record' CODEC(ZSTD(1)),
    `version` Int64 COMMENT 'log offset of the record' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition',
    `bill_month` UInt32 COMMENT 'month whose invoice charges the top-up',
    `name` String COMMENT 'name of the top-up' CODEC(ZSTD(1)),
    `amount` Decimal(38, 12) COMMENT 'its price' CODEC(ZSTD(1)),
    `credit` Decimal(38, 12) COMMENT 'credit that it grants' CODEC(ZSTD(1)),
    `granted_at` DateTime64(6, 'UTC') COMMENT 'log time' CODEC(Delta, ZSTD(1)),
    `expires_at` Nullable(DateTime64(6, 'UTC')) COMMENT 'end of the credit; NULL where it does not expire'
)
ENGINE = ReplacingMergeTree(`version`)
ORDER BY (`account`, `grant_id`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Top-ups and the credit that they grant';

CREATE TABLE IF NOT EXISTS `unitrate`.`corrections`
(
    `account` LowCardinality(String) COMMENT 'account',
    `unit_id` String COMMENT 'unit that was corrected' CODEC(ZSTD(1)),
    `version` Int64 COMMENT 'log offset of the record' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition',
    `corrected_at` DateTime64(6, 'UTC') COMMENT 'log time' CODEC(Delta, ZSTD(1)),
    `action` LowCardinality(String) COMMENT 'waive or restore',
    `who` String COMMENT 'who decided' CODEC(ZSTD(1)),
    `why` String COMMENT 'why' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(`version`)
ORDER BY (`account`, `unit_id`, `version`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'What operators corrected, with who and why';

CREATE TABLE IF NOT EXISTS `unitrate`.`invoices`
(
    `period` UInt32 COMMENT 'the month',
    `account` LowCardinality(String) COMMENT 'customer',
    `control_seq` Int64 COMMENT 'close record that made it final' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition of the account',
    `issuer` LowCardinality(String) COMMENT 'who sends it: each issuer numbers its own',
    `sequence` Int64 COMMENT '1, 2, 3 … of the issuer, without gaps' CODEC(Delta, ZSTD(1)),
    `number` String COMMENT 'number on the invoice' CODEC(ZSTD(1)),
    `invoice_id` String COMMENT 'derived from account and month' CODEC(ZSTD(1)),
    `issued_at` DateTime64(6, 'UTC') COMMENT 'log time of the close' CODEC(Delta, ZSTD(1)),
    `currency` LowCardinality(String) COMMENT 'currency',
    `minor_digits` UInt32 COMMENT 'decimals of the currency',
    `subtotal` Decimal(38, 12) COMMENT 'all lines but credits and tax' CODEC(ZSTD(1)),
    `credits` Decimal(38, 12) COMMENT 'credits that it used' CODEC(ZSTD(1)),
    `tax` Decimal(38, 12) COMMENT 'tax' CODEC(ZSTD(1)),
    `total` Decimal(38, 12) COMMENT 'what is due' CODEC(ZSTD(1)),
    `plan_days` UInt32 COMMENT 'days of the month on which the account had a plan',
    `catalog` LowCardinality(String) COMMENT 'last catalog version at the close',
    `engine_version` UInt32 COMMENT 'rules of the engine at the close',
    `hash` String COMMENT 'SHA-256 of the document' CODEC(ZSTD(1)),
    `document` String COMMENT 'the whole invoice, canonical JSON' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(`control_seq`)
PARTITION BY `period`
ORDER BY (`period`, `account`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Final invoices. An account\'s month without a row here has a draft only';

CREATE TABLE IF NOT EXISTS `unitrate`.`invoice_lines`
(
    `period` UInt32 COMMENT 'the month',
    `account` LowCardinality(String) COMMENT 'customer',
    `line` UInt32 COMMENT 'place on the invoice, from 1',
    `control_seq` Int64 COMMENT 'close record that made it final' CODEC(Delta, ZSTD(1)),
    `invoice_id` String COMMENT 'invoice' CODEC(ZSTD(1)),
    `kind` LowCardinality(String) COMMENT 'usage, fee, minimum, top_up, credit, adjustment or tax',
    `of_kind` LowCardinality(String) COMMENT 'adjustments: kind of the line of the closed month',
    `name` String COMMENT 'name on the invoice' CODEC(ZSTD(1)),
    `of_name` String COMMENT 'name of the line that it bills or adjusts' CODEC(ZSTD(1)),
    `meter` LowCardinality(String) COMMENT 'meter, empty where none',
    `plan` LowCardinality(String) COMMENT 'plan, empty where none',
    `plan_version` UInt32 COMMENT 'its version',
    `quantity` Nullable(Decimal(38, 12)) COMMENT 'quantity; NULL where it has none' CODEC(ZSTD(1)),
    `included` Nullable(Decimal(38, 12)) COMMENT 'of it included; NULL where it has none' CODEC(ZSTD(1)),
    `amount` Decimal(38, 12) COMMENT 'amount, rounded to the currency\'s minor unit' CODEC(ZSTD(1)),
    `catalog` LowCardinality(String) COMMENT 'catalog version',
    `late_from` UInt32 COMMENT 'adjustments: the closed month; else 0'
)
ENGINE = ReplacingMergeTree(`control_seq`)
PARTITION BY `period`
ORDER BY (`period`, `account`, `line`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Lines of final invoices, rounded';

CREATE TABLE IF NOT EXISTS `unitrate`.`credit_movements`
(
    `account` LowCardinality(String) COMMENT 'customer',
    `credit_id` String COMMENT 'credit: catalog:NAME, or the top-up\'s grant id' CODEC(ZSTD(1)),
    `period` UInt32 COMMENT 'month whose invoice it paid',
    `control_seq` Int64 COMMENT 'close record that made the invoice final' CODEC(Delta, ZSTD(1)),
    `name` String COMMENT 'name of the credit' CODEC(ZSTD(1)),
    `amount` Decimal(38, 12) COMMENT 'what was used, above zero' CODEC(ZSTD(1)),
    `invoice_id` String COMMENT 'invoice' CODEC(ZSTD(1)),
    `moved_at` DateTime64(6, 'UTC') COMMENT 'log time of the close' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(`control_seq`)
ORDER BY (`account`, `credit_id`, `period`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'What final invoices used of credits; what is used is never restored';

CREATE TABLE IF NOT EXISTS `unitrate`.`payouts`
(
    `period` UInt32 COMMENT 'the month',
    `kind` LowCardinality(String) COMMENT 'builder, provider, or period: the month as a whole',
    `payee` String COMMENT 'builder or provider; empty for the month' CODEC(ZSTD(1)),
    `control_seq` Int64 COMMENT 'close record up to which account months are in it' CODEC(Delta, ZSTD(1)),
    `payout_id` String COMMENT 'derived from month and payee' CODEC(ZSTD(1)),
    `currency` LowCardinality(String) COMMENT 'currency',
    `minor_digits` UInt32 COMMENT 'decimals of the currency',
    `units` Int64 COMMENT 'units' CODEC(Delta, ZSTD(1)),
    `requests` Int64 COMMENT 'requests' CODEC(Delta, ZSTD(1)),
    `revenue` Decimal(38, 12) COMMENT 'usage revenue' CODEC(ZSTD(1)),
    `cost` Decimal(38, 12) COMMENT 'cost' CODEC(ZSTD(1)),
    `platform_fee` Decimal(38, 12) COMMENT 'the platform\'s share' CODEC(ZSTD(1)),
    `earnings` Decimal(38, 12) COMMENT 'earnings of a builder, reward of a provider' CODEC(ZSTD(1)),
    `carried_in` Decimal(38, 12) COMMENT 'carried from earlier months' CODEC(ZSTD(1)),
    `payout` Decimal(38, 12) COMMENT 'what is paid' CODEC(ZSTD(1)),
    `carried_out` Decimal(38, 12) COMMENT 'carried to the next month' CODEC(ZSTD(1)),
    `hash` String COMMENT 'SHA-256 of the document' CODEC(ZSTD(1)),
    `document` String COMMENT 'the whole statement, canonical JSON' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(`control_seq`)
PARTITION BY `period`
ORDER BY (`period`, `kind`, `payee`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Final payouts of builders and rewards of providers';

-- 3: billed

ALTER TABLE `unitrate`.events ADD COLUMN IF NOT EXISTS `billed` String COMMENT 'amount and currency that the provider billed, where it could not be converted' CODEC(ZSTD(1));

-- 4: views

CREATE OR REPLACE VIEW `unitrate`.`margin` AS
SELECT `account`, `workspace`, `workflow`, `meter`, `size`, `disposition`, `reason`, units, requests, toDecimal256(billable_quantity, 12) / toDecimal256(1000000000000, 0) AS billable_quantity, toDecimal256(revenue, 12) / toDecimal256(1000000000000, 0) AS revenue, toDecimal256(cost, 12) / toDecimal256(1000000000000, 0) AS cost, revenue - cost AS margin FROM (SELECT `account`, `workspace`, `workflow`, `meter`, `size`, `disposition`, `reason`, sum(units) AS units, toInt256((sum(toDecimal256(billable_quantity, 12))) * toDecimal256(1000000000000, 0)) AS billable_quantity, sum(requests) AS requests, toInt256((sum(toDecimal256(revenue, 12))) * toDecimal256(1000000000000, 0)) AS revenue, toInt256((sum(toDecimal256(cost, 12))) * toDecimal256(1000000000000, 0)) AS cost FROM (SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost, unit_id, version, partition, usage_month < bill_month AS late
FROM cost_lines FINAL
WHERE ({period:UInt32} = 0 OR bill_month = {period:UInt32}) AND ('' = '' OR account = '')
) UNION ALL SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, toInt64(revision = 0) AS units, toDecimal128(0, 12) AS billable_quantity,
       toInt64(units.requests) - toInt64(booked_requests) AS requests, toDecimal128(0, 12) AS revenue,
       units.cost - booked_cost AS cost, unit_id, revision
FROM units FINAL
WHERE state = 'open'
  AND ({period:UInt32} = 0 OR period = {period:UInt32} AND opened_month <= {period:UInt32})
  AND ('' = '' OR account = '')
)) GROUP BY `account`, `workspace`, `workflow`, `meter`, `size`, `disposition`, `reason` HAVING units != 0 OR billable_quantity != 0 OR requests != 0 OR revenue != 0 OR cost != 0 ORDER BY `account`, `workspace`, `workflow`, `meter`, `size`, `disposition`, `reason`)
COMMENT 'Units, requests, revenue, cost and margin of a month by everything a unit has. SELECT meter, sum(revenue), sum(cost), sum(margin) FROM margin(period = 202511) GROUP BY meter';

CREATE OR REPLACE VIEW `unitrate`.`margin_by_request` AS
SELECT `account`, `workspace`, `workflow`, `meter`, `size`, `disposition`, `reason`, `provider`, `model`, `operation`, `day`, units, requests, toDecimal256(billable_quantity, 12) / toDecimal256(1000000000000, 0) AS billable_quantity, toDecimal256(revenue, 12) / toDecimal256(1000000000000, 0) AS revenue, toDecimal256(cost, 12) / toDecimal256(1000000000000, 0) AS cost, revenue - cost AS margin FROM (
SELECT `account`, `workspace`, `workflow`, `meter`, `size`, `disposition`, `reason`, splitByChar('\0', value)[1] AS `provider`, splitByChar('\0', value)[2] AS `model`, splitByChar('\0', value)[3] AS `operation`, splitByChar('\0', value)[4] AS `day`, sum(units) AS units,
       sum(billable_quantity) AS billable_quantity, sum(slice_requests) AS requests,
       sum(slice_revenue) AS revenue, sum(slice_cost) AS cost
FROM (
    SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, value, slice_requests, slice_revenue, slice_cost
    FROM (SELECT *, arrayMap(n -> toInt256(n), arrayFilter((v, asked) -> asked > 0 OR arraySum(slices.3) = 0, if(arraySum(slices.3) > 0, slices.3, slices.4), slices.3)) AS counts,
           if(length(slices.1) < 2, counts, arrayFilter((v, asked) -> asked > 0 OR arraySum(slices.3) = 0, if(arraySum(slices.2) > 0, arrayMap(c -> toInt256((toDecimal256(c, 12)) * toDecimal256(1000000000000, 0)), slices.2), counts), slices.3)) AS weights,
           if(empty(slices.1), [''], arrayFilter((v, asked) -> asked > 0 OR arraySum(slices.3) = 0, slices.1, slices.3)) AS known,
           if(length(slices.1) < 2, [toInt256(requests)], arrayPushBack(arrayMap(w -> sign(toInt256(requests)) * intDiv(abs(toInt256(requests)) * w * 2 + arraySum(counts), arraySum(counts) * 2), arrayPopBack(counts)), toInt256(requests) - arraySum(arrayMap(w -> sign(toInt256(requests)) * intDiv(abs(toInt256(requests)) * w * 2 + arraySum(counts), arraySum(counts) * 2), arrayPopBack(counts))))) AS requests_of,
           if(length(slices.1) < 2, [toInt256(revenue)], arrayPushBack(arrayMap(w -> sign(toInt256(revenue)) * intDiv(abs(toInt256(revenue)) * w * 2 + arraySum(weights), arraySum(weights) * 2), arrayPopBack(weights)), toInt256(revenue) - arraySum(arrayMap(w -> sign(toInt256(revenue)) * intDiv(abs(toInt256(revenue)) * w * 2 + arraySum(weights), arraySum(weights) * 2), arrayPopBack(weights))))) AS revenue_of,
           if(length(slices.1) < 2, [toInt256(cost)], arrayPushBack(arrayMap(w -> sign(toInt256(cost)) * intDiv(abs(toInt256(cost)) * w * 2 + arraySum(weights), arraySum(weights) * 2), arrayPopBack(weights)), toInt256(cost) - arraySum(arrayMap(w -> sign(toInt256(cost)) * intDiv(abs(toInt256(cost)) * w * 2 + arraySum(weights), arraySum(weights) * 2), arrayPopBack(weights))))) AS cost_of FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost, key, slices FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, sum(units) AS units, toInt256((sum(toDecimal256(billable_quantity, 12))) * toDecimal256(1000000000000, 0)) AS billable_quantity, sum(requests) AS requests, toInt256((sum(toDecimal256(revenue, 12))) * toDecimal256(1000000000000, 0)) AS revenue, toInt256((sum(toDecimal256(cost, 12))) * toDecimal256(1000000000000, 0)) AS cost,
       if(meter = '', concat(toString(any(partition)), '@', toString(max(version))), unit_id) AS key
FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost, unit_id, version, partition, usage_month < bill_month AS late
FROM cost_lines FINAL
WHERE ({period:UInt32} = 0 OR bill_month = {period:UInt32}) AND ('' = '' OR account = '')
) WHERE unit_id NOT IN (
SELECT unit_id FROM cost_lines
WHERE usage_month < bill_month AND {period:UInt32} IN (bill_month, usage_month) AND ('' = '' OR account = '')
UNION DISTINCT
SELECT unit_id FROM units FINAL WHERE state = 'open' AND revision > 0 AND ('' = '' OR account = '')
) GROUP BY account, workspace, workflow, meter, size, disposition, reason, unit_id HAVING units != 0 OR billable_quantity != 0 OR requests != 0 OR revenue != 0 OR cost != 0
UNION ALL
SELECT account, workspace, workflow, meter, size, disposition, reason, units, toInt256(0), requests, toInt256(0), toInt256((toDecimal256(cost, 12)) * toDecimal256(1000000000000, 0)), unit_id
FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, toInt64(revision = 0) AS units, toDecimal128(0, 12) AS billable_quantity,
       toInt64(units.requests) - toInt64(booked_requests) AS requests, toDecimal128(0, 12) AS revenue,
       units.cost - booked_cost AS cost, unit_id, revision
FROM units FINAL
WHERE state = 'open'
  AND ({period:UInt32} = 0 OR period = {period:UInt32} AND opened_month <= {period:UInt32})
  AND ('' = '' OR account = '')
) WHERE revision = 0
) AS whole_parts
LEFT JOIN (SELECT key, sumMap([value], [cost], [asked], [toUInt64(1)]) AS slices FROM (
SELECT if(unit_id = '', concat(toString(partition), '@', toString(offset)), unit_id) AS key, offset,
       concat(replaceAll(toString(provider), '\0', ''), '\0', replaceAll(toString(model), '\0', ''), '\0', replaceAll(toString(operation), '\0', ''), '\0', replaceAll(toString(toDate(time, 'UTC')), '\0', '')) AS value, cost, toUInt64(type = 'ai.request') AS asked
FROM events FINAL
WHERE time >= least(
(SELECT (if(count() = 0, toDateTime64('2099-12-31', 6, 'UTC'), min(started)), max(last_event)) FROM units
 WHERE period BETWEEN 
(SELECT if(count() = 0, {period:UInt32}, least(min(usage_month), {period:UInt32})) FROM cost_lines
 WHERE bill_month = {period:UInt32})
 AND {period:UInt32})
.1, subtractDays(toDateTime64(YYYYMMDDToDate(
(SELECT if(count() = 0, {period:UInt32}, least(min(usage_month), {period:UInt32})) FROM cost_lines
 WHERE bill_month = {period:UInt32})
 * 100 + 1), 6, 'UTC'), 2))
  AND time < greatest(addSeconds(
(SELECT (if(count() = 0, toDateTime64('2099-12-31', 6, 'UTC'), min(started)), max(last_event)) FROM units
 WHERE period BETWEEN 
(SELECT if(count() = 0, {period:UInt32}, least(min(usage_month), {period:UInt32})) FROM cost_lines
 WHERE bill_month = {period:UInt32})
 AND {period:UInt32})
.2, 1), addDays(toDateTime64(addMonths(YYYYMMDDToDate({period:UInt32} * 100 + 1), 1), 6, 'UTC'), 2)) AND ('' = '' OR account = '')
) GROUP BY key) AS of_whole USING (key)
UNION ALL
SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost, key, slices FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost, key, if(sum(requests) OVER whole > 0, next_offset, 0) AS since,
       max(last_version) OVER whole AS upto
FROM (
    SELECT account, workspace, workflow, meter, size, disposition, reason, sum(units) AS units, toInt256((sum(toDecimal256(billable_quantity, 12))) * toDecimal256(1000000000000, 0)) AS billable_quantity, sum(requests) AS requests, toInt256((sum(toDecimal256(revenue, 12))) * toDecimal256(1000000000000, 0)) AS revenue, toInt256((sum(toDecimal256(cost, 12))) * toDecimal256(1000000000000, 0)) AS cost, unit_id AS key, max(version) AS last_version
    FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost, unit_id, version, partition, usage_month < bill_month AS late
FROM cost_lines FINAL
WHERE ({period:UInt32} = 0 OR bill_month = {period:UInt32}) AND ('' = '' OR account = '')
) WHERE unit_id IN (
SELECT unit_id FROM cost_lines
WHERE usage_month < bill_month AND {period:UInt32} IN (bill_month, usage_month) AND ('' = '' OR account = '')
UNION DISTINCT
SELECT unit_id FROM units FINAL WHERE state = 'open' AND revision > 0 AND ('' = '' OR account = '')
) GROUP BY account, workspace, workflow, meter, size, disposition, reason, unit_id HAVING units != 0 OR billable_quantity != 0 OR requests != 0 OR revenue != 0 OR cost != 0
) AS booked LEFT JOIN (
    SELECT unit_id AS key, max(version) + 1 AS next_offset FROM cost_lines FINAL
    WHERE bill_month < {period:UInt32} AND ('' = '' OR account = '')
      AND unit_id IN (SELECT unit_id FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost, unit_id, version, partition, usage_month < bill_month AS late
FROM cost_lines FINAL
WHERE ({period:UInt32} = 0 OR bill_month = {period:UInt32}) AND ('' = '' OR account = '')
) WHERE late)
    GROUP BY unit_id
) AS earlier USING (key)
WINDOW whole AS (PARTITION BY key)
UNION ALL
SELECT account, workspace, workflow, meter, size, disposition, reason, units, toInt256(0), requests, toInt256(0), toInt256((toDecimal256(cost, 12)) * toDecimal256(1000000000000, 0)), key,
       next_offset, 9223372036854775807
FROM (SELECT *, unit_id AS key FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, toInt64(revision = 0) AS units, toDecimal128(0, 12) AS billable_quantity,
       toInt64(units.requests) - toInt64(booked_requests) AS requests, toDecimal128(0, 12) AS revenue,
       units.cost - booked_cost AS cost, unit_id, revision
FROM units FINAL
WHERE state = 'open'
  AND ({period:UInt32} = 0 OR period = {period:UInt32} AND opened_month <= {period:UInt32})
  AND ('' = '' OR account = '')
) WHERE revision > 0) AS reopened LEFT JOIN (
    SELECT unit_id AS key, max(version) + 1 AS next_offset FROM cost_lines FINAL
    WHERE unit_id IN (
SELECT unit_id FROM cost_lines
WHERE usage_month < bill_month AND {period:UInt32} IN (bill_month, usage_month) AND ('' = '' OR account = '')
UNION DISTINCT
SELECT unit_id FROM units FINAL WHERE state = 'open' AND revision > 0 AND ('' = '' OR account = '')
) AND ('' = '' OR account = '')
    GROUP BY unit_id
) AS booked USING (key)
) AS split_parts
LEFT JOIN (
    SELECT key, since, upto, sumMap([value], [cost], [asked], [toUInt64(1)]) AS slices
    FROM (SELECT * FROM (
SELECT if(unit_id = '', concat(toString(partition), '@', toString(offset)), unit_id) AS key, offset,
       concat(replaceAll(toString(provider), '\0', ''), '\0', replaceAll(toString(model), '\0', ''), '\0', replaceAll(toString(operation), '\0', ''), '\0', replaceAll(toString(toDate(time, 'UTC')), '\0', '')) AS value, cost, toUInt64(type = 'ai.request') AS asked
FROM events FINAL
WHERE time >= least(
(SELECT (if(count() = 0, toDateTime64('2099-12-31', 6, 'UTC'), min(started)), max(last_event)) FROM units
 WHERE period BETWEEN 
(SELECT if(count() = 0, {period:UInt32}, least(min(usage_month), {period:UInt32})) FROM cost_lines
 WHERE bill_month = {period:UInt32})
 AND {period:UInt32})
.1, subtractDays(toDateTime64(YYYYMMDDToDate(
(SELECT if(count() = 0, {period:UInt32}, least(min(usage_month), {period:UInt32})) FROM cost_lines
 WHERE bill_month = {period:UInt32})
 * 100 + 1), 6, 'UTC'), 2))
  AND time < greatest(addSeconds(
(SELECT (if(count() = 0, toDateTime64('2099-12-31', 6, 'UTC'), min(started)), max(last_event)) FROM units
 WHERE period BETWEEN 
(SELECT if(count() = 0, {period:UInt32}, least(min(usage_month), {period:UInt32})) FROM cost_lines
 WHERE bill_month = {period:UInt32})
 AND {period:UInt32})
.2, 1), addDays(toDateTime64(addMonths(YYYYMMDDToDate({period:UInt32} * 100 + 1), 1), 6, 'UTC'), 2)) AND ('' = '' OR account = '')
) WHERE key IN (
SELECT unit_id FROM cost_lines
WHERE usage_month < bill_month AND {period:UInt32} IN (bill_month, usage_month) AND ('' = '' OR account = '')
UNION DISTINCT
SELECT unit_id FROM units FINAL WHERE state = 'open' AND revision > 0 AND ('' = '' OR account = '')
)) AS happened
    INNER JOIN (SELECT DISTINCT key, since, upto FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost, key, if(sum(requests) OVER whole > 0, next_offset, 0) AS since,
       max(last_version) OVER whole AS upto
FROM (
    SELECT account, workspace, workflow, meter, size, disposition, reason, sum(units) AS units, toInt256((sum(toDecimal256(billable_quantity, 12))) * toDecimal256(1000000000000, 0)) AS billable_quantity, sum(requests) AS requests, toInt256((sum(toDecimal256(revenue, 12))) * toDecimal256(1000000000000, 0)) AS revenue, toInt256((sum(toDecimal256(cost, 12))) * toDecimal256(1000000000000, 0)) AS cost, unit_id AS key, max(version) AS last_version
    FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost, unit_id, version, partition, usage_month < bill_month AS late
FROM cost_lines FINAL
WHERE ({period:UInt32} = 0 OR bill_month = {period:UInt32}) AND ('' = '' OR account = '')
) WHERE unit_id IN (
SELECT unit_id FROM cost_lines
WHERE usage_month < bill_month AND {period:UInt32} IN (bill_month, usage_month) AND ('' = '' OR account = '')
UNION DISTINCT
SELECT unit_id FROM units FINAL WHERE state = 'open' AND revision > 0 AND ('' = '' OR account = '')
) GROUP BY account, workspace, workflow, meter, size, disposition, reason, unit_id HAVING units != 0 OR billable_quantity != 0 OR requests != 0 OR revenue != 0 OR cost != 0
) AS booked LEFT JOIN (
    SELECT unit_id AS key, max(version) + 1 AS next_offset FROM cost_lines FINAL
    WHERE bill_month < {period:UInt32} AND ('' = '' OR account = '')
      AND unit_id IN (SELECT unit_id FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, units, billable_quantity, requests, revenue, cost, unit_id, version, partition, usage_month < bill_month AS late
FROM cost_lines FINAL
WHERE ({period:UInt32} = 0 OR bill_month = {period:UInt32}) AND ('' = '' OR account = '')
) WHERE late)
    GROUP BY unit_id
) AS earlier USING (key)
WINDOW whole AS (PARTITION BY key)
UNION ALL
SELECT account, workspace, workflow, meter, size, disposition, reason, units, toInt256(0), requests, toInt256(0), toInt256((toDecimal256(cost, 12)) * toDecimal256(1000000000000, 0)), key,
       next_offset, 9223372036854775807
FROM (SELECT *, unit_id AS key FROM (
SELECT account, workspace, workflow, meter, size, disposition, reason, toInt64(revision = 0) AS units, toDecimal128(0, 12) AS billable_quantity,
       toInt64(units.requests) - toInt64(booked_requests) AS requests, toDecimal128(0, 12) AS revenue,
       units.cost - booked_cost AS cost, unit_id, revision
FROM units FINAL
WHERE state = 'open'
  AND ({period:UInt32} = 0 OR period = {period:UInt32} AND opened_month <= {period:UInt32})
  AND ('' = '' OR account = '')
) WHERE revision > 0) AS reopened LEFT JOIN (
    SELECT unit_id AS key, max(version) + 1 AS next_offset FROM cost_lines FINAL
    WHERE unit_id IN (
SELECT unit_id FROM cost_lines
WHERE usage_month < bill_month AND {period:UInt32} IN (bill_month, usage_month) AND ('' = '' OR account = '')
UNION DISTINCT
SELECT unit_id FROM units FINAL WHERE state = 'open' AND revision > 0 AND ('' = '' OR account = '')
) AND ('' = '' OR account = '')
    GROUP BY unit_id
) AS booked USING (key)
)) AS spans USING (key)
    WHERE offset BETWEEN since AND upto
    GROUP BY key, since, upto
) AS of_split USING (key, since, upto)
))
    ARRAY JOIN known AS value, requests_of AS slice_requests, revenue_of AS slice_revenue,
               cost_of AS slice_cost
)
GROUP BY `account`, `workspace`, `workflow`, `meter`, `size`, `disposition`, `reason`, `provider`, `model`, `operation`, `day` HAVING units != 0 OR billable_quantity != 0 OR requests != 0 OR revenue != 0 OR cost != 0 ORDER BY `account`, `workspace`, `workflow`, `meter`, `size`, `disposition`, `reason`, `provider`, `model`, `operation`, `day`
SETTINGS do_not_merge_across_partitions_select_final = 1, join_use_nulls = 0
)
COMMENT 'The same, also by provider, model, operation and day: a unit\'s money is shared over its requests by cost; the unit itself counts in every row that it has a part in. SELECT model, sum(revenue), sum(cost) FROM margin_by_request(period = 202511) GROUP BY model';

CREATE OR REPLACE VIEW `unitrate`.`usage` AS
SELECT toYYYYMM(time) AS month, toDate(time, 'UTC') AS day, account, workspace, workflow, meter,
       provider, model, operation, status, count() AS requests, sum(toUInt64(input_tokens)) AS input_tokens, sum(toUInt64(cache_read_tokens)) AS cache_read_tokens, sum(toUInt64(cache_write_tokens)) AS cache_write_tokens, sum(toUInt64(cache_write_1h_tokens)) AS cache_write_1h_tokens, sum(toUInt64(output_tokens)) AS output_tokens, sum(toUInt64(reasoning_tokens)) AS reasoning_tokens, sum(toUInt64(input_audio_tokens)) AS input_audio_tokens, sum(toUInt64(cache_read_audio_tokens)) AS cache_read_audio_tokens, sum(toUInt64(output_audio_tokens)) AS output_audio_tokens, sum(toUInt64(images)) AS images, sum(toUInt64(pages)) AS pages, sum(toUInt64(seconds)) AS seconds, sum(toUInt64(characters)) AS characters, sum(toUInt64(searches)) AS searches, sum(toUInt64(tool_calls)) AS tool_calls, sum(toDecimal256(cost, 12)) AS cost,
       countIf(unpriced) AS unpriced_requests
FROM events FINAL WHERE type = 'ai.request'
GROUP BY ALL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Requests, tokens and cost by UTC day of the request; whatever became of the unit';

CREATE OR REPLACE VIEW `unitrate`.`billed` AS
SELECT bill_month, usage_month, account, meter, plan, plan_version, charge, price_value,
       sum(toDecimal256(units, 12)) AS billed_units, sum(toDecimal256(quantity, 12)) AS billed_quantity,
       sum(toDecimal256(included_after, 12) - toDecimal256(included_before, 12)) AS included,
       sum(toDecimal256(amount, 12)) AS billed_amount
FROM lines FINAL
GROUP BY ALL
COMMENT 'What each charge bills in a month, by price: the figures of an invoice\'s usage lines';

CREATE OR REPLACE VIEW `unitrate`.`unit` AS
SELECT *, toDecimal256(revenue, 12) - toDecimal256(cost, 12) AS margin FROM units FINAL
COMMENT 'Units as they are now, with their margin';

CREATE OR REPLACE VIEW `unitrate`.`request` AS
SELECT * FROM events FINAL SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'The ledger of accepted events, each once';

CREATE OR REPLACE VIEW `unitrate`.`rejected` AS
SELECT * FROM rejected_events FINAL
WHERE (partition, offset) NOT IN (SELECT partition, offset FROM retried_events)
COMMENT 'Rejected events that were not taken again';

-- 5: rerates

CREATE TABLE IF NOT EXISTS `unitrate`.`rerates`
(
    `partition` UInt32 COMMENT 'log partition',
    `version` Int64 COMMENT 'log offset of the record' CODEC(Delta, ZSTD(1)),
    `number` Int64 COMMENT 'of the log\'s re-rates, from 1: the same in every partition' CODEC(Delta, ZSTD(1)),
    `rerated_at` DateTime64(6, 'UTC') COMMENT 'log time' CODEC(Delta, ZSTD(1)),
    `catalog` LowCardinality(String) COMMENT 'catalog version whose prices were wrong',
    `plans` String COMMENT 'plans that it corrects, as growth v3, growth v4' CODEC(ZSTD(1)),
    `from_time` Nullable(DateTime64(6, 'UTC')) COMMENT 'first instant that it is for; NULL where it is told by month, or for all',
    `from_month` UInt32 COMMENT 'first month that it is for, in each account\'s zone; 0: see from_time',
    `who` String COMMENT 'who decided' CODEC(ZSTD(1)),
    `why` String COMMENT 'why' CODEC(ZSTD(1)),
    `body` String COMMENT 'the record: the plans as they should have been, JSON' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree(`version`)
ORDER BY (`partition`, `number`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Prices that were published wrong and corrected, with who and why; each partition has every record';

CREATE TABLE IF NOT EXISTS `unitrate`.`rerated_months`
(
    `account` LowCardinality(String) COMMENT 'account whose month has corrected prices',
    `bill_month` UInt32 COMMENT 'month whose invoice carries what that changes',
    `usage_month` UInt32 COMMENT 'the month',
    `plan` LowCardinality(String) COMMENT 'plan',
    `plan_version` UInt32 COMMENT 'its version',
    `number` Int64 COMMENT 'of the re-rate' CODEC(Delta, ZSTD(1)),
    `version` Int64 COMMENT 'log offset of the record' CODEC(Delta, ZSTD(1)),
    `partition` UInt32 COMMENT 'log partition'
)
ENGINE = ReplacingMergeTree(`version`)
PARTITION BY `bill_month`
ORDER BY (`account`, `bill_month`, `usage_month`, `plan`, `plan_version`, `number`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
COMMENT 'Account months that have corrected prices';
