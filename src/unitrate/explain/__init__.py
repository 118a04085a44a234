"""Explanations: from an invoice line down to units, requests, the rule, the price and the arithmetic.

Owns no figure: everything is read from the store and recomputed only to be shown beside it. What does not add
up is said, not hidden.
"""

from unitrate.explain.find import Target, find
from unitrate.explain.invoice import InvoiceExplanation, explain_invoice
from unitrate.explain.unit import UnitExplanation, explain_unit

__all__ = ["InvoiceExplanation", "Target", "UnitExplanation", "explain_invoice", "explain_unit", "find"]
