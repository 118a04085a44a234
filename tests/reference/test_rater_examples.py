"""The reference rater against examples worked by hand: it must be right before it may judge the engine."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tests.reference.builders import START, a_catalog, a_plan, after, an_event, files
from tests.reference.catalog_view import instant
from tests.reference.invoicing import invoice
from tests.reference.rater import Figures

DONE = "work.completed"


def meters(**changes: object) -> dict[str, object]:
    """A catalog whose one meter `runs` has these keys."""
    return {"runs": {"unit": "run", "workflow": "wf", **changes}}


def unit(figures: Figures, key: str = "r1") -> Any:
    """The unit of a key."""
    (found,) = [u for u in figures.units.values() if u.key == key]
    return found


def billed(figures: Figures, charge: str = "Runs") -> Any:
    """f(Q) of a charge, over all segments."""
    return sum((c.amount for (_, name), c in figures.charges.items() if name == charge), Fraction(0))


def test_a_completed_run_bills_and_costs_what_its_requests_cost() -> None:
    """1,000 input tokens at 2.00 a million cost 0.002; the run bills 1.00."""
    figures = files(a_catalog(), an_event(), an_event(DONE, after("1m")))
    assert (unit(figures).disposition, unit(figures).reason) == ("billable", "ok")
    assert (unit(figures).cost, unit(figures).revenue) == (Fraction("0.002"), 1)


def test_a_silent_run_ends_at_its_last_event_plus_idle() -> None:
    """Ruling 4: sealed once the clock is past 24 h; exactly at 24 h it is still open."""
    records = [a_catalog(), an_event()]
    assert unit(files(*records, after("24h"))).state == "open"
    silent = unit(files(*records, after("24h") + 1))
    assert (silent.state, silent.reason, silent.ended) == ("sealed", "timed_out", after("24h"))


def test_a_unit_is_final_only_when_the_clock_is_past_its_windows() -> None:
    """Ruling 2: sealed at the deadline (24 h), settle 24 h more, strictly later."""
    records = [a_catalog(), an_event()]
    assert unit(files(*records, after("48h"))).state == "sealed"
    assert unit(files(*records, after("48h") + 1)).state == "final"


def test_a_late_event_inside_settle_changes_the_unit_and_past_it_only_costs() -> None:
    """Ruling 15: limits are inclusive; afterwards the cost is a row of its own."""
    records = [a_catalog(), an_event(DONE), an_event(at=after("24h")), an_event(at=after("24h") + 1)]
    figures = files(*records)
    assert unit(figures).requests == 1
    assert figures.fates[3] == "unit_final"
    assert figures.cost_only[3].reason == "unit_final"
    assert figures.cost_only[3].cost == Fraction("0.002")


def test_an_event_past_the_end_by_its_own_time_ends_the_unit_first() -> None:
    """Ruling 4, D13: the run timed out in event time although the clock never passed its deadline."""
    early = [an_event(at=after("30h"), run="other"), an_event(at=START), an_event(at=after("25h"))]
    figures = files(a_catalog(meters=meters(settle="30m")), *early)
    assert unit(figures).ended == after("24h")
    assert unit(figures).requests == 1
    assert figures.fates[3] == "unit_final"


def test_the_same_event_counts_once() -> None:
    """Identity is account, source and id."""
    event = an_event(id="same")
    figures = files(a_catalog(), event, event, an_event(id="same", account="other"))
    assert [figures.fates[i] for i in (1, 2, 3)] == ["accepted", "duplicate", "accepted"]


def test_events_older_than_the_horizon_are_too_old() -> None:
    """Ruling 16: 35 days before the account's highest event time, inclusive."""
    catalog = a_catalog(effective="2026-01-01T00:00:00Z")
    at_limit, past = START - 35 * 86_400_000_000, START - 35 * 86_400_000_000 - 1
    figures = files(catalog, an_event(), an_event(at=past, run="r2"), an_event(at=at_limit, run="r3"))
    assert [figures.fates[i] for i in (1, 2, 3)] == ["accepted", "too_old", "accepted"]


def test_a_retry_joins_the_original_and_its_cost_counts() -> None:
    """A failed run that a retry completes bills once; attempts 2, both requests cost."""
    figures = files(
        a_catalog(),
        an_event(),
        an_event("work.failed", after("1m")),
        an_event(at=after("2m"), run="r2", retry_of="r1"),
        an_event(DONE, after("3m"), run="r2", retry_of="r1"),
    )
    assert [u.key for u in figures.units.values()] == ["r1"]
    assert (unit(figures).reason, unit(figures).attempts, unit(figures).requests) == ("ok", 2, 2)
    assert billed(figures) == 1


