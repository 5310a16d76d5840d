import sys

import av
import numpy as np
import pytest
import torch
from html_reader import Reader

from visemix.data import FrameFile, VideoWriter
from visemix.demo import demo
from visemix.demo.make import GAUSSIANS, SCALES, TAFT, clear, config
from visemix.demo.page import strip
from visemix.demo.scores import Openings, mouths, scores
from visemix.run import complete_config
from visemix.types import VisemixError


def film(path, frames, crf=1):
    with VideoWriter(path, crf=crf) as writer:
        writer.write(frames)
    return path


@pytest.fixture
def still_mouth():
    """Landmarks of ten frames of 64 × 64 pixels: a mouth of 20 × 8 pixels in the middle, all else in a corner."""
    points = torch.full((10, 68, 2), 5.0)
    points[:, 48:68, 1] = torch.linspace(36, 44, 20)
    points[:, 48:68, 0] = torch.linspace(22, 42, 20)
    return points


def test_the_scores_of_the_mouth_are_over_its_box_alone(tmp_path, still_mouth):
    g = torch.Generator().manual_seed(0)
    real = torch.nn.functional.interpolate(torch.rand(10, 3, 8, 8, generator=g), size=64, mode="bicubic").clamp(0, 1)
    outside, inside = real.clone(), real.clone()
    outside[..., :20, :] = 1 - outside[..., :20, :]
    inside[..., 36:44, 24:40] = 0
    truth = film(tmp_path / "real.mp4", real)
    far, near = (scores(truth, film(tmp_path / f"{k}.mp4", f), still_mouth) for k, f in enumerate((outside, inside)))
    assert far["psnr"] < near["psnr"] and far["psnr_mouth"] > near["psnr_mouth"] + 10
    assert far["ssim"] < near["ssim"] and far["ssim_mouth"] > near["ssim_mouth"] + 0.1
    assert mouths(truth, still_mouth).shape == (10, 3, 20, 32)  # 20 × 8 pixels, and 6 more on every side


def test_openings_are_compared_in_shape_and_in_millimetres():
    true = np.array([0.0, 2.0, 4.0, 2.0])
    assert Openings(true, 3 * true + 1).correlation == pytest.approx(1)
    assert Openings(true, true[::-1]).error == pytest.approx((2 + 2 + 2 + 2) / 4)


def test_a_strip_is_eight_frames_in_the_order_of_time():
    frames = torch.arange(100, dtype=torch.uint8).reshape(100, 1, 1, 1).expand(100, 3, 4, 4)
    shown = strip(frames)
    assert shown.shape == (4, 32, 3)
    seen = shown[0, ::4, 0].tolist()
    assert seen == [11, 22, 33, 44, 55, 66, 77, 88]


@pytest.mark.parametrize("scale", SCALES)
def test_the_experiments_of_the_demo_are_complete_and_share_all_but_the_painter(scale, tmp_path):
    taft, gaussians = (complete_config(config(tmp_path, SCALES[scale], 3, file)) for file in (TAFT, GAUSSIANS))
    assert (taft.seed, taft.name, taft.face.name, taft.log.name) == (3, "demo", "toy", "csv")
    assert SCALES[scale].seconds - taft.data.holdout >= taft.train.motion.window / 25
    assert (taft.audio.name, taft.motion.name, taft.render.name) == ("mel", "a2ep", "taft")
    assert gaussians.render.name == "gaussians"
    assert {key for key in taft if taft[key] != gaussians[key]} == {"render", "train"}
    assert taft.train.motion == gaussians.train.motion


def test_a_finished_demo_is_kept_and_one_that_was_stopped_goes_on(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/clip").write_text("made")
    (tmp_path / "demo.mp4").write_text("half")
    clear(tmp_path, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["work"]
    (tmp_path / "report.html").write_text("done")
    with pytest.raises(VisemixError, match=r"report\.html exists and is kept; .*--overwrite"):
        demo(tmp_path)
    assert (tmp_path / "work/clip").exists() and (tmp_path / "report.html").read_text() == "done"
    clear(tmp_path, overwrite=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_demo_makes_a_video_with_sound_and_a_page_without_anything_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    page = demo(tmp_path / "out", scale="tiny", progress=False)
    assert page == tmp_path / "out/report.html"
    with av.open(str(tmp_path / "out/demo.mp4")) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, len(list(container.decode(video)))) == (64, 64, 25)
    assert "from nothing, in " in page.read_text() and "there already" not in page.read_text()
    found = Reader(page.read_text())
    assert (len(found.found["video"]), len(found.found["img"]), len(found.found["svg"])) == (4, 8, 4)
    assert {"ada", "ben", "Gaussians", "TAFT", "PSNR, mouth", "mouth opening, correlation with the truth"} <= set(
        found.words
    )
    before = [p.stat().st_mtime_ns for p in sorted((tmp_path / "out/work").rglob("*.safetensors"))]
    page.unlink()
    demo(tmp_path / "out", scale="tiny", progress=False)  # what is trained already is used again
    assert [p.stat().st_mtime_ns for p in sorted((tmp_path / "out/work").rglob("*.safetensors"))] == before
    assert "from nothing. " in page.read_text() and "there already" in page.read_text()
    assert len(FrameFile(tmp_path / "out/work/tiny-0/still.mp4")) == 25
