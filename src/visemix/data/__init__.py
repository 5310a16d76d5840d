from visemix.data.media import FrameFile, Probe, VideoReader, in_chunks, probe, read_video
from visemix.data.sound import is_silent, read_sound, whole_frames

__all__ = [
    "FrameFile",
    "Probe",
    "VideoReader",
    "in_chunks",
    "is_silent",
    "probe",
    "read_sound",
    "read_video",
    "whole_frames",
]
