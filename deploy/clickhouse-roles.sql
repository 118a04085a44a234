-- Roles of a ClickHouse server that keeps a unitrate store, each with the least that it needs.
-- The database is called unitrate here; run as an administrator, again = no change:
--
--   clickhouse-client --multiquery < deploy/clickhouse-roles.sql
--
-- Then make users and give each one role, for example:
--
--   CREATE USER worker IDENTIFIED WITH sha256_password BY '…' DEFAULT ROLE unitrate_ingest;
--   GRANT unitrate_ingest TO worker;

CREATE DATABASE IF NOT EXISTS unitrate;

-- setup: `unitrate init` creates and migrates tables. Not for programs that run all day.
CREATE ROLE IF NOT EXISTS unitrate_setup;
GRANT SELECT, INSERT, CREATE TABLE, CREATE VIEW, DROP VIEW, ALTER TABLE ON unitrate.* TO unitrate_setup;

-- ingest: workers and `unitrate publish`. They append rows, read back what recovery needs, and drop old generations of state.
CREATE ROLE IF NOT EXISTS unitrate_ingest;
GRANT INSERT ON unitrate.events TO unitrate_ingest;
GRANT INSERT ON unitrate.units TO unitrate_ingest;
GRANT INSERT ON unitrate.lines TO unitrate_ingest;
GRANT INSERT ON unitrate.cost_lines TO unitrate_ingest;
GRANT INSERT ON unitrate.rejected_events TO unitrate_ingest;
GRANT INSERT ON unitrate.duplicates TO unitrate_ingest;
GRANT INSERT ON unitrate.closings TO unitrate_ingest;
GRANT INSERT ON unitrate.grants TO unitrate_ingest;
GRANT INSERT ON unitrate.corrections TO unitrate_ingest;
GRANT INSERT ON unitrate.rerates TO unitrate_ingest;
GRANT INSERT ON unitrate.rerated_months TO unitrate_ingest;
GRANT INSERT, ALTER DELETE ON unitrate.state TO unitrate_ingest;
GRANT INSERT ON unitrate.checkpoints TO unitrate_ingest;
GRANT INSERT ON unitrate.catalogs TO unitrate_ingest;
GRANT INSERT ON unitrate.catalog_texts TO unitrate_ingest;
GRANT SELECT ON unitrate.events TO unitrate_ingest;
GRANT SELECT ON unitrate.units TO unitrate_ingest;
GRANT SELECT ON unitrate.state TO unitrate_ingest;
GRANT SELECT ON unitrate.checkpoints TO unitrate_ingest;
GRANT SELECT ON unitrate.catalogs TO unitrate_ingest;
GRANT SELECT ON unitrate.rerates TO unitrate_ingest;
GRANT SELECT ON unitrate.catalog_texts TO unitrate_ingest;
GRANT SELECT ON unitrate.schema_migrations TO unitrate_ingest;

-- jobs: reports, explanations, drafts, month end and what operators do by hand (`rejected`, `rejected retry`, `status`).
-- Reads all, appends final invoices and payouts.
CREATE ROLE IF NOT EXISTS unitrate_jobs;
GRANT SELECT ON unitrate.* TO unitrate_jobs;
GRANT INSERT ON unitrate.retried_events TO unitrate_jobs;
GRANT INSERT ON unitrate.invoices TO unitrate_jobs;
GRANT INSERT ON unitrate.invoice_lines TO unitrate_jobs;
GRANT INSERT ON unitrate.credit_movements TO unitrate_jobs;
GRANT INSERT ON unitrate.payouts TO unitrate_jobs;

-- dashboards: reads what is meant to be shown; neither raw rejected events nor the engine's state.
CREATE ROLE IF NOT EXISTS unitrate_dashboards;
CREATE SETTINGS PROFILE IF NOT EXISTS unitrate_dashboards
  SETTINGS readonly = 1, max_execution_time = 60, max_memory_usage = 4000000000 TO unitrate_dashboards;
GRANT SELECT ON unitrate.events TO unitrate_dashboards;
GRANT SELECT ON unitrate.units TO unitrate_dashboards;
GRANT SELECT ON unitrate.lines TO unitrate_dashboards;
GRANT SELECT ON unitrate.cost_lines TO unitrate_dashboards;
-- Views read their tables with the rights of whoever asks, so dashboards need both.
GRANT SELECT ON unitrate.unit TO unitrate_dashboards;
GRANT SELECT ON unitrate.request TO unitrate_dashboards;
GRANT SELECT ON unitrate.usage TO unitrate_dashboards;
GRANT SELECT ON unitrate.billed TO unitrate_dashboards;
GRANT SELECT ON unitrate.margin TO unitrate_dashboards;
GRANT SELECT ON unitrate.margin_by_request TO unitrate_dashboards;
