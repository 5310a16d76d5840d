from visemix.audio.base import AUDIO, AudioEncoder, stream_features
from visemix.audio.cached import Cached
from visemix.audio.concat import Concat
from visemix.audio.ctc import CTC
from visemix.audio.mel import Mel
from visemix.audio.moonshine import Moonshine
from visemix.audio.phonemes import Phonemes
from visemix.audio.pretrained import Pretrained
from visemix.audio.ssl import HuBERT, Wav2Vec2

__all__ = [
    "AUDIO",
    "CTC",
    "AudioEncoder",
    "Cached",
    "Concat",
    "HuBERT",
    "Mel",
    "Moonshine",
    "Phonemes",
    "Pretrained",
    "Wav2Vec2",
    "stream_features",
]
