"""The arithmetic of the benchmark: percentiles, medians and ratios per round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0..1) of the values do not exceed (nearest rank)."""
    if not values:
        raise ValueError("no values, no percentile")
    if not 0 < share <= 1:
        raise ValueError(f"a percentile lies above 0 and up to 1, not at {share}")
    return sorted(values)[math.ceil(share * len(values)) - 1]


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest of the values it stands for."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(median(values), min(values), max(values))


def ratios(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Our figure over theirs for each round in which both have one, in the order of the rounds.

    Dividing inside a round cancels what disturbed the machine in that round; a ratio of two
    medians would not.
    """
    return [ours[number] / theirs[number] for number in sorted(ours) if theirs.get(number, 0) > 0]