def test_a_retry_of_an_unknown_run_is_a_unit_of_its_own_that_does_not_bill() -> None:
    """Ruling 11."""
    figures = files(a_catalog(), an_event(DONE, run="r2", retry_of="nowhere"))
    assert (unit(figures, "r2").disposition, unit(figures, "r2").reason) == ("not_billed", "retry")


def test_a_charging_rule_never_overrides_a_default_none() -> None:
    """Ruling 18: partial bills pro rata, but not when it is a test."""
    catalog = a_catalog(meters=meters(policy=[{"when": "partial", "charge": "prorata"}]))
    half = an_event(DONE, run="r1", completion="0.5")
    test = an_event(DONE, run="r2", completion="0.5", mode="test")
    figures = files(catalog, half, test)
    assert (unit(figures).reason, unit(figures).revenue) == ("partial", Fraction("0.5"))
    assert (unit(figures, "r2").reason, unit(figures, "r2").revenue) == ("test", 0)


def test_a_business_duplicate_repeats_a_billed_unit() -> None:
    """Ruling 22: the failed first copy is no original, the second bills, the third repeats it."""
    rule = {"when": "duplicate", "by": ["sha"], "within": "1h", "charge": "none"}
    catalog = a_catalog(meters=meters(policy=[rule]))
    same: dict[str, Any] = {"attributes": {"sha": "s"}}
    figures = files(
        catalog,
        an_event("work.failed", run="r1", **same),
        an_event(DONE, after("1m"), run="r2", **same),
        an_event(DONE, after("1m", "1h"), run="r3", **same),
        an_event(DONE, after("2m", "1h"), run="r4", **same),
    )
    reasons = [unit(figures, f"r{i}").reason for i in (1, 2, 3, 4)]
    assert reasons == ["failed", "ok", "duplicate", "ok"]


def test_an_outcome_waits_for_its_verdict() -> None:
    """Ruling 20: held until accepted; accepted in November, it belongs to November."""
    catalog = a_catalog(meters=meters(unit="outcome", accept={"within": "30d"}))
    end = an_event(DONE, START)
    assert unit(files(catalog, end)).reason == "awaiting_acceptance"
    accepted = files(catalog, end, an_event("work.accepted", after("28d")))
    assert (unit(accepted).disposition, unit(accepted).period) == ("billable", 202611)


def test_silence_means_no_or_yes_as_the_meter_says() -> None:
    """`otherwise`: after the window, strictly."""
    for otherwise, reason in (("none", "unaccepted"), ("full", "ok")):
        catalog = a_catalog(meters=meters(accept={"within": "2h", "otherwise": otherwise}))
        assert unit(files(catalog, an_event(DONE), after("2h"))).reason == "awaiting_acceptance"
        assert unit(files(catalog, an_event(DONE), after("2h") + 1)).reason == reason


def test_a_reversal_takes_an_accepted_outcome_back() -> None:
    """Ruling 21: within 30 d of the acceptance, not later."""
    outcome = {"accept": {"within": "14d"}, "reverse": {"on": ["work.rejected"], "within": "30d"}}
    catalog = a_catalog(meters=meters(**outcome))
    kept = [catalog, an_event(DONE), an_event("work.accepted", after("10d"))]
    back = files(*kept, an_event("work.rejected", after("40d")))
    assert (unit(back).reason, unit(back).revenue, billed(back)) == ("rejected", 0, 0)
    late = files(*kept, an_event("work.rejected", after("40d") + 1))
    assert (late.fates[3], unit(late).revenue) == ("unit_final", 1)


def test_a_ticket_reopens_inside_the_window_and_is_the_next_one_past_it() -> None:
    """`reopen`: the same unit for 7 days, then key~2."""
    ticket = meters(unit="ticket", key="ticket", reopen={"within": "7d", "as": "same_unit"})
    catalog = a_catalog(meters=ticket)
    about: dict[str, Any] = {"attributes": {"ticket": "t1"}}
    closed = [an_event(**about), an_event("work.closed", after("1h"), **about)]
    inside = files(catalog, *closed, an_event(at=after("1h", "7d"), **about))
    assert (unit(inside, "t1").state, len(inside.units)) == ("open", 1)
    past = files(catalog, *closed, an_event(at=after("1h", "7d") + 1, **about))
    assert sorted(u.key for u in past.units.values()) == ["t1", "t1~2"]


def test_the_51st_request_makes_a_long_ticket_two_units() -> None:
    """Ruling 14; background requests do not count."""
    catalog = a_catalog(meters=meters(unit="ticket", long={"requests": 50}))
    requests = [an_event(at=after("1m")) for _ in range(50)]
    assert unit(files(catalog, *requests, an_event(background=True), after("80h"))).quantity == 1
    assert unit(files(catalog, *requests, an_event(), after("80h"))).revenue == 2


