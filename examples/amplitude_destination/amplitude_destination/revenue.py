"""The revenue of a track call, as Amplitude's fields.

Only a `revenue` makes one: a `price` alone is the price of something looked at. The properties stay
as they are beside it. Source: https://amplitude.com/docs/apis/analytics/http-v2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from amplitude_destination.properties import note
from destination_router import Json, Note

_CURRENCY = re.compile(r"[A-Za-z]{3}")
_ALIASES = {
    "productId": ("productId", "product_id"),
    "revenueType": ("revenueType", "revenue_type"),
}


def revenue(properties: Mapping[str, Json], notes: list[Note]) -> dict[str, Json]:
    """Read the fields that make an event count as revenue; none where it has no `revenue`."""
    given = properties.get("revenue")
    if given is None:
        return {}
    amount = _number(given)
    if amount is None:
        note(notes, "dropped", "properties.revenue", "not a number: it is kept, but no revenue")
        return {}
    if isinstance(given, str):
        note(notes, "converted", "properties.revenue", "text became a number")
    fields: dict[str, Json] = {"revenue": amount, **_per_item(properties, amount, notes)}
    for name, spellings in _ALIASES.items():
        texts = [properties[key] for key in spellings if isinstance(properties.get(key), str)]
        if texts:
            fields[name] = texts[0]
    if currency := _currency(properties, notes):
        fields["currency"] = currency
    return fields


def _per_item(properties: Mapping[str, Json], amount: float, notes: list[Note]) -> dict[str, Json]:
    """Read price and quantity, unless they would make another revenue: Amplitude prefers them."""
    price, quantity = _number(properties.get("price")), _number(properties.get("quantity"))
    if price is None or quantity is None:
        return {}
    if quantity != int(quantity) or not math.isclose(price * quantity, amount, abs_tol=0.005):
        detail = "price x quantity is not the revenue, and Amplitude would take it for that"
        note(notes, "dropped", "properties.price", detail)
        return {}
    return {"price": price, "quantity": int(quantity)}


def _currency(properties: Mapping[str, Json], notes: list[Note]) -> str | None:
    given = properties.get("currency")
    if given is None:
        return None
    if not isinstance(given, str) or not _CURRENCY.fullmatch(given):
        note(notes, "dropped", "properties.currency", "not a code of ISO 4217: kept as a property")
        return None
    if not given.isupper():
        note(notes, "converted", "properties.currency", "sent in capitals")
    return given.upper()


def _number(value: Json) -> float | None:
    """Read a finite number, or text that is one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return number if isinstance(value, str) else value
