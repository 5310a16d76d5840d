"""A small landmark NeRF, and what drives it."""

import torch

from visemix.render import RENDER
from visemix.types import Motion, Space, Video

TINY = {"samples": 4, "cells": 8, "steps": 16, "levels": [8], "width": 16, "torso_levels": [8], "rays": 128}
VANILLA = {"compat": "paper", "vanilla_width": 8, "coarse": 4, "fine": 4, "rays": 64}


def nerf(face, **options):
    torch.manual_seed(0)
    return RENDER.build({"name": "landmark_nerf"} | TINY | options, face)


def driven(face, clip, frames=2, start=0):
    few = clip.subject.at(torch.arange(start, start + frames))
    motion = Motion(clip.motion.values[:, start : start + frames], clip.motion.space)
    return face.convert(motion, Space.LANDMARKS, few), few, Video(clip.video.frames[:, start : start + frames])
