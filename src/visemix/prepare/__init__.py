from visemix.prepare.fit import RECONSTRUCT, Fit, Reconstructor, TrackedFace
from visemix.prepare.importers import export_clips
from visemix.prepare.parser import PARSER, Parser
from visemix.prepare.rnet import ReconNet
from visemix.prepare.track import TRACKER, Track, Tracker
from visemix.prepare.videos import prepare

__all__ = [
    "PARSER",
    "RECONSTRUCT",
    "TRACKER",
    "Fit",
    "Parser",
    "ReconNet",
    "Reconstructor",
    "Track",
    "TrackedFace",
    "Tracker",
    "export_clips",
    "prepare",
]
