import csv
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from corpus_maker import QUIET, bytes_of, loudness, opening, recipe

from visemix.corpus.cast import cast
from visemix.corpus.clip_specs import make_clip
from visemix.corpus.make import corpus, plan_clips
from visemix.corpus.scene import FINER, Scene
from visemix.data import DATA, ClipFolder, Label
from visemix.face.shading import landmarks_2d, posed
from visemix.ops.camera import project
from visemix.ops.raster import rasterise_mask
from visemix.report.corpus_page import write_page
from visemix.types import VisemixError


@pytest.fixture(scope="module")
def folder(tmp_path_factory, face):
    """Two people, six seconds each."""
    out = tmp_path_factory.mktemp("corpus")
    for spec in plan_clips(recipe(out), 2, "train"):
        make_clip(recipe(out, seconds=6.0), spec, face)
    return out


@pytest.fixture
def ada(folder, face):
    return ClipFolder(folder / "ada_000", face)


def test_each_speaker_is_a_clip_like_a_prepared_one_with_labels(folder, face):
    assert sorted(path.name for path in folder.iterdir()) == ["ada_000", "ben_000"]
    clip = ClipFolder(folder / "ben_000", face)
    assert (clip.frames, clip.size, clip.speaker, clip.audio, clip.has_labels) == (150, 48, "ben", "speech", True)
    whole = clip.clip(range(20, 30))
    assert whole.video.frames.shape == (1, 10, 3, 48, 48) and whole.speech.wave.shape == (1, 6400)


