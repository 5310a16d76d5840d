from visemix.metrics.articulation import mouth_opening
from visemix.metrics.atlag import by_sound
from visemix.metrics.avproxy import Lag
from visemix.metrics.base import METRICS, FrameBatch, NoScore, SequenceMetric, VideoMetric, VideoSequence, as_bytes
from visemix.metrics.geometry import lip_vertex_error, mean_squared_error, point_distance
from visemix.metrics.image import psnr, squared_error
from visemix.metrics.landmarks import landmark_distance
from visemix.metrics.learned import Fid
from visemix.metrics.region import landmark_box, mouth_box
from visemix.metrics.sharpness import cpbd
from visemix.metrics.shown import Presentation
from visemix.metrics.silence import lip_instability, settling_time, silences
from visemix.metrics.suite import Suite
from visemix.metrics.sync import SyncResult

__all__ = [
    "METRICS",
    "Fid",
    "FrameBatch",
    "Lag",
    "NoScore",
    "Presentation",
    "SequenceMetric",
    "Suite",
    "SyncResult",
    "VideoMetric",
    "VideoSequence",
    "as_bytes",
    "by_sound",
    "cpbd",
    "landmark_box",
    "landmark_distance",
    "lip_instability",
    "lip_vertex_error",
    "mean_squared_error",
    "mouth_box",
    "mouth_opening",
    "point_distance",
    "psnr",
    "settling_time",
    "silences",
    "squared_error",
]
