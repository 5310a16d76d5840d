"""Skinning of Gaussians on no mesh: hair goes with the head, clothes with the torso, what lies between with both."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.ops.camera import similarity_transform
from visemix.ops.rotation import matrix

INITIAL_LOGIT = 3.0  # before a sigmoid: how far hair is thought to go with the head at first, and a torso not to


def initial_skinning_logits(hair: int, torso: int) -> Float[Tensor, " M"]:
    """Initial skinning weights as logits: near 1 (the head) for hair, near 0 (the torso) for the rest."""
    return torch.cat([torch.full((hair,), INITIAL_LOGIT), torch.full((torso,), -INITIAL_LOGIT)])


def blend_skinning(
    places: Float[Tensor, "3 M"],
    local: Float[Tensor, "3 3 M"],
    share: Float[Tensor, " M"],
    hair: int,
    pose: Float[Tensor, "6"],
    rest: Float[Tensor, "6"],
    torso: Float[Tensor, "4"] | None,
) -> tuple[Float[Tensor, "3 M"], Float[Tensor, "3 3 M"]]:
    """Means and covariance factors in the camera's space, by linear blend skinning with two bones, head and torso.

    Args:
        places, local: means and factors of the first `hair` in the head's frame, of the others in the camera's.
        share: 1 goes with the head, 0 with the torso.
        pose, rest: of the head now, and where the two frames meet.
        torso: its motion, as `Subject.torso`; it stands still where there is none.
    """
    torso = pose.new_zeros(4) if torso is None else torso
    turn, still, (bend, slid) = matrix(pose[:3]), matrix(rest[:3]), similarity_transform(torso)
    moved, stood = pose[3:, None], rest[3:, None]
    hairs, cloth = places[:, :hair], places[:, hair:]
    in_head = torch.cat([hairs, still.mT @ (cloth - stood)], 1)
    in_space = torch.cat([still @ hairs + stood, cloth], 1)
    means = torch.lerp(bend @ in_space + slid, turn @ in_head + moved, share)
    turned = [turn @ local[:, :, :hair].flatten(1), bend @ local[:, :, hair:].flatten(1)]
    return means, torch.cat([part.view(3, 3, -1) for part in turned], 2)


def undo_torso_motion(places: Float[Tensor, "3 n"], torso: Float[Tensor, "4"]) -> Float[Tensor, "3 n"]:
    """Where places of a moved torso (the camera's space) are before it moves."""
    bend, slid = similarity_transform(torso)
    return torch.linalg.solve(bend, places - slid)
