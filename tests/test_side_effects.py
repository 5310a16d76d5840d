"""A library call leaves the process as it found it: what is the process' own is the command line's to set."""

import ast
import logging
import os
import random
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import standins  # noqa: F401 – registers its parts
import torch
from tiny_videos import beeps

from visemix.corpus.make import corpus
from visemix.data import VideoWriter
from visemix.evaluation.heldout import evaluate_run
from visemix.evaluation.videos import evaluate
from visemix.generation import generate
from visemix.ops.progress import Console
from visemix.ops.state import environment, preserve_rng, seeded
from visemix.pipeline import TalkingFace
from visemix.prepare.videos import prepare
from visemix.run import complete_config, fit

ROOT = Path(__file__).parents[1]
SHORT = {"steps": 2, "batch": 2, "window": 4, "val_every": 2, "log_every": 1}
PARTS = {
    "face": {"name": "toy"},
    "audio": {"name": "spectrum"},
    "motion": {"name": "gru"},
    "render": {"name": "dots"},
}


def marks():
    """What a process has only once."""
    return {
        "logging": logging.root.manager.disable,
        "levels": {
            name: logging.getLogger(name).level for name in ("", "visemix", "lightning", "lightning.pytorch", "rich")
        },
        "handlers": [*logging.root.handlers],
        "warnings": [*warnings.filters],
        "environment": dict(os.environ),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch": (torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()),
        "precision": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "signals": [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)],
        "folder": Path.cwd(),
    }


def draws():
    """Where the generators are that everyone shares; but for Python's own, which rich draws its styles' ids from."""
    _, keys, *place = np.random.get_state()  # noqa: NPY002
    return {"numpy": (keys.tobytes(), place), "torch": torch.get_rng_state().numpy().tobytes()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("side")
    corpus(out / "clips", speakers=1, minutes=0.06, size=64, seed=3)
    train = {"name": "cpu", "motion": SHORT, "render": SHORT}
    data = {"name": "clips", "root": str(out / "clips"), "holdout": 1.0}
    return fit(complete_config(PARTS | {"train": train, "data": data, "out": str(out / "runs"), "device": "cpu"}))


def make_corpus(folder, run):
    corpus(folder / "corpus", speakers=1, minutes=0.02, size=64, seed=4)


def train(folder, run):
    data = {"name": "noise"}
    made = fit(PARTS | {"train": {"motion": SHORT}, "fit": ["motion"], "data": data, "out": str(folder / "runs")})
    assert (made / "model.safetensors").is_file()


def load(folder, run):
    assert TalkingFace.from_checkpoint(run).render.space


def speak(folder, run):
    clip = next((run.parents[2] / "clips").iterdir())
    generate(run, clip / "sound.flac", clip, folder / "made.mp4", progress=False)


def film(folder, run):
    pictures = torch.full((12, 3, 96, 128), 40, dtype=torch.uint8)
    pictures[:, :, 30:60, 40:70] = 250
    with VideoWriter(folder / "film.mp4", sound=beeps(12)) as out:
        out.write(pictures)
    fakes = str(ROOT / "tests/fake_parts.py")
    parts = {"face": "toy", "tracker": "blobs", "fit": "still", "scene": None, "plugins": [fakes]}
    made = prepare([folder / "film.mp4"], folder / "out", size=64, holdout=0.0, console=Console(quiet=True), **parts)
    assert made.done == ["film"]


def score(folder, run):
    pictures = torch.randint(256, (6, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for name in ("real.mp4", "fake.mp4"):
        with VideoWriter(folder / name) as out:
            out.write(pictures)
    evaluate(folder / "real.mp4", folder / "fake.mp4", ["psnr", "ssim", "cpbd"], progress=False)


def score_run(folder, run):
    evaluate_run(run, ["psnr", "ssim"], overwrite=True, progress=False)


@pytest.mark.parametrize(
    "call", [make_corpus, train, load, speak, film, score, score_run], ids=lambda call: call.__name__
)
def test_a_library_call_leaves_no_mark_on_its_process(call, run, tmp_path):
    marked, drawn = marks(), draws()
    call(tmp_path, run)
    assert marks() == marked
    assert draws() == drawn


def test_training_is_drawn_from_its_own_seed_and_hands_the_generators_back():
    torch.manual_seed(5)
    before = draws()
    with seeded(1):
        first = (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002
    assert draws() == before
    with pytest.raises(KeyError), preserve_rng():
        torch.rand(3), random.random()
        raise KeyError
    assert draws() == before
    with seeded(1):
        assert (random.random(), np.random.rand(), torch.rand(1).item()) == first  # noqa: NPY002


def test_an_environment_variable_is_set_for_a_while_and_the_users_own_stays(monkeypatch):
    monkeypatch.setenv("VISEMIX_MINE", "mine")
    with environment(VISEMIX_MINE="ours", VISEMIX_OURS="ours"):
        assert (os.environ["VISEMIX_MINE"], os.environ["VISEMIX_OURS"]) == ("mine", "ours")
    assert os.environ["VISEMIX_MINE"] == "mine" and "VISEMIX_OURS" not in os.environ


MARKING = {
    "logging.disable", "logging.basicConfig", "warnings.filterwarnings", "warnings.simplefilter", "os.putenv",
    "os.environ.setdefault", "os.environ.update", "os.chdir", "signal.signal", "resource.setrlimit", "keep_memory",
    "torch.set_num_threads", "torch.set_num_interop_threads", "torch.manual_seed", "torch.set_default_dtype",
    "torch.set_float32_matmul_precision", "torch.use_deterministic_algorithms", "random.seed", "np.random.seed",
    "cv.setNumThreads", "cv2.setNumThreads", "seed_everything", "L.seed_everything", "matplotlib.use",
}  # fmt: skip
OWN = {"cli"}  # the command line's process is its own
WORKERS = {"_init_worker"}  # what a process of ours starts with
INSIDE = {"on_train_batch_start", "on_validation_batch_start"}  # called by `fit_stage`, which puts the draws back


def marked(source):
    """Lines that change the process, outside a context manager, which can put it back."""
    found = []

    def visit(node, free):
        if isinstance(node, ast.FunctionDef):
            contexts = {ast.unparse(one) for one in node.decorator_list}
            free = free or "contextmanager" in contexts or node.name in WORKERS | INSIDE
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        targets = [ast.unparse(one) for one in node.targets] if isinstance(node, ast.Assign) else []
        into = [one for one in targets if one.startswith(("os.environ[", "torch.backends.", "sys.path"))]
        if not free and (called in MARKING or called.endswith((".setLevel", "av.logging.set_level")) or into):
            found.append((node.lineno, called or into[0]))
        for child in ast.iter_child_nodes(node):
            visit(child, free)

    visit(ast.parse(source), False)
    return found


def test_what_belongs_to_the_process_is_changed_only_where_it_is_put_back():
    assert marked("def load():\n    os.environ['A'] = 'b'\n    log.setLevel(3)\n    torch.set_num_threads(1)\n") == [
        (2, "os.environ['A']"), (3, "log.setLevel"), (4, "torch.set_num_threads"),
    ]  # fmt: skip
    wrong = []
    for path in sorted((ROOT / "src/visemix").rglob("*.py")):
        top = path.relative_to(ROOT / "src/visemix").parts[0].removesuffix(".py")
        if top.split("_")[0] not in OWN:
            wrong += [f"{path.relative_to(ROOT)}:{line} {what}" for line, what in marked(path.read_text())]
    assert not wrong
