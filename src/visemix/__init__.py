from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visemix.pipeline import TalkingFace as TalkingFace

__version__ = "0.1.0"
__all__ = ["TalkingFace", "__version__"]


def __getattr__(name: str) -> Any:
    """`visemix.TalkingFace`, when it is asked for: the command line's `--help` must not load torch."""
    if name == "TalkingFace":
        from visemix.pipeline import TalkingFace

        return TalkingFace
    raise AttributeError(f"module 'visemix' has no attribute '{name}'")
