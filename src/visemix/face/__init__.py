from visemix.face.model import FACE, FaceData, FaceModel
from visemix.face.toy import toy

__all__ = ["FACE", "FaceData", "FaceModel", "toy"]
