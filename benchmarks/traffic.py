"""Makes event files for the benchmarks: seeded, so that two machines measure the same bytes.

    python benchmarks/traffic.py runs 1000000 bench-data/runs-1000000.jsonl

`runs`: 200 customers of unequal size, runs of about 20 requests woven into each other, ends, failures,
retries, silence, test traffic, duplicates; a million events a day. `actions`: every event is a unit.
Token counts are drawn from the deciles of two production services' traces (Azure LLM inference 2023,
"code" and "conversation": Patel et al., "Splitwise", ISCA 2024; CC-BY 4.0).
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

START = datetime(2025, 11, 1, tzinfo=UTC)
EVENT_EVERY_US = 86_400  # a million events a day
ACCOUNTS = 200
SEED = 20_251_101
# Every twentieth part of the requests has at most so many tokens: context, generated.
CONTEXT_TOKENS = (
    (
        75, 147, 232, 385, 578, 770, 938, 1075, 1261, 1469,
        1690, 1909, 2164, 2433, 2745, 3193, 3923, 5194, 7315, 7437,
    ),
    (
        181, 207, 372, 387, 396, 403, 414, 703, 984, 1020, 1045,
        1071, 1097, 1130, 1189, 1315, 1877, 2735, 4083, 14050,
    ),
)  # fmt: skip
GENERATED_TOKENS = (
    (6, 7, 7, 8, 9, 9, 10, 11, 12, 13, 14, 16, 18, 20, 24, 29, 39, 55, 90, 1899),
    (41, 54, 67, 77, 85, 91, 96, 103, 113, 129, 151, 177, 217, 384, 395, 400, 411, 424, 451, 1000),
)
WORKFLOWS = ("contract-review", "triage", "reply", "market-brief", "lead-qualifier", "translate")
MODELS = (
    ("openai", "gpt-5-mini"),
    ("openai", "gpt-5"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-flash"),
)
REGIONS = ("eu", "us", "apac")
STEPS = ("plan", "search", "read", "draft", "check", "answer")


@dataclass(slots=True)
class Run:
    """A workflow run on its way: what all its events share, and how many requests are left."""

    account: str
    shared: str  # the members of `data` that stay the same
    run_id: str
    left: int


class Traffic:
    """The generator; `lines` gives JSON lines without end."""

    def __init__(self, open_runs: int, seed: int = SEED) -> None:
        self.random = random.Random(seed)
        self.accounts = [f"customer-{number:03d}" for number in range(ACCOUNTS)]
        self.weights = list(accumulate(1 / (rank + 1) for rank in range(ACCOUNTS)))
        self.begun = 0
        self.event_number = 0
        self.failed: list[tuple[str, str]] = []
        self.open = [self.new_run() for _ in range(open_runs)]
        for run in self.open:  # as if it had been going on for a while
            run.left = self.random.randint(1, run.left)

    def new_run(self) -> Run:
        """Another run, now and then one that repeats a failed one."""
        draw = self.random
        self.begun += 1
        run_id = f"run-{draw.getrandbits(64):016x}"
        retry = ""
        if self.failed and draw.random() < 0.02:
            account, original = self.failed.pop()
            retry = f'"retry_of":"{original}",'
        else:
            (account,) = draw.choices(self.accounts, cum_weights=self.weights)
        mode = '"mode":"test",' if draw.random() < 0.02 else ""
        shared = (
            f'"workflow":"{draw.choice(WORKFLOWS)}","run_id":"{run_id}",{retry}{mode}'
            f'"workspace":"ws-{draw.randint(1, 5)}","attributes":{{"document_id":"doc-{self.begun:08d}",'
            f'"region":"{draw.choice(REGIONS)}"}},"tags":{{"team":"team-{draw.randint(1, 8)}"}}'
        )
        return Run(account, shared, run_id, draw.randint(8, 32))

    def envelope(self, run: Run, kind: str, time: str, data: str) -> str:
        """One JSON line."""
        self.event_number += 1
        return (
            f'{{"specversion":"1.0","id":"{self.event_number:010d}-{self.random.getrandbits(48):012x}",'
            f'"source":"sdk/python","type":"{kind}","subject":"{run.account}","time":"{time}",'
            f'"data":{{{run.shared}{data}}}}}\n'
        )

    def request(self, run: Run, time: str) -> str:
        """A provider-charged attempt; every second one tells what the provider billed."""
        draw = self.random
        service, part = draw.getrandbits(1), draw.randrange(20)
        context = CONTEXT_TOKENS[service][part]
        generated = GENERATED_TOKENS[service][draw.randrange(20)]
        cached = context * draw.randrange(10) // 10
        provider, model = draw.choice(MODELS)
        status = "error" if draw.random() < 0.01 else "ok"
        cost = (
            f',"cost":{{"amount":"0.{context + generated:06d}","currency":"USD"}}'
            if draw.getrandbits(1)
            else ""
        )
        data = (
            f',"provider":"{provider}","model":"{model}","operation":"chat","status":"{status}",'
            f'"step":"{draw.choice(STEPS)}","attempt":1,"usage":{{"input_tokens":{context - cached},'
            f'"cache_read_tokens":{cached},"output_tokens":{generated}}}{cost}'
        )
        return self.envelope(run, "ai.request", time, data)

    def end(self, run: Run, time: str) -> str | None:
        """How a run ends: mostly well, sometimes failed, sometimes without a word."""
        fate = self.random.random()
        if fate < 0.03:
            return None
        if fate < 0.10:
            self.failed.append((run.account, run.run_id))
            return self.envelope(run, "work.failed", time, "")
        return self.envelope(run, "work.completed", time, "")

    def lines(self) -> Iterator[str]:
        """Events by time, one every `EVENT_EVERY_US`; one in two hundred comes twice."""
        draw = self.random
        for number in range(sys.maxsize):
            moment = START + timedelta(microseconds=number * EVENT_EVERY_US)
            time = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
            place = draw.randrange(len(self.open))
            run = self.open[place]
            line: str | None
            if run.left:
                run.left -= 1
                line = self.request(run, time)
            else:
                line = self.end(run, time)
                self.open[place] = self.new_run()
            if line is not None:
                yield line
                if draw.random() < 0.005:
                    yield line

    def actions(self) -> Iterator[str]:
        """Tool calls, each a unit of its own."""
        for number in range(sys.maxsize):
            moment = START + timedelta(microseconds=number * 1_000_000)
            run = self.open[number % len(self.open)]
            data = (
                ',"provider":"acme-tools","model":"browser","operation":"tool","usage":{"tool_calls":1},'
                '"cost":{"amount":"0.002","currency":"USD"}'
            )
            yield self.envelope(run, "ai.request", f"{moment:%Y-%m-%dT%H:%M:%SZ}", data)


def write(shape: str, events: int, path: Path, open_runs: int) -> None:
    """Writes the file unless it is there; a half-written one never gets its name."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    traffic = Traffic(open_runs)
    source = traffic.lines() if shape == "runs" else traffic.actions()
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("w", encoding="utf-8", buffering=1 << 20) as target:
        for line, _ in zip(source, range(events), strict=False):
            target.write(line)
    unfinished.rename(path)


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 5_000)
