from visemix.metrics.articulation import mouth_opening
from visemix.metrics.atlag import by_sound
from visemix.metrics.avproxy import Lag
from visemix.metrics.base import METRICS, NoScore, Take, TakeMetric, VideoMetric, View, as_bytes
from visemix.metrics.geometry import lip_vertex_error, mean_squared_error, point_distance
from visemix.metrics.image import psnr, squared_error
from visemix.metrics.landmarks import landmark_distance
from visemix.metrics.learned import Fid
from visemix.metrics.region import landmark_box, mouth_box
from visemix.metrics.sharpness import cpbd
from visemix.metrics.shown import Shown
from visemix.metrics.silence import settle, silences, stray
from visemix.metrics.suite import Suite
from visemix.metrics.sync import Sync

__all__ = [
    "METRICS",
    "Fid",
    "Lag",
    "NoScore",
    "Shown",
    "Suite",
    "Sync",
    "Take",
    "TakeMetric",
    "VideoMetric",
    "View",
    "as_bytes",
    "by_sound",
    "cpbd",
    "landmark_box",
    "landmark_distance",
    "lip_vertex_error",
    "mean_squared_error",
    "mouth_box",
    "mouth_opening",
    "point_distance",
    "psnr",
    "settle",
    "silences",
    "squared_error",
    "stray",
]
