"""Converts a gateway's OpenAI-shaped call records and a benchmark's verdicts into unitrate events.

    python examples/agent_runs/convert.py            writes events.jsonl.gz beside this file

It stands for what a producer does: it knows the gateways' habits so that the events need not. Nothing
is invented but the time of the verdict, which the benchmark does not tell (see `VERDICT_AFTER_S`).
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
WORKFLOW = "issue-resolver"
WORKSPACE = "swe-bench-verified"
# The hidden tests ran some time after the run; longer runs touched more code. Any value in the window of
# the catalog's `accept` gives the same bill.
VERDICT_AFTER_S = 600
VERDICT_AFTER_S_PER_CALL = 10

Event = dict[str, Any]


def rfc3339(unix_s: int) -> str:
    """Unix seconds as the time of an event."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def usage(call: dict[str, Any]) -> dict[str, int]:
    """Disjoint counts. The gateways disagree on what contains what:

    prompt_tokens include the cached ones everywhere; completion_tokens include reasoning, except in the
    calls that came through Portkey, whose reasoning tokens stand beside them.
    """
    counts = call["usage"]
    cached = counts["prompt_tokens_details"]["cached_tokens"]
    reasoning = counts["completion_tokens_details"]["reasoning_tokens"]
    output = counts["completion_tokens"]
    if call["id"].startswith("portkey-"):
        output += reasoning
    disjoint = {
        "input_tokens": counts["prompt_tokens"] - cached,
        "cache_read_tokens": cached,
        "output_tokens": output,
        "reasoning_tokens": reasoning,
    }
    return {name: count for name, count in disjoint.items() if count}


def request(call: dict[str, Any]) -> Event:
    """One charged call. A call cut off at its token limit was answered and charged: status stays ok."""
    gateway = "portkey" if call["id"].startswith("portkey-") else "main"
    data: Event = {
        "workflow": WORKFLOW,
        "run_id": call["run"],
        "workspace": WORKSPACE,
        "provider": call["provider"],
        "model": call["model"],
        "step": f"turn {call['call']}",
        "usage": usage(call),
        "tags": {"gateway": gateway},
    }
    if "cost" in call["usage"]:
        data["cost"] = {"amount": f"{call['usage']['cost']:f}", "currency": "USD"}
    return envelope(f"gateway/{gateway}", call["id"], "ai.request", call["repository"], call["created"], data)


def outcome(row: dict[str, str], account: str) -> Iterator[tuple[int, Event]]:
    """A run's end and the verdict on it."""
    run, finished_s, calls = row["run"], int(row["finished"]), int(row["calls"])
    where: Event = {"workflow": WORKFLOW, "run_id": run, "workspace": WORKSPACE}
    end = where | {"attributes": {"exit_status": row["exit_status"]}}
    yield finished_s, envelope("mini-swe-agent", f"{run}/end", "work.completed", account, finished_s, end)
    judged_s = finished_s + VERDICT_AFTER_S + VERDICT_AFTER_S_PER_CALL * calls
    verdict = "work.accepted" if row["resolved"] == "true" else "work.rejected"
    yield judged_s, envelope("swe-bench", f"{run}/verdict", verdict, account, judged_s, where)


def envelope(source: str, identity: str, kind: str, account: str, unix_s: int, data: Event) -> Event:
    """A CloudEvent."""
    return {
        "specversion": "1.0",
        "id": identity,
        "source": source,
        "type": kind,
        "subject": account,
        "time": rfc3339(unix_s),
        "data": data,
    }


def events(folder: Path = FOLDER) -> list[Event]:
    """All events by time; at one instant a run's calls come before its end."""
    timed: list[tuple[int, Event]] = []
    accounts: dict[str, str] = {}
    with gzip.open(folder / "calls.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            call = json.loads(line, parse_float=Decimal)
            accounts[call["run"]] = call["repository"]
            timed.append((call["created"], request(call)))
    with (folder / "outcomes.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            timed.extend(outcome(row, accounts[row["run"]]))
    timed.sort(key=lambda pair: pair[0])  # stable: calls were added before ends and verdicts
    return [event for _, event in timed]


def to_bytes(converted: list[Event]) -> bytes:
    """JSON lines, compact, UTF-8."""
    return b"".join(
        json.dumps(e, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for e in converted
    )


def main() -> None:
    """Writes events.jsonl.gz: the same bytes each time (no file name or time in the gzip header)."""
    converted = events()
    target = FOLDER / "events.jsonl.gz"
    target.write_bytes(gzip.compress(to_bytes(converted), compresslevel=9, mtime=0))
    print(f"{target.name}: {len(converted):,} events, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
