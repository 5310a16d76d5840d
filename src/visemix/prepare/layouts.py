"""Data sets as their authors hand them out: which stretch of which file, which part of the picture, whose face."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from visemix.types import FPS, VisemixError

MARGIN = 0.1  # around a box that follows a face, of its size on every side (Siarohin et al. 2019)


@dataclass(frozen=True)
class Entry:
    """A clip to be cut out."""

    name: str  # the speaker, then a number
    source: Path  # a video, or a folder of numbered pictures
    start: float = 0.0  # seconds
    stop: float | None = None  # None: to the end
    box: tuple[float, float, float, float] | None = None  # left, top, width, height; None: all of the picture
    unit: float | None = None  # pixels of picture height that the box counts in; 1: parts of width and height
    sound: Path | None = None  # where it is not the video's own
    frames: tuple[int, ...] = ()  # of a folder of pictures


@dataclass(frozen=True)
class UnusableEntry:
    """A clip that cannot be cut out, and why."""

    name: str
    reason: str


def hdtf(root: Path) -> Iterator[Entry | UnusableEntry]:
    """HDTF: `<group>_annotion_time.txt` and `<group>_crop_wh.txt` anywhere below, for the groups RD, WDA, WRA.

    Lines are `KatieHill.mp4 00:05-03:20 …` and `KatieHill_0.mp4 left width top height`, the box in pixels of the
    height that `<group>_resolution.txt` names. Videos are found by name, with the group before it or without.

    Raises:
        VisemixError: `root` is not laid out so.
    """
    videos = {path.name: path for path in sorted(root.rglob("*.mp4"))}
    lists = sorted(root.rglob("*_annotion_time.txt"))
    if not lists:
        raise VisemixError(f"{root} holds no *_annotion_time.txt, as HDTF's lists are called; give the folder of them")
    for times in lists:
        group = times.name.removesuffix("_annotion_time.txt")
        boxes = _table(times.with_name(f"{group}_crop_wh.txt"))
        heights = _table(times.with_name(f"{group}_resolution.txt"))
        for video, spans in _table(times).items():
            stem = video.removesuffix(".mp4")
            path = videos.get(f"{group}_{video}", videos.get(video))
            for number, span in enumerate(spans):
                name = f"{group}_{stem}_{number:03d}"
                try:
                    start, stop = (_seconds(time) for time in span.split("-"))
                    left, width, top, height = (float(value) for value in boxes[f"{stem}_{number}.mp4"])
                    unit = float(heights[video][0])
                except KeyError as error:
                    yield UnusableEntry(name, f"{error.args[0]} stands in one of {group}'s lists only")
                except (ValueError, IndexError):
                    yield UnusableEntry(name, f"'{span}', or its line in {group}_crop_wh.txt, is not of HDTF's form")
                else:
                    if path is None:
                        yield UnusableEntry(name, f"there is no {video} below {root}")
                    else:
                        yield Entry(name, path, start, stop, (left, top, width, height), unit)


def voxceleb(root: Path) -> Iterator[Entry | UnusableEntry]:
    """VoxCeleb: `txt/<person>/<video>/<number>.txt`, and the whole videos `<video>.mp4` anywhere below.

    After a head of lines, each line is `frame x y w h`: 25 frames a second; the box in parts of the picture
    (VoxCeleb 2) or in pixels (VoxCeleb 1). A clip is the square around all of its boxes, and a tenth more.

    Raises:
        VisemixError: `root` is not laid out so.
    """
    videos = {path.stem: path for path in sorted(root.rglob("*.mp4"))}
    count: defaultdict[str, int] = defaultdict(int)
    found = sorted(root.glob("txt/*/*/*.txt")) or sorted(root.glob("*/txt/*/*/*.txt"))
    if not found:
        raise VisemixError(f"{root} holds no txt/<person>/<video>/<number>.txt, as VoxCeleb has them")
    for path in found:
        person, video = path.parts[-3], path.parts[-2]
        name = f"{person}_{count[person]:05d}"
        count[person] += 1
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\s*\d+\s", line)]
        try:
            places = [tuple(float(value) for value in row[:5]) for row in rows]
            frames, left, top, wide, high = zip(*places, strict=True)
        except ValueError:
            yield UnusableEntry(name, f"{path} has no lines of the form 'frame x y w h'")
            continue
        if video not in videos:
            yield UnusableEntry(name, f"there is no {video}.mp4 below {root}")
            continue
        right, bottom = max(map(sum, zip(left, wide, strict=True))), max(map(sum, zip(top, high, strict=True)))
        box = (min(left), min(top), right - min(left), bottom - min(top))
        box = (box[0] - MARGIN * box[2], box[1] - MARGIN * box[3], (1 + 2 * MARGIN) * box[2], (1 + 2 * MARGIN) * box[3])
        unit = 1.0 if max(wide) <= 1.5 else None
        yield Entry(name, videos[video], frames[0] / FPS, (frames[-1] + 1) / FPS, box, unit)


def lrs3(root: Path) -> Iterator[Entry | UnusableEntry]:
    """LRS3: `{pretrain,trainval,test}/<person>/<number>.mp4`, each with its text beside it; cut to the face already.

    Raises:
        VisemixError: `root` is not laid out so.
    """
    found = sorted(path for part in ("pretrain", "trainval", "test") for path in root.glob(f"{part}/*/*.txt"))
    if not found:
        raise VisemixError(f"{root} holds no pretrain, trainval or test/<person>/<number>.txt, as LRS3 has them")
    count: defaultdict[str, int] = defaultdict(int)
    for path in found:
        name = f"{path.parent.name}_{count[path.parent.name]:05d}"
        count[path.parent.name] += 1
        if not path.read_text(errors="replace", encoding="utf-8").startswith("Text:"):
            yield UnusableEntry(name, f"{path} does not begin with 'Text:'")
        elif not path.with_suffix(".mp4").is_file():
            yield UnusableEntry(name, f"there is no {path.with_suffix('.mp4')}")
        else:
            yield Entry(name, path.with_suffix(".mp4"))


def adnerf(root: Path) -> Iterator[Entry | UnusableEntry]:
    """AD-NeRF's and GeneFace's folder of a person (or a folder of such): `transforms_train.json` and
    `transforms_val.json`, pictures by number in `ori_imgs`, `gt_imgs` or `com_imgs`, and `aud.wav`; 25 a second.

    Raises:
        VisemixError: `root` is not laid out so.
    """
    found = sorted({path.parent for path in root.rglob("transforms_*.json")})
    if not found:
        raise VisemixError(f"{root} holds no transforms_train.json, as AD-NeRF's folders of a person do")
    for folder in found:
        name = f"{folder.name}_000"
        try:
            told = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("transforms_*.json"))]
            frames = tuple(sorted({int(frame["img_id"]) for each in told for frame in each["frames"]}))
        except (ValueError, KeyError, TypeError):
            yield UnusableEntry(name, f"a transforms_*.json in {folder} is damaged, or has no frames with an img_id")
            continue
        pictures = next((folder / n for n in ("ori_imgs", "gt_imgs", "com_imgs") if (folder / n).is_dir()), None)
        if pictures is None:
            yield UnusableEntry(name, f"{folder} has no ori_imgs, gt_imgs or com_imgs")
        elif not (folder / "aud.wav").is_file():
            yield UnusableEntry(name, f"{folder} has no aud.wav")
        elif not frames or frames[-1] - frames[0] + 1 != len(frames):
            yield UnusableEntry(name, f"the frames of {folder} are not numbered one after another")
        else:
            yield Entry(name, pictures, frames[0] / FPS, sound=folder / "aud.wav", frames=frames)


LAYOUTS: dict[str, Callable[[Path], Iterator[Entry | UnusableEntry]]] = {
    "hdtf": hdtf,
    "voxceleb": voxceleb,
    "lrs3": lrs3,
    "adnerf": adnerf,
}


def _table(path: Path) -> dict[str, list[str]]:
    """Rows of a text file: a name, and the words that follow it."""
    if not path.is_file():
        raise VisemixError(f"there is no {path}; HDTF's lists belong together")
    rows = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {row[0]: row[1:] for row in rows if row}


def _seconds(time: str) -> float:
    """Seconds of a time written as minutes and seconds, or with hours.

    >>> _seconds("01:05"), _seconds("1:00:00")
    (65.0, 3600.0)
    """
    total = 0.0
    for part in time.split(":"):
        total = 60 * total + float(part)
    return total
