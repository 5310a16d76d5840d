from visemix.audio.base import AUDIO, AudioEncoder

__all__ = ["AUDIO", "AudioEncoder"]
