from visemix.face.bfm import bfm
from visemix.face.fit import RECONSTRUCT, Fit, Reconstructor, fit_clip
from visemix.face.ict import ict
from visemix.face.model import FACE, FaceData, FaceModel
from visemix.face.rnet import ReconNet
from visemix.face.shading import FacePicture, draw, landmarks_2d, posed
from visemix.face.toy import toy
from visemix.face.track import TRACKER, Track, Tracker

__all__ = [
    "FACE",
    "RECONSTRUCT",
    "TRACKER",
    "FaceData",
    "FaceModel",
    "FacePicture",
    "Fit",
    "ReconNet",
    "Reconstructor",
    "Track",
    "Tracker",
    "bfm",
    "draw",
    "fit_clip",
    "ict",
    "landmarks_2d",
    "posed",
    "toy",
]
