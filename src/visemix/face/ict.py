"""ICT-FaceKit (USC ICT Vision & Graphics Lab, MIT licence): the open way to run on real video."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from visemix.face import layout
from visemix.face.ict_build import FILE, SOURCE, build_facekit, find_model
from visemix.face.model import FACE, FaceData, FaceModel
from visemix.face.topology import close_holes
from visemix.types import VisemixError

PARTS = {  # first vertex of each; what follows the eyeballs (tear film, lashes, occlusion shells) is left out
    "face": 0,
    "head": 9409,
    "mouth": 11248,
    "socket": 13294,
    "gums": 14062,
    "teeth": 17039,
    "eyeball": 21451,
    "left out": 24591,
}
SHAPES = {
    "neutral": (-1, 3),
    "triangles": (-1, 3),
    "identity": (-1, -1, 3),
    "expression": (-1, -1, 3),
    "expression_names": (-1,),
    "landmarks68": (68,),
}
GAZE = 0.52  # radians that an eyeball turns at weight 1: what moves a lid's rim as far as eyeLookDown moves the upper
SKIN, HAIR, BROW, LIPS = (0.85, 0.65, 0.56), (0.22, 0.16, 0.12), (0.36, 0.25, 0.19), (0.72, 0.40, 0.38)
COLOURS = {"mouth": (0.22, 0.07, 0.07), "socket": (0.62, 0.38, 0.34), "gums": (0.68, 0.36, 0.36)}
COLOURS |= {"teeth": (0.93, 0.91, 0.86), "eyeball": (0.92, 0.91, 0.90)}
IRIS, RIM, PUPIL = (0.28, 0.24, 0.17), (0.14, 0.11, 0.08), (0.03, 0.03, 0.03)

Array = NDArray[Any]


@FACE.register("ict", local={"path": None})
def ict(*, path: str | None = None) -> FaceModel:
    """ICT-FaceKit light (Li et al. 2020): 100 components of identity, 53 named blendshapes in [0, 1], no colour basis.

    `path` is a checkout of ICT-FaceKit (its files are gathered in `ict_facekit.npz` there, once), or that file. Without
    `path`: the folder named by `VISEMIX_FACES`, then `VISEMIX_ASSETS/face`. The albedo is a plain one for every part;
    a clip brings its own.

    Raises:
        VisemixError: the files are not there, or are those of another model.
    """
    found = _ready(Path(path)) if path else _find()
    arrays = _read(found)
    count = min(PARTS["left out"], len(arrays["neutral"]))
    if count < PARTS["left out"]:
        raise VisemixError(f"{found} has {count} vertices, but ICT-FaceKit light has 26719; {SOURCE}")
    neutral = arrays["neutral"][:count].astype(np.float64)
    triangles = arrays["triangles"][(arrays["triangles"] < count).all(1)].astype(np.int64)
    landmarks = arrays["landmarks68"].astype(np.int64)
    skin = _skin(neutral)[triangles].all(1)
    origin = _centroid(neutral, triangles[skin])
    mean = (neutral - origin) / 10  # centimetres → decimetres
    names = [str(name) for name in arrays["expression_names"]]
    expression = _turn_eyes(arrays["expression"][:, :count], names, neutral)
    return FaceModel(
        FaceData(
            name="ict",
            mean=torch.from_numpy(mean).float(),
            identity=_basis(arrays["identity"][:, :count]),
            expression=_basis(expression),
            expression_range=torch.tensor([[0.0, 1.0]]).repeat(len(arrays["expression"]), 1),
            albedo=torch.from_numpy(_albedo(neutral, landmarks)).float(),
            texture=torch.zeros(count, 3, 0),
            triangles=torch.from_numpy(triangles),
            skin=torch.from_numpy(skin),
            hole=torch.from_numpy(close_holes(triangles[skin], mean)),
            landmarks=torch.from_numpy(landmarks),
            lower=torch.from_numpy(mean[:, 1] < mean[landmarks[33], 1]),
            expression_names=tuple(names),
            pupils=torch.tensor([_pupil(neutral, ball) for ball in _eyeballs(neutral)]),
        )
    )


def _find() -> Path:
    folders = [os.environ.get("VISEMIX_FACES"), os.environ.get("VISEMIX_ASSETS")]
    for folder, below in zip(folders, ("", "face"), strict=True):
        if folder and ((Path(folder) / below / FILE).is_file() or find_model(Path(folder) / below)):
            return _ready(Path(folder) / below)
    raise VisemixError(f"the ICT face needs its files: set face.path or VISEMIX_FACES to their folder; {SOURCE}")


def _ready(where: Path) -> Path:
    if not where.is_dir() or (where / FILE).is_file():
        return where / FILE if where.is_dir() else where
    model = find_model(where)
    if model is None:
        raise VisemixError(f"{where} is no checkout of ICT-FaceKit and holds no {FILE}; {SOURCE}")
    return model / FILE if (model / FILE).is_file() else build_facekit(model)


def _read(path: Path) -> dict[str, Array]:
    if not path.is_file():
        raise VisemixError(f"there is no file {path}; {SOURCE}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in SHAPES if name in file}
    except (OSError, ValueError, BadZipFile, EOFError, AttributeError) as error:
        raise VisemixError(f"{path} is not a readable .npz file ({error}); {SOURCE}") from error
    for name, shape in SHAPES.items():
        if name not in arrays:
            raise VisemixError(f"{path} holds no array '{name}', so it is no ICT-FaceKit file; {SOURCE}")
        have = arrays[name].shape
        if len(have) != len(shape) or any(s not in (-1, h) for s, h in zip(shape, have, strict=True)):
            raise VisemixError(f"{path}: array '{name}' has shape {have}, not {shape}; {SOURCE}")
    return arrays


def _basis(offsets: Array) -> torch.Tensor:
    return torch.from_numpy(offsets.astype(np.float32)).permute(1, 2, 0) / 10


def _part(name: str) -> slice:
    starts = list(PARTS.values())
    k = list(PARTS).index(name)
    return slice(starts[k], starts[k + 1])


def _skin(neutral: Array) -> Array:
    """Mask of the face proper (as BFM's front): below the hairline, in front of the ears, with what one sees under the
    chin."""
    x, y, z = neutral.T
    jaw = -4.0 - 0.66 * (z - 2.0)  # a plane two centimetres under the jaw, from below the ear to below the chin
    inside = (y > jaw) & (y < 9.8) & (z > 1.9) & (np.abs(x) < 7.75)
    inside[PARTS["head"] :] = False
    return inside


def _eyeballs(neutral: Array) -> tuple[Array, Array]:
    """Which vertices are the eyeball in the picture's left, and in its right."""
    balls = np.zeros(len(neutral), bool)
    balls[_part("eyeball")] = True
    return balls & (neutral[:, 0] < 0), balls & (neutral[:, 0] > 0)


def _pupil(neutral: Array, ball: Array) -> int:
    """The foremost vertex in the middle of an eyeball's front."""
    low, high = neutral[ball].min(0), neutral[ball].max(0)
    centre = (low + high) / 2
    off = np.hypot(*(neutral[:, :2] - centre[:2]).T) + 9 * (~ball | (neutral[:, 2] < centre[2]))
    near = np.flatnonzero(off < off.min() + 0.05)
    return int(near[neutral[near, 2].argmax()])


def _turn_eyes(expression: Array, names: list[str], neutral: Array) -> Array:
    """The light model's eyeLook shapes move the lids alone and leave it to a rig to turn the eyeballs: here each turns
    its own by `GAZE`, along the chord, so that half a weight is half the way."""
    turned = expression.copy()
    for side, ball in zip("RL", _eyeballs(neutral), strict=True):  # the subject's right is in the picture's left
        outward = -1 if side == "R" else 1
        centre = (neutral[ball].min(0) + neutral[ball].max(0)) / 2
        arm = neutral[ball] - centre
        for way, (dx, dy) in {"Out": (outward, 0), "In": (-outward, 0), "Up": (0, 1), "Down": (0, -1)}.items():
            if (name := f"eyeLook{way}_{side}") not in names:
                continue
            sin, cos = np.sin(GAZE), np.cos(GAZE)
            across = arm[:, 0] * dx + arm[:, 1] * dy
            forward = cos * arm[:, 2] - sin * across
            sideways = cos * across + sin * arm[:, 2]
            moved = np.stack([dx * (sideways - across), dy * (sideways - across), forward - arm[:, 2]], 1)
            turned[names.index(name), ball] = moved
    return turned


def _centroid(points: Array, triangles: Array) -> Array:
    """Centroid of the surface, weighted by area: a denser mesh around the mouth does not pull it down."""
    corners = points[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return (corners.mean(1) * area[:, None]).sum(0) / area.sum()


def _albedo(neutral: Array, landmarks: Array) -> Array:
    """A plain colour for every part; lips and brows by their landmarks, irises by their place on the eyeball."""
    x, y, z = neutral.T
    colour = np.tile(np.array(SKIN), (len(neutral), 1))

    def paint(weight: Array, rgb: tuple[float, float, float]) -> None:
        colour[:] = colour + np.asarray(weight, float)[:, None] * (np.array(rgb) - colour)

    skin = np.arange(len(neutral)) < PARTS["mouth"]
    points = neutral[landmarks][:, :2]
    paint(np.clip((y - 9.5 + np.clip(4.5 - z, 0, 7) * 0.9) / 1.2, 0, 1) * skin * (y > -4), HAIR)
    front = skin & (z > 5)
    paint(np.clip(0.5 + _inside(neutral[:, :2], points[layout.OUTER_MOUTH]) / 0.2, 0, 1) * front, LIPS)
    for brow in (layout.LEFT_BROW, layout.RIGHT_BROW):
        paint(0.8 * np.clip(1.3 - _distance(neutral[:, :2], points[brow]) / 0.35, 0, 1) * front, BROW)
    for part, rgb in COLOURS.items():
        colour[_part(part)] = rgb
    inside = np.r_[_part("mouth"), _part("gums"), _part("teeth")]
    colour[inside] *= np.clip((z[inside] - 4.5) / 5.5, 0.2, 1)[:, None]  # no light falls far into a mouth
    for ball in _eyeballs(neutral):
        centre = (neutral[ball].min(0) + neutral[ball].max(0)) / 2
        off = np.hypot(x - centre[0], y - centre[1]) + 9 * (z < centre[2])
        for radius, rgb in ((0.62, RIM), (0.54, IRIS), (0.24, PUPIL)):
            paint(ball * np.clip((radius - off) / 0.05 + 0.5, 0, 1), rgb)
    return colour


def _distance(points: Array, line: Array) -> Array:
    """To the nearest point of a chain of segments."""
    a, b = line[:-1], line[1:]
    t = ((points[:, None] - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1)
    nearest = a + np.clip(t, 0, 1)[..., None] * (b - a)
    return np.linalg.norm(points[:, None] - nearest, axis=-1).min(1)


def _inside(points: Array, polygon: Array) -> Array:
    """Distance to a polygon's rim, positive inside (even-odd rule)."""
    ring = np.concatenate([polygon, polygon[:1]])
    a, b = ring[:-1], ring[1:]
    y = points[:, 1:]
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    slope = (b[:, 0] - a[:, 0]) / np.where(b[:, 1] == a[:, 1], 1, b[:, 1] - a[:, 1])
    inside = (crosses & (points[:, :1] < a[:, 0] + (y - a[:, 1]) * slope)).sum(1) % 2 == 1
    return np.where(inside, 1, -1) * _distance(points, ring)
