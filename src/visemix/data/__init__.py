from visemix.data.base import DATA
from visemix.data.clips import ClipFolder, find_clips, speaker_of, write_clip
from visemix.data.crop import Box
from visemix.data.framefile import FrameFile
from visemix.data.media import Probe, VideoReader, in_chunks, probe, read_video
from visemix.data.module import ClipsModule
from visemix.data.sound import is_silent, read_sound, whole_frames
from visemix.data.writer import VideoWriter

__all__ = [
    "DATA",
    "Box",
    "ClipFolder",
    "ClipsModule",
    "FrameFile",
    "Probe",
    "VideoReader",
    "VideoWriter",
    "find_clips",
    "in_chunks",
    "is_silent",
    "probe",
    "read_sound",
    "read_video",
    "speaker_of",
    "whole_frames",
    "write_clip",
]
