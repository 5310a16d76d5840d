from typing import TYPE_CHECKING, Any

from visemix.data.clipfiles import find_clips, speaker_of
from visemix.data.clips import ClipFolder
from visemix.data.clipwriter import write_clip
from visemix.data.crop import Box
from visemix.data.footage import paste_into_source, pingpong, read_frames
from visemix.data.framefile import FrameFile
from visemix.data.media import Probe, VideoReader, in_chunks, probe, read_video
from visemix.data.sound import is_silent, read_sound, whole_frames
from visemix.data.writer import VideoWriter
from visemix.types import Label

if TYPE_CHECKING:
    from visemix.data.base import DATA, DataModule, DataRequest
    from visemix.data.foreign import write_example
    from visemix.data.module import ClipsModule

__all__ = [
    "DATA",
    "Box",
    "ClipFolder",
    "ClipsModule",
    "DataModule",
    "DataRequest",
    "FrameFile",
    "Label",
    "Probe",
    "VideoReader",
    "VideoWriter",
    "find_clips",
    "in_chunks",
    "is_silent",
    "paste_into_source",
    "pingpong",
    "probe",
    "read_frames",
    "read_sound",
    "read_video",
    "speaker_of",
    "whole_frames",
    "write_clip",
    "write_example",
]


def __getattr__(name: str) -> Any:
    """Lightning takes longer to import than all the rest: only for those who train."""
    if name not in ("DATA", "ClipsModule", "DataModule", "DataRequest", "write_example"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from visemix.data import base, foreign, module

    homes = {"ClipsModule": module, "write_example": foreign}
    return getattr(homes.get(name, base), name)
