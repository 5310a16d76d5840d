"""Where preparing videos was: `visemix.prepare` now."""

from visemix.ops.deprecation import moved

__getattr__ = moved(__name__, "visemix.prepare.videos", since="0.2", removed_in="0.3")
