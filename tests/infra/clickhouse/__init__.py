"""The real ClickHouse engine (chDB) behind ClickHouse's HTTP protocol, as a process of its own, for tests.

Several workers share it, it can be killed and restarted, and it injects faults on request. It has no users
beyond one, no query ids, and answers are buffered; everything else is the engine itself.
"""
