"""The bugs that are planted: each a mistake that somebody could make, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass

EXAMPLES = "tests/examples/test_examples.py"
RUNS = "tests/examples/test_agent_runs.py"
PRICES = "tests/pricing/test_worked_examples.py"


@dataclass(frozen=True)
class Mutant:
    """`old` stands once in `file` (below src/unitrate) and becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def example(folder: str) -> str:
    """The test of one example."""
    return f"{EXAMPLES}::test_an_example_bills_what_its_readme_works_out[{folder}]"


MUTANTS = (
    Mutant(
        "dedupe dropped",
        "fold.py",
        "elif day is not None and day >= account.oldest_day:",
        "elif day is not None and day > account.highest:",
        (example("unit_action"),),
    ),
    Mutant(
        "rounding per unit",
        "booking.py",
        "        amount = move.rated[1] - move.rated[0]\n        bill_month",
        "        amount = (move.rated[1] - move.rated[0] + 5 * 10**9) // 10**10 * 10**10\n        bill_month",
        (f"{RUNS}::test_the_month_bills_what_the_plans_say",),
    ),
    Mutant(
        "a float in the price path",
        "pricing.py",
        "        return to_pico(price.rate) * paid_pico\n",
        "        return int(float(price.rate) * paid_pico) * PICO\n",
        (PRICES,),
    ),
    Mutant(
        "cost of failed attempts forgotten",
        "lifecycle.py",
        "            unit.cost += item.cost\n",
        "            unit.cost += item.cost if shape.status == 'ok' else 0\n",
        (example("unit_run"),),
    ),
    Mutant(
        "marker written before rows",
        "store/checkpoint.py",
        "    write_rows(store, checkpoint)  # 1\n"
        "    write_state(store, checkpoint)  # 2\n"
        "    write_marker(store, checkpoint)  # 3: everything above is durable\n",
        "    write_marker(store, checkpoint)\n"
        "    write_rows(store, checkpoint)\n"
        "    write_state(store, checkpoint)\n",
        ("tests/store/test_checkpoint_order.py",),
    ),
    Mutant(
        "included usage never used up",
        "rating.py",
        "            free = self.included - sum(p[1] for p in self.prices.values())\n",
        "            free = self.included\n",
        (example("package_platform_fee"),),
    ),
    Mutant(
        "defaults that protect customers skipped",
        "policy.py",
        "    for condition in rules.protected:\n",
        "    for condition in ():\n",
        (example("unit_run"),),
    ),
    Mutant(
        "a tier ends before its last unit",
        "pricing.py",
        "        if tier.up_to is None or paid_pico <= to_pico(tier.up_to):\n",
        "        if tier.up_to is None or paid_pico < to_pico(tier.up_to):\n",
        (PRICES,),
    ),
    Mutant(
        "a re-rate of fees forgets closed months",
        "billing/month.py",
        "    for table, which in CHANGING.items():\n",
        "    for table, which in [*CHANGING.items()][:1]:\n",
        ("tests/months/test_rerate.py::test_a_fee_alone_is_corrected_without_a_line",),
    ),
    Mutant(
        "recovery forgets re-rates",
        "engine.py",
        "        for offset, body in rerates:\n",
        "        for offset, body in ():\n",
        ("tests/engine/test_rerates.py",),
    ),
)
