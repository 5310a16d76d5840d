import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from typer.testing import CliRunner

from visemix.cli.app import app
from visemix.data import write_clip
from visemix.evaluation import pair
from visemix.face import FACE
from visemix.ops.extras import NotInstalled
from visemix.report import make
from visemix.types import SAMPLES_PER_FRAME, VisemixError

FAKES = Path(__file__).parents[1] / "fake_parts.py"
EXPERIMENT = """\
# Does the command line work?
use: {face: toy, audio: mel, motion: a2ep, render: mesh, data: clips}
audio: {dim: 8}
motion: {dim: 8, heads: 2, feedforward: 8}
train:
  motion: {steps: 2, window: 5, log_every: 1}
  render: {steps: 1, batch: 1}
data: {holdout: 0.2}
"""
HELP = """
import sys
from visemix.cli.app import app
try:
    app(["--help"])
finally:
    assert "torch" not in sys.modules
"""


def visemix(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with an experiment, one clip of 20 frames and a second of noise as speech."""
    monkeypatch.chdir(tmp_path)
    face, frames = FACE.build({"name": "toy"}), 20
    g = torch.Generator().manual_seed(0)
    tensors = {
        "wave": torch.rand(frames * SAMPLES_PER_FRAME, generator=g) - 0.5,
        "identity": torch.zeros(face.identity.shape[-1]),
        "expression": torch.rand(frames, face.expression.shape[-1], generator=g) * 0.1,
        "pose": torch.zeros(frames, 6),
        "camera": torch.tensor([290.0, 32.0, 32.0]),
        "light": torch.zeros(frames, 27),
        "albedo": face.albedo,
        "landmarks": torch.zeros(frames, 68, 2),
        "error": torch.zeros(frames),
    }
    pictures = [torch.full((3, 64, 64), 100, dtype=torch.uint8)] * frames
    write_clip(tmp_path / "clips" / "anna_000", tensors, pictures, {}, face=face)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "tiny.yaml").write_text(EXPERIMENT)
    soundfile.write(tmp_path / "speech.wav", torch.rand(16_000, generator=g).numpy() - 0.5, 16_000)
    return tmp_path


def test_help_names_every_command_and_loads_no_torch():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    for command in ("prepare", "fit", "generate", "evaluate", "report", "study", "parts", "show", "doctor"):
        assert f"\n  {command} " in done.stdout


def test_from_an_experiment_to_a_video(project):
    fitted = visemix("fit", "tiny", "data.root=clips", "device=cpu")
    assert fitted.exit_code == 0, fitted.output
    run = Path(fitted.stdout.splitlines()[-1])
    assert run.parent == Path("runs/tiny") and len(run.name) == 8
    assert {"config.yaml", "metrics.csv", "model.safetensors"} <= {path.name for path in run.iterdir()}

    shown = visemix("show", "tiny", "data.root=clips", "device=cpu")
    assert shown.stdout.splitlines()[0] == f"# {run}"
    config, _, departures = shown.stdout.partition("# departs from the papers in:\n")
    assert (run / "config.yaml").read_text() == "\n".join(config.splitlines()[1:]) + "\n"
    assert "# - motion.dim is 8, not 1024 (the paper, V-B)" in departures.splitlines()

    made = visemix("generate", run, "--audio", "speech.wav", "--target", "clips/anna_000", "--out", "talk.mp4")
    assert made.exit_code == 0, made.output
    assert made.stdout == "talk.mp4\n" and Path("talk.mp4").stat().st_size > 1000

    kept = visemix("generate", run, "--audio", "speech.wav", "--target", "clips/anna_000", "--out", "talk.mp4")
    assert (kept.exit_code, kept.stderr.count("\n")) == (2, 1)
    assert "talk.mp4 exists and is kept; choose another name or pass --overwrite (overwrite=True from" in kept.stderr

    scored = visemix("evaluate", "talk.mp4", "talk.mp4", "--metrics", "psnr,ssim", "--out", "scores.json")
    assert scored.exit_code == 0, scored.output
    summary = json.loads(Path("scores.json").read_text())["summary"]
    assert (summary["ssim"]["value"], summary["psnr"]["status"]) == (1.0, "inf")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["fit", "tyni"], "no experiment 'tyni'; did you mean 'tiny'?"),
        (["fit", "tiny", "data.root=clips", "motion.layer=2"], "has no option 'layer'; did you mean 'layers'?"),
        (["fit", "tiny", "data.root=clips", "use.motion=a2pe"], "no motion model named 'a2pe'; did you mean 'a2ep'?"),
        (
            ["fit", "tiny", "data.root=nowhere"],
            "no prepared clips in nowhere; make some with visemix prepare VIDEO",
        ),
        (
            ["fit", "tiny", "data.root=data/corpus"],
            "no prepared clips in data/corpus; make some with visemix corpus --out data/corpus (synthetic people) or "
            "visemix prepare VIDEO … --out data/corpus",
        ),
        (
            ["fit", "tiny", "data.root=data/corpus", "data.clips=[ada_000]"],
            "ada_000 is no prepared clip (no meta.yaml in it); make one with visemix corpus --out data/corpus (synth",
        ),
        (
            ["fit", "tiny"],
            "must be said (root): data.root=FOLDER (of clips, as visemix corpus or visemix prepare makes them)",
        ),
        (
            ["fit", "tiny", "data.root=clips", "steps=3"],
            "an experiment knows no 'steps': how a stage is trained is said by train.<stage>.steps",
        ),
        (
            ["fit", "tiny", "data.root=clips", "train.lr=3"],
            "train knows no 'lr': how a stage is trained is said by train.<stage>.lr",
        ),
        (
            ["fit", "tiny", "data.root=clips", "motion.steps=3"],
            "motion model 'a2ep' knows no 'steps': how a stage is trained is said by train.motion.steps",
        ),
        (
            ["fit", "tiny", "data.root=clips", "face.ema=3"],
            "face model 'toy' knows no 'ema': how a stage is trained is said by train.<stage>.ema",
        ),
        (["show", "tiny", "motoin.layers=2"], "knows no 'motoin'; did you mean 'motion'?"),
        (
            ["prepare", "experiments/tiny.yaml", "--out", "clips2", "--face", "ickt"],
            "no face model named 'ickt'; did you mean 'ict'?",
        ),
        (
            ["generate", "runs/x", "--audio", "speech.wav", "--target", "clips/anna_000", "--out", "a.mp4"],
            "no trained model at",
        ),
    ],
)
def test_what_the_user_can_put_right_is_one_sentence_and_exit_code_2(project, args, sentence):
    result = visemix(*args)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.strip().count("\n") == 0 and "Traceback" not in result.stderr


def test_a_stage_without_a_part_is_asked_for_as_an_experiment_says_it(project):
    Path("experiments/none.yaml").write_text("use: {face: toy, audio: mel, motion: a2ep, data: clips}\n")
    done = visemix("fit", "none", "data.root=clips")
    assert done.exit_code == 2 and "which renderer? say its name (have: " in done.stderr
    assert "as `use: {render: NAME}` in an experiment; visemix parts describes them" in done.stderr


LAMP = """
from visemix.render import RENDER, Renderer
from visemix.types import Space

@RENDER.register("lamp")
class Lamp(Renderer):
    space = Space.EXPRESSION
    works_untrained = True

    def forward(self, motion, subject):
        return subject.footage

    def loss(self, motion, subject, target):
        return {"image": motion.values.sum()}
"""


def test_a_renderer_of_ones_own_that_answers_with_a_bare_tensor_is_named(project):
    Path("lamp.py").write_text(LAMP)
    words = ("use.render=lamp", "fit=[motion]", f"plugins=[{project / 'lamp.py'}]")
    fitted = visemix("fit", "tiny", "data.root=clips", "device=cpu", *words)
    assert fitted.exit_code == 0, fitted.output
    run = fitted.stdout.splitlines()[-1]
    made = visemix("generate", run, "--audio", "speech.wav", "--target", "clips/anna_000", "--out", "a.mp4")
    assert made.exit_code == 2 and not Path("a.mp4").exists()
    assert made.stderr.endswith("visemix: the renderer Lamp answers with a Tensor; it must be a visemix.types.Video\n")


@pytest.mark.parametrize("args", [["fitt"], ["fit"], ["generate", "run"], ["prepare", "x.mp4"]])
def test_a_wrong_command_line_is_exit_code_2(args):
    assert visemix(*args).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (VisemixError("mend it."), 2, "visemix: mend it.\n"),
        (NotInstalled("bring it."), 2, "visemix: bring it.\n"),
        (OSError(28, "No space left on device"), 2, "visemix: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), 130, "visemix: stopped"),
        (ZeroDivisionError("by nought"), 3, "visemix: unexpected ZeroDivisionError: by nought (--debug shows where)\n"),
    ],
)
def test_every_error_has_its_code_and_a_sentence(monkeypatch, error, code, said):
    def fails(*_):
        raise error

    monkeypatch.setattr("visemix.run.load_experiment", fails)
    result = visemix("fit", "tiny")
    assert result.exit_code == code
    assert result.stderr.startswith(said)


@pytest.mark.parametrize("args", [["--debug", "fit", "no_such"], ["fit", "no_such", "--debug"]])
def test_debug_anywhere_on_the_line_shows_the_traceback(args):
    assert isinstance(visemix(*args).exception, VisemixError)


def test_a_run_is_evaluated_and_reported_and_asked_about(project, monkeypatch):
    for place in (pair, make):
        monkeypatch.setattr(place, "make_tracker", lambda: (None, "no tracker in this test"))
    fitted = visemix("fit", "tiny", "data.root=clips", "data.holdout=0.4", "device=cpu")
    run = Path(fitted.stdout.splitlines()[-1])
    scored = visemix("evaluate", run, "--metrics", "psnr,ssim", "--table", "scores.tex")
    assert scored.exit_code == 0, scored.output
    assert (run / "held_out/fake/anna_000.mp4").is_file() and "psnr" in Path("scores.tex").read_text()
    told = visemix("report", f"ours={run}", "--out", "page.html", "--table", "scores.md")
    assert told.exit_code == 0 and told.stdout.splitlines()[-1] == "page.html", told.output
    assert "| ours |" in Path("scores.md").read_text() and Path("page.html").stat().st_size > 10_000
    asked = visemix("study", f"recorded={run}/held_out/real", f"ours={run}", "--out", "study", "--seed", 1)
    assert asked.exit_code == 0, asked.output
    key = json.loads(Path("study/key.json").read_text())
    rows = [f"{key['study']},ben,{item},1,4,4,5" for item in key["items"]]
    Path("ben.csv").write_text("\n".join(["study,rater,item,position,lip_sync,video_realism,image_quality", *rows]))
    counted = visemix("study", "score", "ben.csv", "--key", "study/key.json", "--table", "study.csv")
    assert "| recorded | 4.00 | 4.00 | 5.00 |" in counted.stdout
    assert Path("study.csv").read_text().startswith("group,method,metric,value")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "nowhere"), "nowhere is no run folder (it has no config.yaml)"),
        (("evaluate", "clips", "clips", "--table", "t.doc"), "t.doc: tables are written as .md, .tex, .csv, .json"),
        (("report", "nowhere.json"), "cannot read nowhere.json"),
        (("study", "a=clips", "b=clips", "--out", "s"), "clips holds no videos"),
        (("study", "score", "speech.wav", "--key", "none.json"), "cannot read none.json"),
    ],
)
def test_what_people_look_at_is_refused_in_one_sentence_too(project, words, said):
    done = visemix(*words)
    assert done.exit_code == 2 and said in done.stderr.replace("\n", " "), done.output
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_metric_that_is_required_and_has_no_number_fails_the_command(project):
    words = ("evaluate", "clips", "clips", "--metrics", "psnr,fid", "--weights", "clips", "--require")
    lacking = visemix(*words, "psnr,fid")
    assert lacking.exit_code == 1 and "fid is unavailable: " in lacking.stderr, lacking.output
    assert "expected sha256 6726825d0af5f729" in lacking.stderr.replace("\n", " ")
    assert visemix(*words, "psnr").exit_code == 0
