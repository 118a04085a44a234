"""The store: ClickHouse, embedded in a folder or on a server; one schema and one set of queries for both."""

from unitrate.store.client import Result, Store, open_store

__all__ = ["Result", "Store", "open_store"]