def test_a_month_begins_where_the_account_lives() -> None:
    """22:59:59 UTC on 31 October is October in Berlin (UTC+1 since the 25th), 23:00 is November."""
    accounts = {"acme": {"plan": "basic", "from": "2026-10-01", "timezone": "Europe/Berlin"}}
    october, november = instant("2026-10-31T22:59:59Z"), instant("2026-10-31T23:00:00Z")
    catalog = a_catalog(accounts=accounts)
    figures = files(catalog, an_event(DONE, october, run="r1"), an_event(DONE, november, run="r2"))
    assert (unit(figures).period, unit(figures, "r2").period) == (202610, 202611)


def test_included_usage_freed_by_a_reversal_goes_to_what_is_still_paid() -> None:
    """Ruling 25: two of three units are included; when the first goes, one stays paid for… none."""
    catalog = a_catalog(plans={"basic": a_plan(included="2")})
    runs = [an_event(DONE, after("1m"), run=f"r{i}") for i in (1, 2, 3)]
    assert billed(files(catalog, *runs)) == 1
    back = files(catalog, *runs, an_event("work.rejected", after("2m"), run="r1"))
    assert (billed(back), unit(back, "r1").reason, unit(back, "r1").revenue) == (0, "rejected", -1)


def test_prices_by_size_share_the_included_usage_in_the_order_of_rating() -> None:
    """One included document: the first, a light one, is free; two heavy ones pay 2.50 each."""
    sizes = {"by": "pages", "tiers": [{"name": "light", "up_to": "10"}, {"name": "heavy"}]}
    prices = {"light": {"model": "unit", "rate": "0.40"}, "default": {"model": "unit", "rate": "2.50"}}
    plan = a_plan(included="1", by="size", prices=prices)
    catalog = a_catalog(meters=meters(sizes=sizes), plans={"basic": plan})
    runs = [an_event(DONE, run=f"r{p}", attributes={"pages": p}) for p in (10, 11, 12)]
    figures = files(catalog, *runs)
    assert [unit(figures, f"r{p}").size for p in (10, 11, 12)] == ["light", "heavy", "heavy"]
    assert billed(figures) == 5


def test_a_maximum_caps_the_charge_and_lines_still_add_up() -> None:
    """Units at 1.00 capped at 2.50: 1.00, 1.00, 0.50, 0."""
    catalog = a_catalog(plans={"basic": a_plan(maximum="2.50")})
    figures = files(catalog, *[an_event(DONE, after("1m"), run=f"r{i}") for i in range(4)])
    assert [u.revenue for u in figures.units.values()] == [1, 1, Fraction("0.5"), 0]
    assert billed(figures) == Fraction("2.5")


def test_cost_plus_bills_the_cost_with_a_markup() -> None:
    """0.002 × 1.4 + 0.10 a unit."""
    catalog = a_catalog(plans={"basic": a_plan({"model": "cost_plus", "markup": "0.40", "per_unit": "0.10"})})
    assert billed(files(catalog, an_event(), an_event(DONE))) == Fraction("0.1028")


def test_a_plan_change_in_mid_month_prorates_included_usage_upwards() -> None:
    """Plan from the 17th: 15 of October's 31 days; 3 included are 1.45…, so 2."""
    accounts = {"acme": {"plan": "basic", "from": "2026-10-17"}}
    catalog = a_catalog(plans={"basic": a_plan(included="3")}, accounts=accounts)
    times = instant("2026-10-20T00:00:00Z")
    figures = files(catalog, *[an_event(DONE, times, run=f"r{i}") for i in range(4)])
    assert billed(figures) == 2


def test_units_without_a_plan_are_held_and_decided_under_the_catalog_that_brings_one() -> None:
    """Contract §2: they keep their end's month, and name the later catalog."""
    first = a_catalog(accounts={})
    second = {**a_catalog(), "catalog": "c2", "effective": "2026-10-20T00:00:00Z"}
    held = files(first, an_event(DONE))
    assert (unit(held).disposition, unit(held).reason) == ("held", "no_plan")
    later = files(first, an_event(DONE), instant("2026-10-15T00:00:00Z"), second)
    assert (unit(later).disposition, unit(later).catalog, unit(later).period) == ("billable", "c2", 202610)


def test_an_unpriced_model_holds_the_unit_until_a_catalog_prices_it() -> None:
    """Reason `unpriced`; the cost is known once the later catalog brings the price."""
    models = [{"provider": "acme-gpu", "model": "*", "input": "3.00"}]
    second = {**a_catalog(costs={"models": models}), "catalog": "c2", "effective": "2026-10-20T00:00:00Z"}
    run = [an_event(model="x1"), an_event(DONE)]
    assert unit(files(a_catalog(), *run)).reason == "unpriced"
    later = unit(files(a_catalog(), *run, second))
    assert (later.disposition, later.cost, later.unpriced_requests) == ("billable", Fraction("0.003"), 0)


