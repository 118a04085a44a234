"""How logs are drawn: one of some options, or a chance, from Hypothesis or from a seeded generator.

Owns the two primitives; the first option is the simplest, so that a failure shrinks towards it.
Hypothesis shrinks well but likes to repeat itself; `random.Random(seed)` draws evenly, and `reduction` makes
its finds small.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any] | random.Random
T = TypeVar("T")


def pick(draw: Draw, options: Sequence[T]) -> T:
    """One of the options; the first is the simplest."""
    if isinstance(draw, random.Random):
        return draw.choice(options)
    found: T = draw(st.sampled_from(options))
    return found


def chance(draw: Draw, one_in: int) -> bool:
    """True about once in so many times; shrinks to False."""
    return pick(draw, range(one_in)) == one_in - 1
