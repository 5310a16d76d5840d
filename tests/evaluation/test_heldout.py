import os

import pytest
import torch
from omegaconf import OmegaConf

import visemix.evaluation.pair
from visemix.data import read_video, write_clip
from visemix.data.media import probe
from visemix.evaluation.heldout import evaluate_run, evaluate_speech, held_out, read_config, write_held_out
from visemix.evaluation.pair import read_sequence
from visemix.evaluation.spans import predict_motion, recorded_motion, render_motion
from visemix.face import FACE
from visemix.generation import LoopedFootage
from visemix.ops.store import read_tensors, write_tensors
from visemix.pipeline import TalkingFace
from visemix.report.sources import method
from visemix.run import complete_config
from visemix.types import SAMPLES_PER_FRAME, VisemixError

FRAMES, HELD = 15, 5
CONFIG = {
    "name": "tiny",
    "face": {"name": "toy"},
    "audio": {"name": "mel", "dim": 8},
    "motion": {"name": "regression", "hidden": 8},
    "render": {"name": "mesh"},
    "data": {"name": "clips", "root": "clips", "holdout": HELD / 25},
    "train": {"name": "cpu", "motion": {"window": 5}, "render": {"window": 1}},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run over one clip, with weights as they are drawn: what it makes is wrong, but it is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(visemix.evaluation.pair, "make_tracker", lambda: (None, "no tracker in this test"))
    write(FACE.build({"name": "toy"}), tmp_path / "clips/anna_000")
    return save(tmp_path / "run")


def write(face, path):
    g = torch.Generator().manual_seed(0)
    low, high = face.expression_range.T
    tensors = {
        "wave": torch.rand(FRAMES * SAMPLES_PER_FRAME, generator=g) - 0.5,
        "identity": torch.zeros(face.identity.shape[-1]),
        "expression": low + (high - low) * torch.rand(FRAMES, len(low), generator=g),
        "pose": torch.zeros(FRAMES, 6),
        "camera": torch.tensor([290.0, 32.0, 32.0]),
        "light": torch.zeros(FRAMES, 27),
        "albedo": face.albedo,
        "landmarks": torch.zeros(FRAMES, 68, 2),
        "error": torch.zeros(FRAMES),
    }
    pictures = [torch.full((3, 64, 64), 10 * k, dtype=torch.uint8) for k in range(FRAMES)]
    write_clip(path, tensors, pictures, {"source": {"sha256": "ab12"}}, face=face)


def save(folder, trained=("motion", "render"), loaded=(), **changes):
    cfg = complete_config(OmegaConf.merge(CONFIG, changes))
    folder.mkdir()
    OmegaConf.save(cfg, folder / "config.yaml")
    TalkingFace.from_config(cfg).save(folder / "model.safetensors", trained=list(trained), loaded=list(loaded))
    return folder


@pytest.mark.parametrize(("over", "words"), [("footage", "painted: the face; hair"), ("black", "painted: the whole")])
def test_scores_say_what_of_the_picture_was_painted(over, words, run, tmp_path):
    other = save(tmp_path / over, render={"name": "mesh", "over": over})
    assert evaluate_run(other, ["psnr"], progress=False).notes[0].startswith(words)


def test_a_run_is_scored_on_what_its_training_held_out(run, tmp_path):
    report = evaluate_run(run, ["psnr", "ssim"], tmp_path / "mine.json", progress=False)
    assert report.clips["anna_000"].frames == HELD
    assert report.summary["psnr"].status == "ok" and report.truth["psnr"].status == "inf"
    assert (tmp_path / "mine.json").read_text() == (run / "held_out/scores.json").read_text()
    real = read_video(run / "held_out/real/anna_000.mp4").float()
    assert len(read_video(run / "held_out/fake/anna_000.mp4")) == HELD
    assert real.mean((1, 2, 3)).tolist() == pytest.approx([10 * k for k in range(FRAMES - HELD, FRAMES)], abs=1.5)


def test_videos_are_made_once_and_anew_after_training_goes_on(run):
    (fake,) = write_held_out(run, progress=False)
    before = fake.stat().st_mtime_ns
    write_held_out(run, progress=False)
    assert fake.stat().st_mtime_ns == before
    later = fake.stat().st_mtime + 10
    os.utime(run / "model.safetensors", (later, later))
    write_held_out(run, progress=False)
    assert fake.stat().st_mtime_ns != before


def test_sound_drives_a_run_whose_motion_was_trained_and_the_recording_drives_the_others(run):
    model = TalkingFace.from_checkpoint(run)
    (span,) = held_out(read_config(run), model, spoken=True)
    subject = span.clip.subject(range(FRAMES - HELD, FRAMES), reference=0)
    with torch.inference_mode():
        wanted = {
            True: model(span.clip.speech(FRAMES - HELD, HELD), subject).frames,
            False: model.draw(span.clip.clip(range(FRAMES - HELD, FRAMES)).motion, subject).frames,
        }
    assert not torch.equal(wanted[True], wanted[False])
    footage = LoopedFootage(span.clip, HELD, start=span.start)
    for spoken, frames in wanted.items():
        motion = predict_motion(model, span, footage) if spoken else recorded_motion(span)
        made = torch.cat([video.frames for video in render_motion(model, motion, footage, batch=2)], 1)
        torch.testing.assert_close(made, frames, atol=1e-4, rtol=0)


def test_a_stretch_is_heard_with_as_much_around_it_as_the_encoder_asks_for(run, monkeypatch):
    model, heard = TalkingFace.from_checkpoint(run), []
    (span,) = held_out(read_config(run), model, spoken=True)
    model.audio.context, speak = (3, 2), model.stream_speech_motion
    monkeypatch.setattr(
        model, "stream_speech_motion", lambda speech, still: heard.append(speech) or speak(speech, still)
    )
    predict_motion(model, span, LoopedFootage(span.clip, HELD, start=span.start))
    assert torch.equal(heard[0].wave, span.clip.speech(FRAMES - HELD, HELD).wave)
    assert torch.equal(heard[0].before, span.clip.speech(FRAMES - HELD - 3, 3).wave)
    assert torch.equal(heard[0].after, torch.zeros(1, 2 * SAMPLES_PER_FRAME))  # nothing was recorded after it


def test_a_clip_without_speech_is_painted_from_its_recording_unless_motion_was_to_be_learnt_from_it(
    run, tmp_path, caplog
):
    meta = tmp_path / "clips/anna_000/meta.yaml"
    meta.write_text(meta.read_text().replace("audio: speech", "audio: silent"))
    with pytest.raises(VisemixError, match="anna_000 is silent"):
        write_held_out(run, progress=False)
    other = save(tmp_path / "spoken for", trained=["render"], loaded=["motion"])
    (fake,) = write_held_out(other, progress=False)
    assert "anna_000 holds no speech: what is scored is painted from its recorded motion" in caplog.text
    real = read_tensors(other / "held_out/real/anna_000.fit.safetensors")[0]["fit"]
    assert torch.equal(read_tensors(fake.with_suffix(".fit.safetensors"))[0]["fit"], real)


def test_errors_in_3d_are_those_of_the_motion_itself(run):
    report = evaluate_run(run, ["lm3d_l2"], progress=False)
    model = TalkingFace.from_checkpoint(run)
    (span,) = held_out(read_config(run), model, spoken=True)
    subject = span.clip.subject(range(span.start, span.stop), footage=False)
    with torch.inference_mode():
        spoken = model.motion(model.audio(span.clip.speech(span.start, HELD)), subject)
    points = [model.face.landmarks(motion, subject)[0] for motion in (recorded_motion(span), spoken)]
    wanted = 100 * (points[0] - points[1]).norm(dim=-1).mean()  # a decimetre is 100 mm
    assert report.summary["lm3d_l2"].value == pytest.approx(float(wanted), rel=1e-3)
    assert report.truth["lm3d_l2"].value == 0.0


def test_a_held_out_video_remembers_the_recording_that_it_is_of(run):
    (fake,) = write_held_out(run, progress=False)
    for video in (fake, run / "held_out/real/anna_000.mp4"):
        sequence = read_sequence(video, HELD, None, frozenset({"fit"}), {})
        assert sequence.source == "ab12" and sequence.fit.shape == (HELD, 68, 3)


def lagged(folder, lag):
    with (folder / "clips/anna_000/meta.yaml").open("a") as file:
        file.write(f"lip_sync: {{follows: true, lag: {lag}, z: 5.0, correlation: 0.5}}\n")


def test_a_recording_with_a_lag_is_also_compared_by_the_sounds_clock(run, tmp_path):
    names = ["lm3d_l2", "lm3d_l2@lag", "psnr"]
    unknown = evaluate_run(run, names, progress=False)
    assert "lag is not known" in unknown.details["lm3d_l2@lag"].reason
    lagged(tmp_path, 2)
    report = evaluate_run(run, names, progress=False, overwrite=True)
    real, fake = (read_tensors(run / f"held_out/{side}/anna_000.fit.safetensors") for side in ("real", "fake"))
    assert (real[1]["lag"], fake[1]["lag"]) == (2, 0)
    wanted = 100 * (real[0]["fit"][2:] - fake[0]["fit"][:-2]).norm(dim=-1).mean()
    assert report.summary["lm3d_l2@lag"].value == pytest.approx(float(wanted), rel=1e-5)
    assert report.truth["lm3d_l2@lag"].value == 0.0
    for name in ("lm3d_l2", "psnr"):
        assert report.summary[name] == unknown.summary[name]
    assert report.clips["anna_000"].notes == [
        "the real one's sound is 2 frames early; scores that end in @lag take that out"
    ]
    painted = save(tmp_path / "painted", trained=("render",))  # by what was recorded, late as it is
    found = evaluate_run(painted, ["lm3d_l2@lag"], progress=False)
    assert found.summary["lm3d_l2@lag"].value == 0.0


def test_a_run_with_a_target_is_scored_on_the_target(run, tmp_path):
    write(FACE.build({"name": "toy"}), tmp_path / "person/dora_000")
    data = {"target": "person", "clips": ["anna_000"], "val_speakers": ["anna"]}
    assert list(evaluate_run(save(tmp_path / "shown", data=data), ["psnr"], progress=False).clips) == ["dora_000"]


def test_the_person_says_what_others_say_and_only_what_needs_no_truth_is_scored(run, tmp_path):
    for name in ("emil_000", "fay_000"):
        write(FACE.build({"name": "toy"}), tmp_path / "others" / name)
    scores = evaluate_speech(run, tmp_path / "others", progress=False)
    assert {name: clip.frames for name, clip in scores.clips.items()} == {"emil_000": HELD, "fay_000": HELD}
    assert [*scores.summary] == [
        *("fid", "lse_c", "lse_d", "av_offset", "avproxy_corr@0", "avproxy_offset", "avproxy_peak_z", "jitter")
    ]
    own, foreign = (
        read_video(run / folder).float() for folder in ("foreign/real/fay_000.mp4", "foreign/fake/fay_000.mp4")
    )
    assert own.mean((1, 2, 3)).tolist() == pytest.approx([10 * k for k in range(FRAMES - HELD, FRAMES)], abs=1.5)
    assert own.shape == foreign.shape and not torch.equal(own, foreign)
    assert all(probe(run / f"foreign/{side}/fay_000.mp4").sound for side in ("real", "fake"))
    assert "sound" not in scores.details["avproxy_corr@0"].reason
    silent = save(tmp_path / "silent", trained=("render",))
    with pytest.raises(VisemixError, match=r"the motion stage of .* was never trained, so it cannot say what it hears"):
        evaluate_speech(silent, tmp_path / "others", progress=False)


def test_clips_that_have_moved_are_found_where_the_caller_says(run, tmp_path):
    (tmp_path / "clips").rename(tmp_path / "elsewhere")
    with pytest.raises(VisemixError, match="clips"):
        write_held_out(run, progress=False)
    assert len(write_held_out(run, clips=tmp_path / "elsewhere", progress=False)) == 1


def test_motion_alone_is_scored_by_the_mesh_which_draws_untrained(run, tmp_path):
    scores = evaluate_run(save(tmp_path / "spoken", trained=("motion",)), ["psnr"], progress=False)
    assert scores.summary["psnr"].status == "ok"


def test_what_cannot_be_scored_is_said_in_a_sentence(run, tmp_path):
    with pytest.raises(VisemixError, match=r"nowhere is no run folder \(it has no config\.yaml\)"):
        evaluate_run(tmp_path / "nowhere")
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(VisemixError, match=r"mine\.json exists and is kept"):
        evaluate_run(run, out=tmp_path / "mine.json")
    whole = save(tmp_path / "whole", data={"holdout": 0.0})
    with pytest.raises(VisemixError, match="run 'tiny' holds nothing out"):
        evaluate_run(whole, progress=False)
    small = {"name": "taft", "base": 4, "max_channels": 8}
    unpainted = save(tmp_path / "unpainted", trained=("motion",), render=small)
    with pytest.raises(VisemixError, match=r"the render stage of .* was never trained"):
        evaluate_run(unpainted, progress=False)
    (whole / "model.safetensors").unlink()
    with pytest.raises(VisemixError, match="no trained model at"):
        evaluate_run(whole, progress=False)


def test_a_run_never_names_code_and_only_who_scores_it_does(run, tmp_path):
    evil = tmp_path / "evil.py"
    evil.write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("plugins: []", f"plugins: [{evil}]"))
    evaluate_run(run, ["psnr"], progress=False)
    method("theirs", run)
    assert not (tmp_path / "ran").exists()
    evaluate_run(run, ["psnr"], progress=False, plugins=[evil])
    assert (tmp_path / "ran").exists()


def test_a_run_of_a_part_that_nobody_here_knows_says_how_to_bring_it(run):
    weights, notes = read_tensors(run / "model.safetensors")
    notes["config"]["motion"]["name"] = "of_somebody_else"
    write_tensors(run / "model.safetensors", weights, notes)
    with pytest.raises(VisemixError, match=r"no motion model named 'of_somebody_else'.* --plugin FILE"):
        evaluate_run(run, ["psnr"], progress=False)
