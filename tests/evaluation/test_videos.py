import io
import json
from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from clip_maker import make
from rich.console import Console
from tiny_videos import write

import visemix.evaluation.pair
from visemix.evaluation.result import Details, read_result
from visemix.evaluation.videos import evaluate, options_of
from visemix.face import FACE
from visemix.metrics import VideoSequence
from visemix.nn.lpips import Features
from visemix.ops.store import sha256
from visemix.prepare.track import Track, Tracker
from visemix.report.console import table
from visemix.types import VisemixError

PICTURES = ["psnr", "psnr_pooled", "ssim", "ssim_rgb"]
NAMES = {"psnr", "ssim", "ssim_rgb", "cpbd", "lmd", "lmd_norm", "lm3d_mse", "lve", "fid", "av_offset", "lse_c", "lse_d"}
NAMES |= {"lpips", "csim", "jitter", "psnr_face", "ssim_face", "cpbd_face", "lmd_face", "lpips_face"}


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return list(rng.integers(60, 200, (20, 48, 64, 3), dtype=np.uint8))


@pytest.fixture
def tracked(monkeypatch):
    """In mediapipe's place: 68 points in a box, scaled with brightness; frames in the answered set are lost."""
    lost = set()

    class Pretend(Tracker):
        def __call__(self, frames):
            shape = np.random.default_rng(1).uniform(15, 40, (68, 2))
            points = np.stack([shape * (1 + 0.001 * float(frame.mean())) for frame in frames])
            present = np.array([t not in lost for t in range(len(points))])
            return [Track(0, present, points.astype(np.float32))]

    monkeypatch.setattr(visemix.evaluation.pair, "make_tracker", lambda: (Pretend(), ""))
    return lost


def test_the_report_keeps_its_contract(tmp_path, pictures, tracked):
    real = write(tmp_path / "real/a.mp4", pictures)
    write(tmp_path / "real/b.mp4", pictures[:10])
    write(tmp_path / "fake/a.mp4", [frame // 2 for frame in pictures])
    write(tmp_path / "fake/b.mp4", [255 - frame for frame in pictures[:8]])
    out = tmp_path / "deep/report.json"
    report = evaluate(tmp_path / "real", tmp_path / "fake", out=out, progress=False, weights=tmp_path)
    found = json.loads(out.read_text())
    assert found == report.to_json() and read_result(out).to_json() == found
    assert NAMES <= set(report.summary) == set(report.truth) == set(report.details)
    names = {"lmd", "lmd_norm", *PICTURES}
    for name in names | {f"{name}_face" for name in names}:
        row = report.summary[name]
        assert set(found["summary"][name]) == {"value", "status", "unit", "variant", "region"}
        assert row.status == "ok" and isinstance(row.value, float)
        of_clips = [report.clips[clip].metrics[name] for clip in ("a", "b")]
        assert row.value == pytest.approx((of_clips[0].value + of_clips[1].value) / 2)
        assert [len(clip.frames) for clip in of_clips] == [20, 8]
    assert report.clips["b"].notes == ["real has 10 frames and fake 8; the first 8 are compared"]
    assert report.clips["a"].real == real and found["clips"]["a"]["real"] == str(real)
    assert report.summary["psnr_face"].region == "face"
    low, high = report.details["ssim"].interval
    assert low == min(of_clips := [report.clips[clip].metrics["ssim"].value for clip in ("a", "b")])
    assert high == max(of_clips) and report.details["fid"].interval is None
    assert report.details["psnr"].truth_reason.endswith("pictures are equal to the bit")
    assert report.details["psnr"].caution is None
    truth = {name: (row.value, row.status) for name, row in report.truth.items()}
    assert truth["psnr"] == (None, "inf") and truth["ssim_face"] == (1.0, "ok") and truth["lmd"] == (0.0, "ok")
    assert report.clips["b"].truth["ssim"].frames == (1.0,) * 8
    reasons = {name: report.details[name].reason for name, row in report.summary.items() if row.value is None}
    assert "has no whole block" in reasons["cpbd"] and "no sound track" in reasons["avproxy_offset"]
    assert "visemix prepare" in reasons["lm3d_mse"] and f"{tmp_path / 'syncnet_v2.model'} not found" in reasons["lse_c"]
    assert report.unmet(["psnr", "lse_c", "cbpd"]) == [
        "cbpd was not asked for",
        f"lse_c is unavailable: {reasons['lse_c']}",
    ]


def test_scores_are_those_of_the_decoded_pictures(tmp_path, pictures):
    fakes = [np.clip(frame.astype(int) + 10, 0, 255).astype(np.uint8) for frame in pictures]
    real, fake = write(tmp_path / "r.mp4", pictures), write(tmp_path / "f.mp4", fakes)
    decoded = []
    for path in (real, fake):
        with av.open(str(path)) as container:
            decoded.append(np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]).astype(float))
    errors = ((decoded[0] - decoded[1]) ** 2).mean((1, 2, 3))
    report = evaluate(real, fake, ["psnr", "psnr_pooled"], progress=False)
    assert report.summary["psnr"].value == pytest.approx((10 * np.log10(255**2 / errors)).mean(), abs=1e-9)
    assert report.summary["psnr_pooled"].value == pytest.approx(10 * np.log10(255**2 / errors.mean()), abs=1e-9)


