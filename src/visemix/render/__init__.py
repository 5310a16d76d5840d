from visemix.render.base import RENDER, Renderer
from visemix.render.gaussians import Gaussians
from visemix.render.landmark_nerf import LandmarkNeRF
from visemix.render.mesh import Mesh
from visemix.render.taft import TAFT

__all__ = ["RENDER", "TAFT", "Gaussians", "LandmarkNeRF", "Mesh", "Renderer"]
