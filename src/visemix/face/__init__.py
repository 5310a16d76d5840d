from visemix.face.model import FACE, FaceData, FaceModel

__all__ = ["FACE", "FaceData", "FaceModel"]
