"""What is frozen of every metric: its rows of two clips, what they add up to, and what a suite says of them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from digests import digest, rounded
from frozen_parts import ours, toy
from safetensors.torch import save_file

from visemix.face import landmarks_2d
from visemix.metrics import METRICS, FrameBatch, Suite, VideoSequence
from visemix.nn.arcface import ArcFace
from visemix.nn.inception import Inception
from visemix.nn.lipsync import SyncNet
from visemix.nn.lpips import Features
from visemix.ops.camera import square_camera
from visemix.types import SAMPLES_PER_FRAME, Motion, Space, Subject

SIZE, FRAMES, SHOWN = 64, 100, 3  # pixels, frames of a take, and those of them that are looked at one by one


def cases():
    return {f"metric/{name}": lambda name=name: scored()[name] for name in ours(METRICS)}


@cache
def scored():
    """Of each metric by name what is frozen; all at once, for they share what they find out of a video."""
    with TemporaryDirectory() as folder:
        suite = Suite([options(name, Path(folder)) for name in ours(METRICS)])
        rows = {name: [] for name in suite.metrics}
        for name, metric in suite.metrics.items():
            metric.measure = noting(metric.measure, rows[name])
        clips = {}
        for seed in (1, 2):
            views, takes = pair(seed)
            suite.update(*views)
            clips[f"clip{seed}"] = suite.finish_clip(*takes)
        return {name: entry(suite, name, clips, rows[name]) for name in suite.metrics}


def noting(measure, rows):
    """The same, but what it answers is kept in `rows`."""

    def noted(*pair):
        answer = measure(*pair)
        rows.append(answer)
        return answer

    return noted


def entry(suite, name, clips, rows):
    metric = suite.metrics[name]
    scores = {clip: found[name] for clip, found in clips.items()}
    whole, pooled = suite.over_clips(name, scores), suite.pooled(name)
    found = {"unit": metric.unit, "per": metric.per, "options": METRICS.full({"name": name})}
    for clip, score in scores.items():
        value = None if score.value is None else rounded(score.value)
        found[clip] = {"value": value, "status": score.status, "frames": [rounded(x) for x in score.frames]}
        if score.lags:
            found[clip]["lags"] = digest(torch.tensor(score.lags))
    found["rows"] = [digest(each.nan_to_num(-1)) for each in rows]
    found["over_clips"] = None if whole.value is None else rounded(whole.value)
    return found | {"pooled": None if pooled is None else rounded(pooled)}


def options(name, folder):
    """With weights from a seed, as a user's own file: those that are "random" are no score."""
    if name not in NETS:
        return {"name": name}
    net, make = NETS[name]
    file = folder / f"{net}.safetensors"
    if not file.exists():
        save_file(make().state_dict(), file)
    depth = {"depth": "r18"} if name == "csim" else {}
    return {"name": name, "weights": str(file), "sha256": ""} | depth


def lively(net):
    """With weights from a seed through which a picture can still be told from another at the end."""
    torch.manual_seed(0)
    for weight in net.parameters():
        if weight.ndim > 1:
            torch.nn.init.kaiming_normal_(weight)
    return net


def syncnet():
    """What it sees and what it hears lie so near together that the zeros beyond the ends are no best lag."""
    net = lively(SyncNet())
    for head in (net.netfcaud, net.netfclip):
        torch.nn.init.constant_(head[-1].bias, 3e3)
    return net


NETS = {
    "csim": ("r18", lambda: lively(ArcFace("r18"))),
    "fid": ("inception", lambda: lively(Inception())),
    "lpips": ("alex", lambda: lively(Features("alex"))),
    "lpips_face": ("alex", lambda: lively(Features("alex"))),
    **dict.fromkeys(("av_offset", "av_offset_abs", "lse_c", "lse_d", "lse_d_at_0"), ("syncnet", syncnet)),
}


def pair(seed):
    """Of a fake and a real video: the views of a few frames, and the takes."""
    g = torch.Generator().manual_seed(seed)
    loud = torch.rand(FRAMES // 4, generator=g).repeat_interleave(4)
    loud[40:56] = 0
    noise = torch.randn(FRAMES, SAMPLES_PER_FRAME, generator=g)
    sound = (0.3 * loud[:, None] * noise).flatten()
    blocks = torch.randint(0, 256, (FRAMES, 3, 8, 8), generator=g)
    real = blocks.repeat_interleave(8, 2).repeat_interleave(8, 3)
    fake = (real + torch.randint(-9, 10, real.shape, generator=g)).clamp(0, 255)
    spoken = {"real": loud, "fake": 0.8 * loud.roll(1) + 0.1 * torch.rand(FRAMES, generator=g)}
    views, takes = [], []
    for name, pictures in (("fake", fake), ("real", real)):
        frames = pictures.to(torch.uint8)
        points, fit = face_of(spoken[name], g)
        views.append(FrameBatch(frames[:SHOWN], points[:SHOWN]))
        shown = list(frames.permute(0, 2, 3, 1).numpy())
        lag = {"fake": 0, "real": 1}[name]
        film = (lambda shown=shown: iter(shown)) if seed == 1 else None  # SyncNet takes six seconds a clip
        takes.append(VideoSequence(landmarks=points, sound=sound, fit=fit, pictures=film, lag=lag))
    return views, takes


def face_of(loud, g):
    """The landmarks in the picture and those of the fitted face where a mouth opens with the sound."""
    face = toy()
    low, high = face.expression_range.T
    expression = (low + (high - low) * (0.2 + 0.6 * loud[:, None]) * torch.linspace(0.2, 1, len(low)))[None]
    pose = torch.zeros(1, FRAMES, 6)
    pose[..., 3:] = 0.02 * torch.randn(FRAMES, 3, generator=g)
    still = {"identity": torch.zeros(1, face.identity.shape[-1]), "camera": square_camera(SIZE)[None]}
    timed = {"expression": expression, "pose": pose, "light": torch.zeros(1, FRAMES, 27)}
    subject = Subject(("a",), **still, **timed, albedo=face.albedo[None])
    offsets = face.convert(Motion(expression, Space.EXPRESSION), Space.LANDMARKS, subject).values
    return landmarks_2d(face, expression, subject)[0], offsets[0].unflatten(-1, (68, 3))
