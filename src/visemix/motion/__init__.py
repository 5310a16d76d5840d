from visemix.motion.a2ep import A2EP
from visemix.motion.base import MOTION, MotionModel, stream
from visemix.motion.calibrated import Calibrated
from visemix.motion.closure import Closure
from visemix.motion.flow_vae import FlowVAE
from visemix.motion.postnet import PostNet
from visemix.motion.regression import Regression
from visemix.motion.smooth import Smooth

__all__ = [
    "A2EP",
    "MOTION",
    "Calibrated",
    "Closure",
    "FlowVAE",
    "MotionModel",
    "PostNet",
    "Regression",
    "Smooth",
    "stream",
]
