from visemix.metrics.base import METRICS, NoScore, Take, VideoMetric, View, as_bytes
from visemix.metrics.image import psnr, squared_error
from visemix.metrics.landmarks import landmark_distance
from visemix.metrics.region import landmark_box, mouth_box
from visemix.metrics.suite import Suite

__all__ = [
    "METRICS",
    "NoScore",
    "Suite",
    "Take",
    "VideoMetric",
    "View",
    "as_bytes",
    "landmark_box",
    "landmark_distance",
    "mouth_box",
    "psnr",
    "squared_error",
]
