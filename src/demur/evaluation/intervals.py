"""How sure a share is: Wilson's score interval, which stays honest for few trials and for shares near 0 and 1.

Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927), 209-212.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054
"""The quantile of the standard normal distribution that leaves 2.5 % on each side."""


@dataclass(frozen=True, slots=True)
class Share:
    """`successes` of `trials`, with the bounds of its interval; without trials nothing is known: 0 to 1."""

    successes: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share itself, or none without trials."""
        return self.successes / self.trials if self.trials else None

    def __str__(self) -> str:
        if not self.trials:
            return "-"
        share = 100 * self.successes / self.trials
        return f"{self.successes}/{self.trials} {share:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def wilson(successes: int, trials: int, z: float = Z_95) -> Share:
    """The share with its Wilson score interval; raises `ValueError` for impossible counts."""
    if not 0 <= successes <= trials:
        raise ValueError(f"expected 0 <= successes <= trials, found {successes} of {trials}")
    if trials == 0:
        return Share(0, 0, 0.0, 1.0)
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    spread = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else max(0.0, centre - spread)
    high = 1.0 if successes == trials else min(1.0, centre + spread)
    return Share(successes, trials, low, high)