def test_events_without_meter_key_or_unit_are_cost_only() -> None:
    """Reasons `unmetered`, `no_key`, `background`; a verdict without a unit is no_unit."""
    catalog = a_catalog(meters=meters(key="doc"))
    about: dict[str, Any] = {"attributes": {"doc": "d1"}}
    figures = files(
        catalog,
        an_event(workflow="elsewhere"),
        an_event(run="r9"),
        an_event(background=True, **about),
        an_event("work.accepted", **about),
    )
    assert [figures.cost_only[i].reason for i in (1, 2, 3)] == ["unmetered", "no_key", "background"]
    assert figures.fates[4] == "no_unit"


def test_an_event_without_the_key_joins_the_unit_of_its_run() -> None:
    """Ruling 8."""
    catalog = a_catalog(meters=meters(key="doc"))
    figures = files(catalog, an_event(attributes={"doc": "d1"}), an_event(), an_event(DONE))
    assert (unit(figures, "d1").requests, unit(figures, "d1").reason) == (2, "ok")


def test_every_tool_call_is_a_unit_where_the_meter_says_each() -> None:
    """Ruling 17: status error is failed."""
    catalog = a_catalog(meters=meters(unit="action", each={"type": "ai.request", "operation": "tool"}))
    calls = [an_event(id=f"t{i}", operation="tool", status=s) for i, s in enumerate(["ok", "error", "ok"])]
    figures = files(catalog, *calls, an_event())
    assert [u.reason for u in figures.units.values()] == ["ok", "failed", "ok"]
    assert billed(figures) == 2


def test_outcomes_before_the_agreement_are_not_billed() -> None:
    """Ruling 23: midnight of `on` in the account's zone (New York: 04:00 UTC) against the end."""
    accounts = {
        "acme": {
            "plan": "basic",
            "from": "2026-10-01",
            "timezone": "America/New_York",
            "terms": {"runs": {"ref": "mail", "on": "2026-10-06"}},
        }
    }
    catalog = a_catalog(meters=meters(terms="required"), accounts=accounts)
    before, since = instant("2026-10-06T03:59:59Z"), instant("2026-10-06T04:00:00Z")
    figures = files(catalog, an_event(DONE, before, run="r1"), an_event(DONE, since, run="r2"))
    assert [unit(figures, r).reason for r in ("r1", "r2")] == ["terms", "ok"]


def test_a_draft_invoice_has_usage_minimum_and_fees() -> None:
    """Two units at 1.00; minimums, a monthly fee of 31.00 for 15 of 31 days, and one of 100.00 once."""
    fees = [
        {"name": "Setup", "amount": "100.00", "when": "once"},
        {"name": "Platform", "amount": "31.00", "when": "monthly"},
    ]
    plan = a_plan(minimum="10.00", fees=fees)
    plan["charges"][0]["minimum"] = "6.20"
    catalog = a_catalog(plans={"basic": plan}, accounts={"acme": {"plan": "basic", "from": "2026-10-17"}})
    time = instant("2026-10-20T00:00:00Z")
    figures = files(catalog, *[an_event(DONE, time, run=f"r{i}") for i in range(2)])
    lines = invoice(figures.walk, "acme", 202610)
    assert lines is not None
    assert [(line.kind, line.name, line.amount) for line in lines] == [
        ("usage", "Runs", 2),
        ("minimum", "Runs", 1),  # 6.20 × 15/31 = 3.00
        ("minimum", "basic", Fraction("1.84")),  # 10.00 × 15/31 = 4.8387… − 3.00
        ("fee", "Setup", 100),
        ("fee", "Platform", 15),
    ]
    november = invoice(figures.walk, "acme", 202611)
    assert november is not None
    assert [(line.kind, line.name, line.amount) for line in november] == [
        ("usage", "Runs", 0),
        ("minimum", "Runs", Fraction("6.20")),
        ("minimum", "basic", Fraction("3.80")),
        ("fee", "Platform", 31),
    ]


def test_malformed_events_are_rejected_and_move_nothing() -> None:
    """Ruling 1: a rejected event never moves the clock."""
    broken = {
        **an_event(at=after("90d")),
        "data": {"workflow": "wf", "run_id": "r1", "attributes": {"p": 1.5}},
    }
    figures = files(a_catalog(), an_event(), broken, b"{", an_event(at=after("1h")))
    assert [figures.fates[i] for i in (2, 3, 4)] == ["malformed", "malformed", "accepted"]
    assert unit(figures).state == "open"
