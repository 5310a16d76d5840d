from visemix.audio.base import AUDIO, AudioEncoder
from visemix.audio.cached import Cached
from visemix.audio.ctc import CTC
from visemix.audio.mel import Mel
from visemix.audio.ssl import HuBERT, Wav2Vec2

__all__ = ["AUDIO", "CTC", "AudioEncoder", "Cached", "HuBERT", "Mel", "Wav2Vec2"]
