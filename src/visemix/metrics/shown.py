"""How tables and pages show a metric."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Presentation:
    """How tables and pages show a metric: by default only where all of them stand, behind the library's own."""

    rank: int = 1000  # its place among the others, the smallest first; equal ones by name
    headline: bool = False  # it stands in tables that are to fit a page
    foreign: bool = False  # so does its number of foreign speech, as `<name>_ood`, where it is measured without truth
    digits: int = 3
    diagnostic: bool = False  # it explains other numbers; no table calls a number of it the best
    over_time: str = ""  # what the axis of its curve over a clip's frames is called; without, there is no curve
    over_lags: str = ""  # the same of what `VideoMetric.lags` answers
    reading: str = ""  # how that curve is read


UNSHOWN = Presentation()


def direction(higher_is_better: bool | None, ideal: float | None) -> str:
    """Which numbers are better, in words.

    >>> direction(False, None), direction(None, 1.0)
    ('lower', 'nearer 1')
    """
    if higher_is_better is None:
        return f"nearer {ideal or 0:g}"
    return "higher" if higher_is_better else "lower"
