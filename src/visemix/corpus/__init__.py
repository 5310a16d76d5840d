from visemix.corpus.make import corpus

__all__ = ["corpus"]
