"""Who appears in a corpus: shape, skin, hair, clothes, light, voice and manner of each synthetic speaker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visemix.corpus.acting import Style, sample_style
from visemix.corpus.patterns import BACKDROPS
from visemix.corpus.voices import SynthesiserChoice, Voice, sample_voice
from visemix.corpus.wardrobe import Garment, Hairdo
from visemix.face import FaceModel, layout
from visemix.face.shading import soft_light

SEEN = {
    "female": ("ada", "cleo", "eve", "gina", "ida", "kim", "mia", "olga"),
    "male": ("ben", "dan", "finn", "hugo", "jack", "leo", "nils", "omar"),
}
UNSEEN = {
    "female": ("rosa", "tess", "uma", "vera", "willa", "xenia", "yara", "zoe"),
    "male": ("paul", "quinn", "raul", "sam", "theo", "udo", "viktor", "walt"),
}
# sRGB of the most lit part of a face
SKINS = (
    (0.96, 0.79, 0.69),
    (0.55, 0.36, 0.26),
    (0.87, 0.66, 0.52),
    (0.72, 0.51, 0.38),
    (0.93, 0.73, 0.60),
    (0.40, 0.26, 0.19),
    (0.82, 0.60, 0.46),
    (0.94, 0.77, 0.68),
)
DARK, LIGHT = ((0.10, 0.08, 0.07), (0.17, 0.11, 0.08), (0.28, 0.18, 0.11)), ((0.62, 0.46, 0.26), (0.45, 0.22, 0.12))
GREY = (0.55, 0.54, 0.53)
EYES = ((0.24, 0.15, 0.09), (0.32, 0.46, 0.58), (0.33, 0.42, 0.27), (0.40, 0.29, 0.16))
CLOTHES = (
    (0.16, 0.22, 0.38),
    (0.62, 0.18, 0.18),
    (0.88, 0.87, 0.84),
    (0.20, 0.36, 0.30),
    (0.86, 0.68, 0.30),
    (0.28, 0.28, 0.30),
    (0.45, 0.62, 0.78),
    (0.55, 0.32, 0.52),
)
# volume, sides, length, fringe, curl, sweep
HAIRDOS = {
    "female": (
        (0.13, 0.12, 0.75, 0.06, 0.010, 0.10),  # a bob
        (0.14, 0.12, 1.55, 0.00, 0.014, -0.12),  # long
        (0.22, 0.26, 0.95, 0.08, 0.055, 0.0),  # curls
        (0.12, 0.11, 1.30, 0.26, 0.008, 0.04),  # long, with a fringe
        (0.10, 0.05, 0.0, 0.10, 0.010, 0.12),  # short
    ),
    "male": (
        (0.12, 0.05, 0.0, 0.04, 0.010, 0.10),  # short, parted
        (0.06, 0.03, 0.0, 0.00, 0.004, 0.0),  # cropped
        (0.18, 0.10, 0.0, 0.10, 0.045, 0.0),  # short curls
        (0.19, 0.07, 0.0, 0.02, 0.014, -0.16),  # brushed to a side
        (0.14, 0.12, 0.55, 0.05, 0.020, 0.08),  # to the ears
    ),
}


@dataclass(frozen=True)
class Person:
    """What a synthetic speaker looks and sounds like."""

    name: str
    voice: Voice
    style: Style
    identity: Float[Tensor, " I"]
    albedo: Float[Tensor, "N 3"]
    scalp: Bool[Tensor, " N"]
    light: Float[Tensor, "27"]
    hair: Hairdo
    garment: Garment
    skin: tuple[float, float, float]
    shoulders: float  # width, times the usual
    backdrop: str
    seed: int  # of what is drawn with noise


def cast(
    number: int,
    seed: int,
    face: FaceModel,
    language: str = "en",
    voice: str | None = None,
    synthesiser: SynthesiserChoice = "auto",
    *,
    unseen: bool = False,
) -> Person:
    """Speaker `number`, drawn by `seed` alone: the same whoever else appears, and whatever they say.

    Women and men take turns, unless `voice` says whose it is. Those `unseen` are others.
    """
    rng = np.random.default_rng([seed, 11, int(unseen), number])
    wanted = voice or ("female", "male")[number % 2]
    speaks = sample_voice(int(rng.integers(2**31)), language, wanted, synthesiser)
    names = (UNSEEN if unseen else SEEN)[speaks.sex]
    turn = number // 2 if voice is None else number
    name = names[turn % len(names)] + (str(turn // len(names) + 1) if turn >= len(names) else "")
    identity = torch.from_numpy(rng.standard_normal(face.identity.shape[-1])).float().clamp(-1.8, 1.8)
    if len(identity) > 50:
        identity = 0.8 * identity
    skin = SKINS[(number + seed) % len(SKINS)]
    hair = _hairdo(speaks.sex, number + seed, skin, rng)
    albedo, scalp = complexion(face, skin, hair.colour, EYES[rng.integers(len(EYES))], beard=_beard(speaks.sex, rng))
    garment = _garment(number + seed, rng)
    light = soft_light().reshape(3, 9).clone()
    light[:, 3] += float(rng.uniform(-0.16, 0.16))  # from a side
    light[:, 1:3] += 0.03 * torch.from_numpy(rng.standard_normal(2)).float()
    light[:, :1] += 0.02 * torch.from_numpy(rng.standard_normal((3, 1))).float()
    shoulders = float(rng.uniform(0.98, 1.1) if speaks.sex == "male" else rng.uniform(0.86, 0.96))
    kind = BACKDROPS[(number + seed // 7) % len(BACKDROPS)]
    return Person(
        name,
        speaks,
        sample_style(rng),
        identity,
        albedo,
        scalp,
        light.flatten(),
        hair,
        garment,
        skin,
        shoulders,
        kind,
        int(rng.integers(2**31)),
    )


def _hairdo(sex: str, number: int, skin: tuple[float, float, float], rng: np.random.Generator) -> Hairdo:
    kinds = HAIRDOS[sex]
    volume, sides, length, fringe, curl, sweep = kinds[(number // 2) % len(kinds)]
    colours = DARK if skin[0] < 0.8 else DARK + LIGHT + (GREY,)
    r, g, b = colours[rng.integers(len(colours))]
    by = float(rng.uniform(0.9, 1.15))
    return Hairdo((r * by, g * by, b * by), volume * by, sides * by, length, fringe, curl, sweep)


def _garment(number: int, rng: np.random.Generator) -> Garment:
    kind = ("crew", "shirt", "vee", "jacket", "stripes")[number % 5]
    one, two = rng.choice(len(CLOTHES), 2, replace=False)
    second = CLOTHES[two] if kind == "stripes" else (0.88, 0.88, 0.9)
    colour = CLOTHES[5 * (number % 2)] if kind == "jacket" else CLOTHES[one]
    return Garment(kind, colour, second)  # type: ignore[arg-type]


def _beard(sex: str, rng: np.random.Generator) -> float:
    return float(rng.choice([0.0, 0.12, 0.32])) if sex == "male" else 0.0


def complexion(
    face: FaceModel,
    skin: tuple[float, float, float],
    hair: tuple[float, float, float],
    eyes: tuple[float, float, float],
    *,
    beard: float = 0.0,
) -> tuple[Float[Tensor, "N 3"], Bool[Tensor, " N"]]:
    """Albedo (N, 3) of a person with these colours of skin, hair and eyes, and a mask (N,) of the hairy scalp."""
    points, colour = face.mean, face.albedo.clone()
    marks = points[face.landmark_ids]
    outside = torch.zeros(len(points), dtype=torch.bool)
    outside[face.triangles[face.skin].flatten()] = True
    mouth, left, right = (marks[part].mean(0) for part in (layout.INNER_MOUTH, layout.LEFT_EYE, layout.RIGHT_EYE))
    usual = colour[outside].median(0).values
    in_mouth = ~outside & ((points - mouth - torch.tensor([0, 0, -0.25])).norm(dim=1) < 0.55)
    in_mouth &= (colour - usual).norm(dim=1) > 0.12  # not what is under the chin
    off = torch.minimum((points - left)[:, :2].norm(dim=1), (points - right)[:, :2].norm(dim=1))
    in_eye = ~outside & (off < 0.2) & (points[:, 2] > marks[36, 2] - 0.25) & ~in_mouth
    grey = colour.mean(1)
    iris = in_eye & (off < 0.066) & (grey > 0.06) & (grey < 0.7)
    brow_line = marks[17:27]
    at_brow = torch.cdist(points, brow_line).amin(1) < 0.14
    dark = (grey < 0.42) & ~in_mouth & ~in_eye
    scalp = dark & ~at_brow & (points[:, 1] > mouth[1] - 0.25) & ((points[:, 1] > marks[27, 1]) | (points[:, 2] < -0.3))
    scalp &= (points[:, 2] > -0.3) | ((points[:, 0] ** 2 + (points[:, 2] + 0.6) ** 2) > 0.25) | (points[:, 1] > 0.8)
    scalp &= (points[:, 1] > brow_line[:, 1].max() + 0.12) | (points[:, 2] < marks[36, 2] - 0.3)
    flesh = ~(in_mouth | in_eye)
    tint = torch.tensor(skin) / usual
    colour[flesh] = colour[flesh] * tint
    brow = flesh & at_brow & (grey < 0.5)
    colour[brow] = 0.8 * torch.tensor(hair) * 1.1 + 0.2 * colour[brow]
    colour[scalp] = 0.75 * torch.tensor(hair)
    colour[iris] = torch.tensor(eyes) * (0.4 + 0.6 * grey[iris] / grey[iris].max())[:, None]
    if beard:
        low = torch.sigmoid((mouth[1] + 0.2 - points[:, 1] - 0.25 * points[:, 0].abs()) / 0.05 * 1.0)
        lips = torch.cdist(points[:, :2], marks[48:60, :2]).amin(1)
        near = ((points[:, 0] - mouth[0]).abs() / 0.26) ** 2 + ((points[:, 1] - mouth[1]) / 0.1) ** 2
        behind, ahead = marks[[3, 13]].mean(0), marks[8]
        t = ((points[:, 2] - behind[2]) / (ahead[2] - behind[2])).clamp(0, 1)
        low = low * ((points[:, 1] - behind[1] - t * (ahead[1] - behind[1])) / 0.12 + 0.5).clamp(0, 1)
        weight = (
            beard
            * low
            * ((near - 1) / 0.8).clamp(0, 1)
            * ((lips - 0.03) / 0.07).clamp(0, 1)
            * outside
            * (points[:, 1] < mouth[1] + 0.14)
        )
        colour += weight[:, None] * (torch.tensor(hair) - colour)
    return colour.clamp(0.02, 0.98), scalp
