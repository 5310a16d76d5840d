from visemix.face.bfm import bfm
from visemix.face.ict import ict
from visemix.face.model import FACE, FaceData, FaceModel
from visemix.face.shading import FacePicture, draw, landmarks_2d, posed
from visemix.face.toy import toy

__all__ = [
    "FACE",
    "FaceData",
    "FaceModel",
    "FacePicture",
    "bfm",
    "draw",
    "ict",
    "landmarks_2d",
    "posed",
    "toy",
]