def test_a_video_beside_itself(tmp_path, pictures, tracked):
    real = write(tmp_path / "real.mp4", pictures)
    report = evaluate(real, real, out=tmp_path / "r.json", progress=False)
    assert report.summary["psnr"].value is None
    assert report.summary["psnr"].status == "inf"
    assert report.clips["real"].metrics["psnr"].frames == (float("inf"),) * 20
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["clips"]["real"]["metrics"]["psnr"]["frames"] == ["inf"] * 20
    assert report.summary["ssim"].value == 1.0
    assert report.summary["lmd"].value == 0.0


def test_a_prepared_recordings_lag_is_taken_out_of_what_compares_mouths(tmp_path, pictures, tracked):
    clip = make(tmp_path / "anna_000", FACE.build({"name": "toy"}), frames=20, size=64)
    with (clip.path / "meta.yaml").open("a") as file:
        file.write("lip_sync: {follows: true, lag: -3, z: 5.0, correlation: 0.5}\n")
    fake = write(tmp_path / "fake.mp4", [np.full((64, 64, 3), 60 + 5 * t, np.uint8) for t in range(20)])
    report = evaluate(clip.path, fake, ["lmd", "lmd@lag", "psnr"], progress=False)
    rows = report.summary
    assert rows["lmd@lag"].status == "ok" and rows["lmd@lag"].value != rows["lmd"].value
    assert report.details["lmd@lag"].frames == 17 and report.truth["lmd@lag"].value == 0.0
    (note,) = next(iter(report.clips.values())).notes
    assert note == "the real one's sound is 3 frames late; scores that end in @lag take that out"
    console = Console(file=io.StringIO(), width=160)
    console.print(table(report))
    assert "lmd@lag" in console.file.getvalue() and "3 frames late" in console.file.getvalue()
    report = evaluate(clip.path, clip.path, ["lmd@lag"], progress=False)
    assert report.summary["lmd@lag"].value == 0.0  # the recording itself
    report = evaluate(fake, fake, ["lmd@lag"], progress=False)
    assert "visemix prepare" in report.details["lmd@lag"].reason


@pytest.mark.parametrize(("lag", "source", "known"), [(3, "a", 3), (0, "a", 0), (None, "a", 0), (3, "b", 0)])
def test_a_fake_has_a_lag_only_where_it_is_the_recording_or_has_its_motion(lag, source, known):
    fake, real = VideoSequence(lag=lag, source=source), VideoSequence(lag=3, source="a")
    assert visemix.evaluation.pair.with_known_lag(fake, real).lag == known


def test_the_sound_of_a_video_ends_with_the_frames_that_are_compared(tmp_path, monkeypatch):
    video = tmp_path / "fake.mp4"
    video.write_bytes(b"")
    monkeypatch.setattr(visemix.evaluation.pair, "read_sound", lambda path: torch.arange(100_000.0))
    sequence = visemix.evaluation.pair.read_sequence(video, 60, None, frozenset({"sound"}), {})
    assert torch.equal(sequence.sound, torch.arange(38_400.0))


