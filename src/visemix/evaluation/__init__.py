from typing import TYPE_CHECKING, Any

from visemix.evaluation.pairing import Pair, find_pairs
from visemix.evaluation.videos import evaluate

if TYPE_CHECKING:
    from visemix.evaluation.heldout import evaluate_run, evaluate_speech

__all__ = ["Pair", "evaluate", "evaluate_run", "evaluate_speech", "find_pairs"]


def __getattr__(name: str) -> Any:
    """What scores runs brings Lightning: not for the processes that score pairs of videos."""
    if name not in ("evaluate_run", "evaluate_speech"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from visemix.evaluation import heldout

    return getattr(heldout, name)