def test_phonemes_stand_in_a_table_that_covers_the_clip(ada):
    with (ada.path / "phonemes.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["start", "end", "symbol"]
    spoken = ada.phonemes()
    assert spoken[0][0] == 0 and spoken[-1][1] == 6.0
    assert all(one[1] == other[0] for one, other in pairwise(spoken))
    assert len({symbol for *_, symbol in spoken}) > 8


def test_pauses_are_quiet_and_vowels_loud(ada):
    wave = ada.speech().wave[0]
    parts = {"_": [], "a": []}
    for start, end, symbol in ada.phonemes():
        kind = "_" if symbol == "_" else "a" if symbol in "aɑæʌɛ" else None
        if kind:
            parts[kind].append(wave[round(start * 16000) : round(end * 16000)])
    loud = {kind: torch.cat(each).square().mean().sqrt() for kind, each in parts.items()}
    assert loud["a"] > 10 * loud["_"]


def test_sound_shifted_by_k_frames_moves_the_best_lag_by_minus_k(ada, face):
    mouth = opening(ada, face)
    best = []
    for shift in (-5, 0, 3):
        loud = np.roll(loudness(ada), shift)[20:-20]
        scores = [np.corrcoef(mouth[20 + lag : len(mouth) - 20 + lag], loud)[0, 1] for lag in range(-12, 13)]
        best.append(int(np.argmax(scores)) - 12)
    assert best == [best[1] + 5, best[1], best[1] - 3]


def test_the_pictures_show_the_truth_that_is_stored(ada, face):
    subject = ada.subject(range(ada.frames))
    points = landmarks_2d(face, subject.expression, subject)[0]
    torch.testing.assert_close(ada.tensor("landmarks"), points, rtol=0, atol=0.005)
    gap = opening(ada, face)
    wide, shut = int(gap.argmax()), int(gap.argmin())
    x = int(points[wide, 62, 0])
    top, bottom = int(points[wide, 62, 1]), int(points[wide, 66, 1]) + 1
    inside, closed = (ada.footage([k])[0][:, top:bottom, x].mean(0).min() for k in (wide, shut))
    assert bottom - top > 2 and inside < closed - 0.1  # an open mouth is dark inside


def test_the_background_is_the_room_itself_and_nothing_of_a_clip_was_estimated(ada, face):
    assert ada.holdout == math.inf
    room = Scene(face, cast(0, 3, face, synthesiser="formants"), 48).backdrop
    torch.testing.assert_close(ada.background(), room, rtol=0, atol=0.5 / 255 + 1e-6)


def test_labels_are_head_where_the_face_is_and_background_where_nothing_is_drawn(folder, face):
    person = cast(0, 3, face, synthesiser="formants")
    clip = ClipFolder(folder / "ada_000")
    labels = clip.labels(range(0, 150, 30))
    subject = clip.subject(range(0, 150, 30), footage=False)
    points = posed(face, subject.expression, subject)[0]
    camera = subject.camera.expand(len(points), 3) * FINER
    skin = rasterise_mask(project(points, camera), face.closed_skin, (48 * FINER, 48 * FINER))[:, 0]
    whole = torch.nn.functional.avg_pool2d(skin[:, None], FINER)[:, 0] == 1
    assert whole.sum() > 5 * 200
    assert (labels[whole] == Label.HEAD).all()
    # composed by their labels, pictures before two rooms differ only where the room is seen
    scenes = [Scene(face, each, 48) for each in (person, person)]
    scenes[1].backdrop = 1 - scenes[1].backdrop
    drawn = [list(scene.draw(subject.expression[0], subject.pose[0])) for scene in scenes]
    for (one, label), (other, _), stored in zip(*drawn, labels, strict=True):
        assert torch.equal(label, stored)
        changed = (one != other).any(0)
        solid = torch.nn.functional.max_pool2d((label == Label.BACKGROUND)[None].float(), 3, 1, 1)[0] == 0
        assert not changed[solid].any()
        assert changed[label == Label.BACKGROUND].float().mean() > 0.95
    assert {int(each) for each in labels.unique()} == {0, 1, 2}
    assert (labels[:, -1] == Label.TORSO).any() and (labels[:, 0] != Label.TORSO).all()


def test_heads_stay_in_the_picture(folder):
    for name in ("ada_000", "ben_000"):
        points = ClipFolder(folder / name).tensor("landmarks")
        assert points.min() > 2 and points.max() < 46


def test_the_same_seed_gives_the_same_bytes_whatever_else_is_made(tmp_path, folder, face):
    alone = recipe(tmp_path, seconds=6.0)
    make_clip(alone, plan_clips(alone, 2, "train")[1], face)
    assert bytes_of(tmp_path / "ben_000") == bytes_of(folder / "ben_000")


def test_several_processes_give_the_same_bytes_as_one(tmp_path, face):
    wish = {"speakers": 2, "minutes": 1 / 60, "size": 32, "seed": 5, "synthesiser": "formants", "console": QUIET}
    assert corpus(tmp_path / "one", **wish).done == ["ada_000", "ben_000"]
    assert sorted(corpus(tmp_path / "two", jobs=2, **wish).done) == ["ada_000", "ben_000"]
    for name in ("ada_000", "ben_000"):
        assert bytes_of(tmp_path / "one" / name) == bytes_of(tmp_path / "two" / name)
    assert corpus(tmp_path / "one", **wish).kept == ["ada_000", "ben_000"]
    with pytest.raises(VisemixError, match="ada_000 exists with seed 5, not 6; choose another"):
        corpus(tmp_path / "one", **(wish | {"seed": 6}))
    other = corpus(tmp_path / "other", **(wish | {"seed": 6, "speakers": 1})).done
    first = (tmp_path / "one/ada_000/clip.safetensors").read_bytes()
    assert other == ["ada_000"] and (tmp_path / "other/ada_000/clip.safetensors").read_bytes() != first


def test_a_manner_is_held_where_it_is_asked_for_and_clips_of_another_or_of_older_mouths_are_named(tmp_path, face):
    wish = {"speakers": 1, "minutes": 1 / 60, "size": 32, "synthesiser": "formants", "console": QUIET}
    for manner in ("drifting", "held"):
        corpus(tmp_path / manner, manner=manner, **wish)
    drifting, held = (ClipFolder(tmp_path / manner / "ada_000") for manner in ("drifting", "held"))
    assert torch.equal(drifting.tensor("wave"), held.tensor("wave"))
    assert not torch.equal(drifting.tensor("expression"), held.tensor("expression"))
    with pytest.raises(VisemixError, match="ada_000 exists with manner held, not drifting"):
        corpus(tmp_path / "held", **wish)
    meta = tmp_path / "held/ada_000/meta.yaml"
    meta.write_text(meta.read_text().replace("acting: 3", "acting: 2"))
    with pytest.raises(VisemixError, match="ada_000 exists with acting 2, not 3; choose another"):
        corpus(tmp_path / "held", manner="held", **wish)


def test_test_speakers_are_others_and_ood_ones_the_same_people_otherwise(tmp_path, face):
    seen, unseen, ood = (plan_clips(recipe(tmp_path), 2, split) for split in ("train", "test", "ood"))
    assert [spec.clip for spec in seen] == ["ada_000", "ben_000"]
    assert not {spec.clip for spec in seen} & {spec.clip for spec in unseen}
    assert [spec.clip for spec in ood[1:3]] == ["ada_male_000", "ada_singing_000"]
    assert ood[0].language != "en" and ood[0].clip == f"ada_{ood[0].language}_000"
    for spec in ood[:3]:
        make_clip(recipe(tmp_path), spec, face)
        clip = ClipFolder(tmp_path / spec.clip, face)
        assert clip.speaker == "ada"
    make_clip(recipe(tmp_path), seen[0], face)
    plain, sung = ClipFolder(tmp_path / "ada_000"), ClipFolder(tmp_path / "ada_singing_000")
    assert torch.equal(plain.tensor("identity"), sung.tensor("identity"))
    assert torch.equal(plain.tensor("albedo"), sung.tensor("albedo"))
    assert sung.meta["corpus"]["singing"] and ClipFolder(tmp_path / "ada_male_000").meta["corpus"]["voice"][0] == "m"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"speakers": 0}, "--speakers 0"),
        ({"size": 100}, "--size 100 must be a multiple of 16"),
        ({"minutes": 0.0}, "--minutes 0"),
        ({"minutes": float("nan")}, "--minutes nan"),
        ({"minutes": float("inf")}, "--minutes inf"),
        ({"seed": -1}, "--seed -1 must be at least 0"),
        ({"jobs": 0}, "--jobs 0"),
        ({"language": "tlh"}, "en"),
        ({"voice": "robot"}, "female, male"),
        ({"conditions": "dark"}, "no condition 'dark'; choose clean, all"),
        ({"synthesiser": "flite", "language": "de"}, "flite"),
        ({"face": "nobody"}, "nobody"),
    ],
)
def test_senseless_wishes_are_refused_with_what_there_is(tmp_path, wish, words):
    with pytest.raises(VisemixError, match=words):
        corpus(tmp_path / "c", **({"speakers": 1, "minutes": 0.02, "console": QUIET} | wish))
    assert not list(tmp_path.glob("c/*"))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VisemixError, match=r"cannot write to .*file/c"):
        corpus(tmp_path / "file/c", speakers=1, minutes=0.02, console=QUIET)