def test_names_of_metrics_are_whole_on_a_narrow_console(tmp_path, pictures, tracked):
    for name in ("a", "b"):
        write(tmp_path / f"real/{name}.mp4", pictures)
    report = evaluate(tmp_path / "real", tmp_path / "real", ["opening_corr@0", "opening_corr@lag"], progress=False)
    console = Console(file=io.StringIO(), width=60)
    console.print(table(report))
    assert "opening_corr@0 " in console.file.getvalue() and "opening_corr@lag " in console.file.getvalue()


def test_too_many_frames_without_a_face_make_a_landmark_score_invalid(tmp_path, pictures, tracked):
    tracked.update({3, 4})
    real = write(tmp_path / "real.mp4", pictures)
    report = evaluate(real, real, ["ssim", "lmd"], progress=False)
    assert report.summary["lmd"].value is None
    assert report.summary["lmd"].status == "invalid"
    assert "no face was found in 2 of 20 frames" in report.details["lmd"].reason
    assert str(report.clips["real"].metrics["lmd"].frames[2:5]) == "(0.0, nan, nan)"
    assert report.to_json()["clips"]["real"]["metrics"]["lmd"]["frames"][2:5] == [0.0, None, None]
    assert report.clips["real"].notes == [f"{side}: no face in 2 of 20 frames" for side in ("real", "fake")]
    assert report.summary["ssim"].status == "ok"


