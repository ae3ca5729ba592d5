"""Kubernetes quantities as exact numbers (`kubernetes:apimachinery/pkg/api/resource/quantity.go`)."""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

_UNITS = {
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{unit: Fraction(1000**power) for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{unit: Fraction(1024**power) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}
_QUANTITY = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([a-zA-Z]*)")


class NotAQuantityError(ValueError):
    """Its text says so in one line."""


def quantity(value: str | float) -> Fraction:
    """`100m`, `1.5Gi` or a number."""
    match = _QUANTITY.fullmatch(str(value))
    if match is None or match[2] not in _UNITS:
        raise NotAQuantityError(f"{value!r} is not a quantity such as 100m, 2 or 1.5Gi")
    return Fraction(match[1]) * _UNITS[match[2]]


def in_units(value: str | float, divisor: str) -> int:
    """How many of `divisor` make up `value`, rounded up; a divisor of 0 counts as 1."""
    return ceil(quantity(value) / (quantity(divisor) or 1))
