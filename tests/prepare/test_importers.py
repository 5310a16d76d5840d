import json
import re

import pytest
import soundfile
import torch
from tiny_videos import beeps, grey

from visemix.data import VideoWriter, read_sound, read_video
from visemix.prepare.importers import export_clips
from visemix.report import png
from visemix.types import VisemixError


def film(path, frames=50, height=48, width=64):
    """Frame k has grey 4k; its left half is red, its sound is loud at every fifth frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = torch.arange(frames).mul(4).to(torch.uint8)[:, None, None, None].repeat(1, 3, height, width)
    pictures[:, 1:, :, : width // 2] = 0
    with VideoWriter(path, sound=beeps(frames), crf=4) as out:
        out.write(pictures)


def numbers(video):
    """Which frame each is, by the grey of its right edge."""
    return [round(float(frame[1, :, -4:].float().mean()) / 4) for frame in read_video(video)]


@pytest.fixture
def hdtf(tmp_path):
    root = tmp_path / "HDTF"
    film(root / "videos/KatieHill.mp4")
    (root / "WDA_annotion_time.txt").write_text("KatieHill.mp4 00:00-00:01 00:01-00:02\nNobody.mp4 00:00-00:01\n")
    (root / "WDA_crop_wh.txt").write_text(
        "KatieHill_0.mp4 64 48 0 48\nKatieHill_1.mp4 64 64 wide\nNobody_0.mp4 0 9 0 9\n"
    )
    (root / "WDA_resolution.txt").write_text("KatieHill.mp4 96\nNobody.mp4 720\n")
    return root


def test_hdtf_is_cut_by_its_lists_at_the_resolution_they_were_made_for(hdtf, tmp_path):
    made, _ = export_clips("hdtf", hdtf, tmp_path / "out")
    assert [path.name for path in made] == ["WDA_KatieHill_000.mp4"]
    video = read_video(made[0])
    assert video.shape == (25, 3, 24, 24)  # 48 of 96 lines, of a picture with 48
    assert numbers(made[0]) == list(range(25))
    assert video[20, 1].min() > 60  # from x = 32 on nothing is red
    assert len(read_sound(made[0])) == pytest.approx(16000, abs=1100)


def test_entries_of_hdtf_that_are_broken_are_named_and_skipped(hdtf, tmp_path):
    _, broken = export_clips("hdtf", hdtf, tmp_path / "out")
    assert set(broken) == {"WDA_KatieHill_001", "WDA_Nobody_000"}
    assert "crop_wh" in broken["WDA_KatieHill_001"] and "no Nobody.mp4" in broken["WDA_Nobody_000"]


HEAD = "Identity  : \tid00017\nReference : \tvideo1\nOffset    : \t-2\n\nFRAME \tX \tY \tW \tH\n"


def test_voxceleb_is_cut_around_all_boxes_of_a_clip(tmp_path):
    root = tmp_path / "vox"
    film(root / "videos/video1.mp4")
    folder = root / "txt/id00017/video1"
    folder.mkdir(parents=True)
    lines = [f"{k:06d} \t{0.6 + 0.005 * k:.3f} \t0.2 \t0.2 \t0.4" for k in range(10, 20)]
    (folder / "00001.txt").write_text(HEAD + "\n".join(lines) + "\n")
    (folder / "00002.txt").write_text(HEAD)
    lost = root / "txt/id00018/gone"
    lost.mkdir(parents=True)
    (lost / "00001.txt").write_text(HEAD + "000001 \t0.1 \t0.1 \t0.5 \t0.5\n")
    made, broken = export_clips("voxceleb", root, tmp_path / "out")
    assert [path.stem for path in made] == ["id00017_00000"]
    assert numbers(made[0]) == list(range(10, 20))
    # boxes reach from (0.65 … 0.895) · 64 and (0.2 … 0.6) · 48; a tenth more on each side is 18.8 by 23.04
    assert read_video(made[0]).shape[2:] == (22, 22)
    assert set(broken) == {"id00017_00001", "id00018_00000"}
    assert "no lines" in broken["id00017_00001"] and "no gone.mp4" in broken["id00018_00000"]


def test_boxes_of_voxceleb_in_pixels_are_taken_as_such(tmp_path):
    root = tmp_path / "vox"
    film(root / "video1.mp4")
    folder = root / "txt/id10270/video1"
    folder.mkdir(parents=True)
    (folder / "0000001.txt").write_text(HEAD + "000000 \t36 \t10 \t20 \t20\n000001 \t36 \t10 \t20 \t20\n")
    (made,), broken = export_clips("voxceleb", root, tmp_path / "out")
    assert read_video(made).shape == (2, 3, 24, 24) and not broken


def test_lrs3_clips_are_taken_as_they_are_and_numbered_by_person(tmp_path):
    root = tmp_path / "lrs3"
    for part, number in (("pretrain", "00001"), ("trainval", "50001"), ("test", "00001")):
        film(root / part / "Ab12" / f"{number}.mp4", 8)
        (root / part / "Ab12" / f"{number}.txt").write_text("Text:  HELLO\nConf:  4\n")
    (root / "pretrain/Ab12/00007.txt").write_text("Text:  GONE\n")
    (root / "test/Ab12/00009.txt").write_text("\x00\x01")
    made, broken = export_clips("lrs3", root, tmp_path / "out")
    assert len(made) == 3 and all(path.stem.startswith("Ab12_") for path in made)
    assert all(numbers(path) == list(range(8)) for path in made)
    assert len(broken) == 2 and any("00007.mp4" in reason for reason in broken.values())


@pytest.fixture
def person(tmp_path):
    folder = tmp_path / "May"
    (folder / "ori_imgs").mkdir(parents=True)
    for k, picture in enumerate(grey(12, 32)):
        (folder / "ori_imgs" / f"{k}.png").write_bytes(png(picture.permute(1, 2, 0).contiguous().numpy()))
    for part, ids in (("train", range(9)), ("val", range(9, 12))):
        frames = [{"img_id": k, "aud_id": k, "transform_matrix": torch.eye(4).tolist()} for k in ids]
        told = {"focal_len": 1200, "cx": 16, "cy": 16, "frames": frames}
        (folder / f"transforms_{part}.json").write_text(json.dumps(told))
    soundfile.write(folder / "aud.wav", beeps(12).numpy(), 16000)
    return folder


def test_a_person_of_adnerf_becomes_a_video_of_all_frames(person, tmp_path):
    (made,), broken = export_clips("adnerf", person, tmp_path / "out")
    assert made.stem == "May_000" and not broken
    assert [round((float(frame.float().mean()) - 16) / 8) for frame in read_video(made)] == list(range(12))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda folder: (folder / "transforms_val.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "aud.wav").unlink(), r"no aud\.wav"),
        (lambda folder: (folder / "transforms_train.json").unlink() or _shift(folder), "one after another"),
        (lambda folder: (folder / "ori_imgs/5.png").unlink(), r"no .*5\.jpg"),
        (lambda folder: (folder / "ori_imgs/5.png").write_bytes(b"no"), "not a readable picture"),
    ],
)
def test_a_person_that_is_broken_is_named(person, tmp_path, harm, reason):
    harm(person)
    made, broken = export_clips("adnerf", person, tmp_path / "out")
    assert made == [] and list(broken) == ["May_000"] and re.search(reason, broken["May_000"])
    assert not list((tmp_path / "out").glob("*.mp4"))


def _shift(folder):
    (folder / "transforms_val.json").write_text(json.dumps({"frames": [{"img_id": 1}, {"img_id": 4}]}))


def test_what_was_cut_out_is_kept(person, tmp_path):
    (made,), _ = export_clips("adnerf", person, tmp_path / "out")
    before = made.stat().st_mtime_ns
    export_clips("adnerf", person, tmp_path / "out")
    assert made.stat().st_mtime_ns == before


@pytest.mark.parametrize("layout", ["hdtf", "voxceleb", "lrs3", "adnerf"])
def test_a_folder_of_another_layout_is_refused(layout, tmp_path):
    with pytest.raises(VisemixError, match="holds no"):
        export_clips(layout, tmp_path, tmp_path / "out")


def test_unknown_layouts_and_folders_are_refused(tmp_path):
    with pytest.raises(VisemixError, match="choose hdtf, voxceleb, lrs3, adnerf"):
        export_clips("mead", tmp_path, tmp_path / "out")
    with pytest.raises(VisemixError, match="no folder"):
        export_clips("lrs3", tmp_path / "none", tmp_path / "out")
