from visemix.sweep.runner import sweep

__all__ = ["sweep"]
