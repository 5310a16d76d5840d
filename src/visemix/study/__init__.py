from visemix.study.make import make_study
from visemix.study.protocols import PROTOCOLS
from visemix.study.score import score_study

__all__ = ["PROTOCOLS", "make_study", "score_study"]