def test_without_a_tracker_landmark_metrics_say_so_and_the_others_are_scored(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(visemix.evaluation.pair, "make_tracker", lambda: (None, "mediapipe is not installed"))
    real = write(tmp_path / "real.mp4", pictures[:2])
    report = evaluate(real, real, ["ssim", "lmd", "ssim_face"], progress=False)
    status = {name: row.status for name, row in report.summary.items()}
    assert status == {"ssim": "ok", "lmd": "unavailable", "ssim_face": "unavailable"}
    console = Console(file=io.StringIO(), width=160)
    console.print(table(report))
    text = console.file.getvalue()
    assert text.count("n/a¹") == 4 and text.count("mediapipe is not installed") == 1


def test_an_existing_report_is_kept_and_unknown_metrics_refused_before_any_work(tmp_path):
    out = tmp_path / "r.json"
    out.write_text("mine")
    with pytest.raises(VisemixError, match="exists and is kept"):
        evaluate(tmp_path / "none", tmp_path / "none", out=out)
    assert out.read_text() == "mine"
    with pytest.raises(VisemixError, match="no metric named 'pnsr'; did you mean 'psnr'"):
        evaluate(tmp_path / "none", tmp_path / "none", ["pnsr"])


def test_mediapipe_finds_the_same_mouth_in_a_slightly_worse_copy_of_a_real_clip(tmp_path, assets):
    pytest.importorskip("mediapipe")
    with av.open(str(assets / "clips/WDA_KatieHill_000.mp4")) as container:
        frames = [f.to_ndarray(format="rgb24") for f, _ in zip(container.decode(video=0), range(16), strict=False)]
    for name in ("darker", "late"):
        write(tmp_path / f"real/{name}.mp4", frames)
    write(tmp_path / "fake/darker.mp4", [frame - frame // 16 for frame in frames])
    write(tmp_path / "fake/late.mp4", frames[5:] + frames[:5])
    report = evaluate(tmp_path / "real", tmp_path / "fake", ["lmd", "lmd_norm"], progress=False)
    lmd = {name: clip.metrics["lmd"].value for name, clip in report.clips.items()}
    assert 0 < lmd["darker"] < 1.0 < 3.0 < lmd["late"] < 10
    eyes = lmd["late"] / report.clips["late"].metrics["lmd_norm"].value
    assert 140 < eyes < 165  # px, between the outer corners


def test_the_numbers_do_not_depend_on_how_many_pairs_are_measured_at_a_time(tmp_path, pictures):
    for name, frames in {"a": pictures[:6], "b": pictures[6:9]}.items():
        write(tmp_path / f"real/{name}.mp4", frames)
        write(tmp_path / f"fake/{name}.mp4", [frame - frame // 16 for frame in frames])
    reports = [
        evaluate(tmp_path / "real", tmp_path / "fake", ["psnr_pooled", "ssim"], progress=False, jobs=jobs)
        for jobs in (1, 2)
    ]
    assert reports[0] == reports[1]
    assert reports[0].details["psnr_pooled"].frames == 9


def test_weights_that_are_brought_give_a_number_beside_their_sha256(tmp_path, pictures):
    torch.manual_seed(0)
    torch.save(Features("alex").state_dict(), tmp_path / "alexnet-owt-7be5be79.pth")
    digest = sha256(tmp_path / "alexnet-owt-7be5be79.pth")
    large = [np.tile(frame, (2, 2, 1)) for frame in pictures[:2]]
    real = write(tmp_path / "r.mp4", large)
    fake = write(tmp_path / "f.mp4", [frame // 2 for frame in large])
    refused, accepted = (
        evaluate(real, fake, ["lpips"], progress=False, weights=tmp_path, options=options_of(options))
        for options in ([], [f"lpips.sha256={digest}"])
    )
    assert refused.summary["lpips"].status == "invalid" and digest in refused.details["lpips"].reason
    assert accepted.summary["lpips"].value > 0 and accepted.truth["lpips"].value == 0
    assert accepted.details["lpips"].weights["sha256"] == digest


def test_prepared_clips_are_compared_in_3d(tmp_path, face):
    make(tmp_path / "real/a", face)
    make(tmp_path / "fake/a", face)
    report = evaluate(tmp_path / "real", tmp_path / "fake", ["lm3d_mse", "lm3d_l2", "lve"], progress=False)
    assert {name: row.value for name, row in report.summary.items()} == {"lm3d_mse": 0, "lm3d_l2": 0, "lve": 0}
    assert report.summary["lve"].unit == "mm²"
    assert report.details["lm3d_mse"].frames == 20


def test_an_option_of_a_metric_that_is_not_measured_is_refused(tmp_path):
    with pytest.raises(VisemixError, match="options are given for 'fid', which is not measured"):
        evaluate(tmp_path, tmp_path, ["psnr"], options={"fid": {"sha256": ""}})
    with pytest.raises(VisemixError, match=r"write metric\.option=value"):
        options_of(["sha256"])


def test_the_console_says_what_to_know_of_a_number_and_why_the_recording_has_none(tmp_path, pictures):
    report = evaluate(write(tmp_path / "r.mp4", pictures[:2]), tmp_path / "r.mp4", ["ssim", "lse_d"], progress=False)
    report.summary["lse_d"] = replace(report.summary["lse_d"], value=-1e-9, status="ok")
    report.details["lse_d"] = Details(caution="of 2 frames", truth_reason="r: the mouth is lost", ideal=0.0)
    report.truth["lse_d"] = replace(report.truth["lse_d"], status="invalid")
    console = Console(file=io.StringIO(), width=160)
    console.print(table(report))
    text = console.file.getvalue()
    assert "0.0000¹" in text and "-0.0000" not in text and "n/a²" in text
    assert "¹ lse_d of 2 frames" in text and "² invalid: r: the mouth is lost" in text


def test_the_console_prints_intervals_over_several_clips(tmp_path, pictures):
    for name, level in {"a": 3, "b": 9}.items():
        write(tmp_path / f"real/{name}.mp4", pictures[:2])
        write(tmp_path / f"fake/{name}.mp4", [frame + level for frame in pictures[:2]])
    report = evaluate(tmp_path / "real", tmp_path / "fake", ["psnr"], progress=False)
    console = Console(file=io.StringIO(), width=160)
    console.print(table(report))
    values = sorted(clip.metrics["psnr"].value for clip in report.clips.values())
    assert "{:.4g} – {:.4g}".format(*values) in console.file.getvalue()


def test_the_console_calls_no_number_of_a_lag_detector_better(tmp_path, pictures):
    write(tmp_path / "r.mp4", pictures[:2])
    report = evaluate(tmp_path / "r.mp4", tmp_path / "r.mp4", ["psnr", "avproxy_corr@0"], progress=False)
    columns = {column.header: [str(cell) for cell in column.cells] for column in table(report).columns}
    assert dict(zip(columns["metric"], columns["better"], strict=True)) == {"psnr": "higher", "avproxy_corr@0": ""}