def test_a_clip_without_pictures_says_and_does_the_same_and_is_refused_where_they_are_wanted(tmp_path, face):
    wish = {"speakers": 1, "minutes": 1 / 20, "size": 32, "seed": 4, "synthesiser": "formants", "console": QUIET}
    corpus(tmp_path / "shown", **wish)
    corpus(tmp_path / "bare", pictures=False, **wish)
    shown, bare = (bytes_of(tmp_path / each / "ada_000") for each in ("shown", "bare"))
    assert set(shown) - set(bare) == {"frames.mp4", "labels.safetensors", "background.png"}
    for name in ("clip.safetensors", "sound.flac", "phonemes.csv"):
        assert shown[name] == bare[name]
    clip = ClipFolder(tmp_path / "bare/ada_000", face)
    assert not clip.has_pictures and not clip.has_labels and clip.size == 32
    assert clip.clip(range(5, 15), footage=False).motion.values.shape[1] == 10
    with pytest.raises(VisemixError, match=r"bare.ada_000 has no pictures \(visemix corpus --no-pictures\)"):
        clip.footage([0])
    learning = DATA.build({"name": "clips", "root": str(tmp_path / "bare"), "holdout": 0.4, "frames": True}, face)
    with pytest.raises(VisemixError, match=r"no clip in .*bare can be trained on: ada_000 has no pictures"):
        learning.setup("fit")
    learning = DATA.build({"name": "clips", "root": str(tmp_path / "bare"), "holdout": 0.4, "frames": False}, face)
    learning.setup("fit")
    assert len(learning.train_spans[0]) == 65
    with pytest.raises(VisemixError, match="ada_000 exists with pictures False, not True; choose another"):
        corpus(tmp_path / "bare", **wish)
    assert corpus(tmp_path / "shown", **wish).kept == ["ada_000"]
    page = write_page(tmp_path / "bare").read_text()
    assert "<image " not in page and 'class="open"' in page
