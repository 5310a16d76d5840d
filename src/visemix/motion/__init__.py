from visemix.motion.a2ep import A2EP
from visemix.motion.base import MOTION, MotionModel, stream
from visemix.motion.regression import Regression
from visemix.motion.smooth import Smooth

__all__ = ["A2EP", "MOTION", "MotionModel", "Regression", "Smooth", "stream"]
