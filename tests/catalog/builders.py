"""A catalog that holds, and ways to break it."""

from __future__ import annotations

from unitrate.catalog.source import Version, load_text
from unitrate.errors import CatalogError

GOOD = """\
catalog: 2026-10
effective: 2026-10-01T00:00:00Z
currency: USD
timezone: UTC
dedupe: 35d
issuer: {name: Unit Works, address: [Main St 1, 10115 Berlin], email: bills@unit.example, number_prefix: UW-}
costs:
  models:
    - {provider: google, model: "gemini-3-pro*", input: 2.00, cache_read: 0.20, output: 12.00}
    - {provider: acme-gpu, model: "*", image: 0.004, page: 0.0015}
  aliases:
    - {provider: "Google AI Studio", as: google}
  fx: {EUR: 1.0832}
meters:
  review:
    unit: document
    workflow: contract-review
    match: {region: eu}
    key: document_id
    end: {on: [work.completed, work.failed], idle: 30m, max_age: 24h}
    settle: 48h
    attributes: {pages: max}
    sizes:
      by: pages
      tiers: [{name: light, up_to: 10}, {name: heavy, up_to: 500}, {name: oversize}]
    policy:
      - {when: test, charge: none}
      - {when: duplicate, by: [sha256], within: 24h, charge: none}
      - {when: failed, charge: none}
      - {when: partial, charge: prorata}
      - {when: {size: oversize}, charge: full}
  lead:
    unit: outcome
    workflow: [qualify, follow-up]
    terms: required
    accept: {on: work.accepted, within: 14d, otherwise: none}
    reverse: {on: [work.rejected, work.reopened], within: 30d}
  tool:
    unit: action
    workflow: agent-actions
    each: {type: ai.request, operation: tool}
plans:
  growth:
    version: 3
    fees:
      - {name: Platform, amount: 499.00, when: monthly, prorate: true}
    charges:
      - name: Reviews
        meter: review
        included: 500
        by: size
        prices:
          light: {model: unit, rate: 0.40}
          heavy: {model: graduated, tiers: [{up_to: 1000, rate: 0.90}, {rate: 0.75}]}
          default: {model: unit, rate: 1.20}
        minimum: 200.00
        maximum: 5000.00
        on_maximum: absorb
        policy: [{when: failed, charge: 0.5, agreed: {ref: order 118, on: 2026-09-01}}]
      - {name: Tools, meter: tool, price: {model: cost_plus, markup: 0.40, per_unit: 0.10}}
      - {name: Leads, meter: lead, price: {model: package, size: 10, price: 50}, per: 1, round: up}
    alerts:
      - {on: included, at: [0.8, 1.0]}
    top_ups:
      - {name: 500 extra, amount: 300.00, grants: {credit: 350.00}, expires: 90d}
accounts:
  acme/eu: {plan: growth, from: 2026-10-10, to: 2026-12-31, timezone: Europe/Berlin, internal_workspaces: [q]}
  beta:
    subscriptions: [{plan: growth, from: 2026-10-01, to: 2026-10-15}, {plan: growth, from: 2026-10-16}]
    terms: {lead: {ref: email, on: 2026-10-02}}
    credits: [{name: Launch, amount: 100.00, from: 2026-10-01, expires: 2026-12-31, priority: 1}]
    billing: {address: Way 2, email: pay@beta.example, tax: {name: VAT, rate: 0.19}, due_days: 14}
payouts:
  platform_fee: 0.20
  builders:
    - {builder: nord, workflows: [contract-review, qualify], basis: margin, minimum: 50.00}
    - {builder: sued, workflows: [agent-actions]}
  providers: [{provider: acme-gpu, reward: 0.70}]
"""


def good() -> Version:
    """The version that GOOD is."""
    return load_text(GOOD)[0]


def with_change(old: str, new: str) -> str:
    """GOOD with one text replaced, which must stand in it once."""
    if GOOD.count(old) != 1:
        raise ValueError(f"{old!r} stands {GOOD.count(old)} times in GOOD")
    return GOOD.replace(old, new)


def problems(text: str) -> list[str]:
    """The lines that `unitrate check` prints for a catalog's text."""
    try:
        load_text(text)
    except CatalogError as error:
        return error.problems
    return []
