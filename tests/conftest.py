import os
from pathlib import Path

import pytest
import torch

from visemix.corpus.make import corpus
from visemix.data import ClipFolder, find_clips
from visemix.face import FACE
from visemix.ops.camera import square_camera
from visemix.types import FPS, SAMPLES_PER_FRAME, Clip, Motion, Space, Speech, Subject, Video

HERE = Path(__file__).parent
SHARED = [path for path in HERE.rglob("*.py") if not path.name.startswith(("test_", "conftest"))]
collect_ignore = [str(path.relative_to(HERE)) for path in SHARED]  # what tests share, imported by name
if "PYTEST_XDIST_WORKER" in os.environ:  # workers, and the processes that they start, share the cores
    share = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ.setdefault("OMP_NUM_THREADS", str(share))
    torch.set_num_threads(share)


@pytest.fixture(scope="session")
def face():
    """The procedural head: every test may rely on it, nothing is downloaded."""
    return FACE.build({"name": "toy"})


@pytest.fixture
def clip(face):
    """Two subjects, ten frames, 64×64 pixels: the smallest thing that is a batch, has time and shows a face."""
    return make_clip(face)


def make_clip(face, batch=2, frames=10, size=64, seed=0):
    g = torch.Generator().manual_seed(seed)
    seconds = torch.arange(frames) / FPS
    low, high = face.expression_range.T
    wave = torch.rand(batch, frames * SAMPLES_PER_FRAME, generator=g) * 2 - 1
    expression = low + (high - low) * torch.rand(batch, frames, len(low), generator=g) * 0.5
    pose = torch.zeros(batch, frames, 6)
    pose[..., 1] = 0.1 * torch.sin(6 * seconds)
    light = torch.zeros(batch, frames, 27)
    picture = torch.rand(batch, frames, 3, size, size, generator=g)
    subject = Subject(
        speaker=tuple(f"speaker{i}" for i in range(batch)),
        identity=torch.randn(batch, face.identity.shape[-1], generator=g) * 0.3,
        expression=expression,
        pose=pose,
        camera=square_camera(size).expand(batch, 3),
        light=light,
        albedo=face.albedo.expand(batch, -1, 3),
        footage=picture,
        reference=picture[:, 0],
        labels=torch.full((batch, frames, size, size), 2, dtype=torch.uint8),
        background=torch.rand(batch, 3, size, size, generator=g),
    )
    return Clip(Speech(wave), Motion(expression, Space.EXPRESSION), subject, Video(picture))


@pytest.fixture(scope="session")
def footage(face, tmp_path_factory):
    """Six seconds of a synthetic person, who blinks; 64 pixels a side."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus(folder, speakers=1, minutes=0.1, size=64, seed=3, jobs=1)
    return ClipFolder(find_clips(folder)[0], face)


@pytest.fixture(scope="session")
def assets():
    """Real clips, speech and a real face model: where `VISEMIX_ASSETS` says, else the tests that want them skip."""
    folder = os.environ.get("VISEMIX_ASSETS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VISEMIX_ASSETS does not name a folder with clips/, speech/ and face/")
    return Path(folder)
