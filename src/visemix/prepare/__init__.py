from visemix.prepare.fit import RECONSTRUCT, Fit, Reconstructor, fit_clip
from visemix.prepare.importers import cut_out
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
    "Tracker",
    "cut_out",
    "fit_clip",
    "prepare",
]
