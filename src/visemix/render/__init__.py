from visemix.render.base import RENDER, Renderer

__all__ = ["RENDER", "Renderer"]
