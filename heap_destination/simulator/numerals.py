"""Numbers as JavaScript prints them, which is how Heap joins them into text (`1.0` → `1`)."""

from decimal import Decimal

# Whole numbers up to here are exact in a double, which is all the number JavaScript has.
_LARGEST_EXACT = 2**53
# Where JavaScript's Number::toString goes over to an exponent (ECMA-262, 6.1.6.1.20).
_PLAIN_BELOW = 10**21
_SMALLEST_PLAIN_EXPONENT = -7


def number_text(value: float) -> str:
    """Print a finite number as JavaScript's `String(value)` does."""
    if type(value) is int and abs(value) <= _LARGEST_EXACT:
        return str(value)
    value = float(value) + 0.0  # -0.0 prints as 0
    if value.is_integer() and abs(value) < _PLAIN_BELOW:
        return format(Decimal(repr(value)).quantize(Decimal(1)), "f")
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    if _SMALLEST_PLAIN_EXPONENT < int(exponent) < 0:
        return format(Decimal(repr(value)), "f")
    return f"{mantissa}e{int(exponent):+d}"
