"""Every change that was booked has a revision of its own: the store keeps one row a key, the last."""

from __future__ import annotations

from tests.engine.builders import a_catalog, an_event, folded, lines

PAGES = {
    "name": "Pages",
    "meter": "review",
    "of": "pages",
    "included": "10",
    "price": {"model": "unit", "rate": "1.00"},
}


def test_quantities_that_change_and_cost_nothing_have_revisions_too() -> None:
    """One page, then two, then three, all of them included: three lines, and none has another's key."""
    plans = {"basic": {"version": 1, "charges": [PAGES]}}
    meter = {"unit": "run", "workflow": "review", "attributes": {"pages": "max"}}
    events = [
        an_event(
            id=f"e{pages}",
            type="work.completed" if pages == 1 else "work.annotated",
            data__provider=None,
            data__model=None,
            data__attributes={"pages": pages},
        )
        for pages in (1, 2, 3)
    ]
    _, checkpoint = folded(events, a_catalog(plans=plans, meters={"review": meter}))
    found = [(line["revision"], line["quantity"], line["line_id"]) for line in lines(checkpoint)]
    assert [(revision, quantity // 10**12) for revision, quantity, _ in found] == [(1, 1), (2, 1), (3, 1)]
    assert len({line_id for *_, line_id in found}) == 3
