"""Faults on request: which statements they hit, how often, and what they do before or after applying.

A rule is JSON: {"match": M, "action": A, "times": 1, "skip": 0}. M is insert, select, ddl, any or re:PATTERN;
`times` 0 = until cleared. A is error, delay, reset (TCP RST), close (FIN, no answer), hang, kill (SIGKILL),
each also with `_after`: then the statement is applied first; and truncate (apply, send half of
the answer, RST).
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from typing import Any

from tests.infra.clickhouse.wire import engine_error

Rule = dict[str, Any]


class GoneError(Exception):
    """The connection ends now, without an answer."""


class ResetError(GoneError):
    """The same, with a TCP reset."""


class Faults:
    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.fired: list[str] = []
        self._lock = threading.Lock()

    def add(self, rule: Rule) -> None:
        with self._lock:
            self.rules.append(dict(rule))

    def clear(self) -> None:
        with self._lock:
            self.rules.clear()

    def take(self, kind: str, statement: bytes) -> Rule | None:
        """The rule that this statement falls under, counted."""
        with self._lock:
            for rule in self.rules:
                if not _matches(rule.get("match", "any"), kind, statement):
                    continue
                if rule.get("skip", 0) > 0:
                    rule["skip"] -= 1
                    return None
                if rule.get("times", 1) > 0:
                    rule["times"] = rule.get("times", 1) - 1
                    if rule["times"] == 0:
                        self.rules.remove(rule)
                self.fired.append(rule["action"])
                return rule
        return None


def _matches(match: str, kind: str, statement: bytes) -> bool:
    if match.startswith("re:"):
        return re.search(match[3:].encode(), statement[:4096], re.IGNORECASE | re.DOTALL) is not None
    return match in ("any", kind)


def act(rule: Rule, action: str) -> None:
    """Carry out the part of a rule that is due now; `action` without its `_after`."""
    if action == "error":
        raise engine_error(
            rule.get("code", 252), rule.get("message", "injected fault."), rule.get("status", 500)
        )
    if action == "delay":
        time.sleep(rule.get("seconds", 1))
    elif action == "hang":
        time.sleep(rule.get("seconds", 3600))
        raise ResetError
    elif action == "reset":
        raise ResetError
    elif action == "close":
        raise GoneError
    elif action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
