"""The nearest match of a misspelt name. Owns when two names are close enough to ask."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name that is most like `word`, or None if none is near."""
    by_folded = {name.casefold(): name for name in sorted(known, reverse=True)}
    matches = get_close_matches(word.casefold(), list(by_folded), n=1, cutoff=cutoff)
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing."""
    match = nearest(word, known)
    return f'; did you mean "{match}"?' if match is not None else ""


def one_of(known: Iterable[str], *, limit: int = 12) -> str:
    """`a, b or c`, shortened where there are many."""
    names = list(known)
    if len(names) > limit:
        return ", ".join(names[:limit]) + " …"
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
