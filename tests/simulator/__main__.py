"""`python -m tests.simulator --seeds 3000 [--first 0]`: many seeds on all cores; exit 1 names the failed."""

from __future__ import annotations

import argparse
import os
import sys
from multiprocessing import Pool

from tests.simulator.simulation import simulate


def one(seed: int) -> tuple[int, str]:
    """A seed and what it broke, if anything."""
    try:
        simulate(seed, rated=seed % 20 == 0)
    except Exception as error:  # noqa: BLE001
        return seed, f"{type(error).__name__}: {str(error)[:300]}"
    return seed, ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Run seeds of the simulator.")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    failed = 0
    with Pool(os.cpu_count()) as pool:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        for seed, problem in pool.imap_unordered(one, seeds, 10):
            if problem:
                failed += 1
                print(f"seed {seed}: {problem}", flush=True)
    print(f"{arguments.seeds - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
