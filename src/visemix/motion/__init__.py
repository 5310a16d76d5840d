from visemix.motion.a2ep import A2EP
from visemix.motion.base import MOTION, MotionModel, stream
from visemix.motion.flow_vae import FlowVAE
from visemix.motion.postnet import PostNet
from visemix.motion.regression import Regression
from visemix.motion.smooth import Smooth

__all__ = ["A2EP", "MOTION", "FlowVAE", "MotionModel", "PostNet", "Regression", "Smooth", "stream"]
