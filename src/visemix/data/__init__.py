from visemix.data.base import DATA
from visemix.data.framefile import FrameFile
from visemix.data.media import Probe, VideoReader, in_chunks, probe, read_video
from visemix.data.sound import is_silent, read_sound, whole_frames
from visemix.data.writer import VideoWriter

__all__ = [
    "DATA",
    "FrameFile",
    "Probe",
    "VideoReader",
    "VideoWriter",
    "in_chunks",
    "is_silent",
    "probe",
    "read_sound",
    "read_video",
    "whole_frames",
]
