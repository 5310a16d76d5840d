"""Videos of bright squares for faces, prepared by parts that cost nothing."""

import io
from pathlib import Path

import av
import numpy as np
import torch
import yaml
from tiny_videos import beeps

from visemix.data import VideoWriter
from visemix.ops.progress import Console
from visemix.prepare.videos import prepare


def scene(frames=12, height=96, width=128, faces=((40, 30, 30),), shade=40, away=()):
    """Grey pictures with a white square (x, y, side) for each face, which moves right by a pixel a frame."""
    pictures = torch.full((frames, 3, height, width), shade, dtype=torch.uint8)
    for k in range(frames):
        for x, y, side in faces if k not in away else ():
            pictures[k, :, y : y + side, x + k : x + k + side] = 250
    return pictures


BEEPS = beeps(12)
FAKES = str(Path(__file__).with_name("fake_parts.py"))


def video(path, pictures=None, sound=BEEPS, **options):
    with VideoWriter(path, sound=sound) as out:
        out.write(scene(**options) if pictures is None else pictures)
    return path


def run(videos, out, **options):
    parts = {"face": "toy", "tracker": "blobs", "fit": "still", "scene": None, "plugins": [FAKES]}
    options = parts | {"size": 64, "holdout": 0.0} | options
    options.setdefault("console", Console(file=io.StringIO(), width=200))
    return prepare(videos, out, **options)


def refused(path, tmp_path, **options):
    """Why a video is refused; nothing but the log must be left."""
    result = run([path], tmp_path / "out", **options)
    assert result.exit_code == 2 and list(result.failed) == [path.stem]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["prepare.log.jsonl"]
    return result.failed[path.stem]


def meta(out, name):
    return yaml.safe_load((out / name / "meta.yaml").read_text())


def write_mkv(path, pictures, sound):
    blocks = (sound.numpy() * 32767).astype(np.int16).reshape(-1, 1, 640)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"tune": "zerolatency"})
        stream.height, stream.width = pictures.shape[2:]
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for k, picture in enumerate(pictures):
            if k < len(blocks):
                block = av.AudioFrame.from_ndarray(blocks[k], "s16", "mono")
                block.sample_rate, block.pts = 16_000, k * 640
                container.mux(audio.encode(block))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
