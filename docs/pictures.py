"""Pictures for the pages on conventions, drawn from the library's own procedural head: nobody real is in them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from visemix.face import FACE, FaceModel
from visemix.ops.camera import project, square_camera
from visemix.ops.rotation import pose_points
from visemix.render import RENDER
from visemix.types import Motion, Space, Subject

SIDE = 320
RIGHT = np.array([60, 0])  # room for words beside the head
LIGHT = torch.tensor([0.0, -0.12, 0.2, 0.06, 0.0, 0.0, 0.0, 0.0, 0.0]).repeat(3)  # from the front and a little above
STYLE = """<style>text { font: 13px system-ui, sans-serif; fill: #555 } .small { font-size: 9px }
.number { font-size: 12px; fill: #013 }
.x { stroke: #d33; fill: #d33 } .y { stroke: #2a2; fill: #2a2 } .z { stroke: #36d; fill: #36d }
.x, .y, .z { stroke-width: 2.5 } text.x, text.y, text.z { stroke: none; font-weight: 600 }
.thin { stroke: #888; fill: none } .point { fill: #0a7f78 } .box { fill: #0a7f7822; stroke: #0a7f78 }</style>"""


def draw(folder: Path) -> None:
    """Write all of them into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in {
        "axes": axes,
        "camera": camera,
        "landmarks": landmarks,
        "clock": clock,
        "pixels": pixels,
    }.items():
        (folder / f"{name}.svg").write_text(make(), encoding="utf-8")
    poses = [[0.35, 0, 0], [-0.35, 0, 0], [0, 0.5, 0], [0, -0.5, 0], [0, 0, 0.35], [0, 0, -0.35]]
    names = [f"{axis} {sign} {abs(sum(pose))}" for pose, axis, sign in zip(poses, "xxyyzz", "+−" * 3, strict=True)]
    tiles([head(pose=pose) for pose in poses], names, 6, folder / "angles.svg")
    tiles(*expressions(), 6, folder / "expressions.svg")


@cache
def face() -> FaceModel:
    return FACE.build({"name": "toy"})


def head(
    pose: Sequence[float] = (0, 0, 0), expression: torch.Tensor | None = None, size: int = SIDE, zoom: float = 1
) -> np.ndarray:
    """The head as the renderer `mesh` draws it, (H, W, 3), 8 bits, on white."""
    still = subject(pose, size, zoom)
    motion = Motion(still.expression if expression is None else expression.view(1, 1, -1), Space.EXPRESSION)
    with torch.no_grad():
        picture = RENDER.build({"name": "mesh", "over": "footage"}, face())(motion, still).frames[0, 0]
    return (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def lens(size: int, zoom: float) -> torch.Tensor:
    """The square camera with its focal length times `zoom`."""
    return square_camera(size) * torch.tensor([zoom, 1, 1])


def subject(pose: Sequence[float], size: int, zoom: float) -> Subject:
    """The mean head before a white wall, turned by three angles."""
    return Subject(
        speaker=("nobody",),
        identity=torch.zeros(1, face().identity.shape[-1]),
        expression=torch.zeros(1, 1, face().width(Space.EXPRESSION)),
        pose=torch.tensor([*pose, 0.0, 0.0, 0.0]).float().view(1, 1, 6),
        camera=lens(size, zoom).view(1, 3),
        light=LIGHT.view(1, 1, 27),
        albedo=face().albedo.view(1, -1, 3),
        footage=torch.ones(1, 1, 3, size, size),
    )


def seen(points: torch.Tensor, pose: Sequence[float] = (0, 0, 0), size: int = SIDE, zoom: float = 1) -> np.ndarray:
    """Points of the face's own frame in pixels of `head`'s picture, (N, 2)."""
    moved = pose_points(points, torch.tensor([*pose, 0.0, 0.0, 0.0]).float())
    return project(moved, lens(size, zoom))[:, :2].numpy()


def svg(width: float, height: float, parts: Sequence[str]) -> str:
    view = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}">'
    return "\n".join([view, STYLE, f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>', *parts, "</svg>"])


def bitmap(picture: np.ndarray, x: float = 0, y: float = 0, size: float = SIDE) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "jpeg", quality=90)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<image x="{x}" y="{y}" width="{size}" height="{size}" href="data:image/jpeg;base64,{data}"/>'


def line(a: Sequence[float], b: Sequence[float], kind: str = "thin") -> str:
    return f'<line class="{kind}" x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"/>'


def text(at: Sequence[float], words: str, kind: str = "", anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}">{words}</text>'


def axes() -> str:
    """The three axes of model space out of a head that is turned a little."""
    pose, zoom = (0.25, -0.55, 0.0), 0.7
    origin, *ends = seen(torch.tensor([[0, 0, 0], [1.3, 0, 0], [0, 1.4, 0], [0, 0, 1.9]]), pose, zoom=zoom)
    names = {"x": "x, right in the picture", "y": "y, up", "z": "z, toward the viewer"}
    parts = [bitmap(head(pose, zoom=zoom), x=RIGHT[0])]
    for (name, words), end in zip(names.items(), ends, strict=True):
        start, tip = origin + RIGHT, end + RIGHT
        parts += [line(start, tip, name), f'<circle class="{name}" cx="{tip[0]:.1f}" cy="{tip[1]:.1f}" r="4"/>']
        parts.append(text((tip[0], tip[1] + (-10 if name == "y" else 20)), words, name))
    return svg(SIDE + 120, SIDE, parts)


def camera() -> str:
    """From the side: head, picture and pinhole, with the distances between."""
    side, ten, middle = 170, 420, 90  # px: the head's picture, ten decimetres, height of the axis
    hole, plane = (90 + ten, middle), 90 + ten - 95
    parts = [bitmap(head((0, 1.5708, 0), zoom=0.65), 90 - side / 2, middle - side / 2, side)]
    parts += [line((90, middle + dy), hole) for dy in (-62, 62)] + [line((90, middle), hole, "z")]
    parts += [line((plane, middle - 14), (plane, middle + 14), "z"), text((plane, middle - 24), "picture")]
    parts += [f'<circle class="point" cx="{x}" cy="{middle}" r="5"/>' for x in (90, hole[0])]
    parts += [text((hole[0], middle + 24), "pinhole"), text((90 + ten / 2, middle - 8), "10 dm along z")]
    return svg(560, 180, [*parts, text((180, middle + 24), "origin, in the head", anchor="start")])


def landmarks() -> str:
    """The 68 points on a head whose mouth is a little open, with their numbers."""
    size, zoom, top = 760, 1.25, 150
    open_mouth = torch.tensor([0.3 * (name == "jaw_drop") for name in face().expression_names])
    moved = face().landmarks(Motion(open_mouth.view(1, 1, -1), Space.EXPRESSION), subject((0, 0, 0), size, zoom))
    points = seen(moved[0, 0], size=size, zoom=zoom) - [0, top]
    parts = [bitmap(head(expression=open_mouth, size=size, zoom=zoom), y=-top, size=size)]
    for number, (x, y) in enumerate(points):
        parts += [f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>', text((x, y - 5), str(number), "number")]
    return svg(size, size - top, parts)


def clock() -> str:
    """Frames of pictures, of features, of motion and of sound on one time axis."""
    wide, left = 110, 90
    rows = ["sound", "features", "motion", "video"]
    words = ["640 samples", "one row (C)", "one row (D)", "one picture"]
    parts = []
    for k, (name, word) in enumerate(zip(rows, words, strict=True)):
        parts.append(text((left - 10, 33 + 40 * k), name, anchor="end"))
        for frame in range(4):
            x = left + frame * wide
            parts.append(f'<rect class="box" x="{x + 2}" y="{14 + 40 * k}" width="{wide - 4}" height="30"/>')
            parts.append(text((x + wide / 2, 33 + 40 * k), word))
    parts += [text((left + frame * wide, 190), f"{40 * frame} ms") for frame in range(5)]
    return svg(left + 4 * wide + 30, 200, parts)


def pixels() -> str:
    """Where the centres of pixels are."""
    cell, left, top = 60, 40, 40
    parts = [text((left + cell * j, top - 12), str(j)) for j in range(4)]
    parts += [text((left - 14, top + cell * i + 4), str(i)) for i in range(3)]
    for i in range(2):
        for j in range(3):
            x, y = left + cell * j, top + cell * i
            parts.append(f'<rect class="thin" x="{x}" y="{y}" width="{cell}" height="{cell}"/>')
            parts.append(f'<circle class="point" cx="{x + cell / 2}" cy="{y + cell / 2}" r="3"/>')
            parts.append(text((x + cell / 2, y + cell / 2 + 18), f"({j}.5, {i}.5)", "small"))
    parts += [text((left + 3 * cell + 18, top + 4), "x"), text((left, top + 2 * cell + 20), "y")]
    return svg(270, 190, parts)


def expressions() -> tuple[list[np.ndarray], list[str]]:
    """The mean head with each coefficient at its highest, and their names."""
    high = face().expression_range[:, 1]
    names = face().expression_names or [str(k) for k in range(len(high))]
    return [head(expression=torch.diag(high)[k]) for k in range(len(high))], list(names)


def tiles(pictures: Sequence[np.ndarray], names: Sequence[str], columns: int, path: Path) -> None:
    """Pictures in a grid, a name under each, as one SVG."""
    side, high = 118, 138
    parts = []
    for k, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        x, y = k % columns * side, k // columns * high
        small = np.asarray(Image.fromarray(picture[24:-24, 24:-24]).resize((2 * side, 2 * side), Image.Resampling.BOX))
        parts += [bitmap(small, x, y, side), text((x + side / 2, y + side + 13), name, "small")]
    path.write_text(svg(columns * side, -(-len(pictures) // columns) * high, parts), encoding="utf-8")
