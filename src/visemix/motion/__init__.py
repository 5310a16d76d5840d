from visemix.motion.base import MOTION, MotionModel

__all__ = ["MOTION", "MotionModel"]
