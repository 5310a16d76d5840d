import logging
import math

import pytest
import torch
from clip_maker import make
from tiny_videos import numbers

from visemix.data import DATA, DataRequest
from visemix.data.sampling import Draw
from visemix.data.windows import Span, TrainingWindows
from visemix.types import SAMPLES_PER_FRAME, Clip, VisemixError


@pytest.fixture
def root(tmp_path, face):
    make(tmp_path / "anna_000", face, frames=30)
    make(tmp_path / "anna_001", face, frames=24)
    make(tmp_path / "bert_000", face, frames=24)
    return tmp_path


def module(face, root, **options):
    options = {"window": 4, "batch": 2, "holdout": 0.4, "reference_gap": 3} | options
    built = DATA.build({"name": "clips", "root": str(root), **options}, face)
    built.setup("fit")
    return built


def first_frames(batches):
    """The number of the first frame of every window: the clips' poses say it."""
    return [[int(k) for k in batch.subject.pose[:, 0, 0]] for batch in batches]


def test_a_batch_is_a_clip_in_which_all_agrees(face, root):
    batch = next(iter(module(face, root).train_dataloader()))
    assert isinstance(batch, Clip)
    assert batch.video.frames.shape == (2, 4, 3, 32, 32)
    assert batch.motion.values.shape == (2, 4, face.expression.shape[-1])
    assert batch.speech.wave.shape == (2, 4 * SAMPLES_PER_FRAME)
    for k in range(2):
        assert numbers(batch.video.frames[k] * 255) == batch.subject.pose[k, :, 0].tolist()
    assert all(name in ("anna", "bert") for name in batch.subject.speaker)


def test_the_same_seed_draws_the_same_batches(face, root):
    one, same, other = (module(face, root, seed=seed).train_dataloader() for seed in (1, 1, 2))
    first = [first_frames(one), first_frames(one)]
    assert first == [first_frames(same), first_frames(same)]
    assert first[0] != first[1]  # the next pass is another one
    assert first[0] != first_frames(other)


def test_workers_do_not_change_what_is_drawn(face, root):
    assert first_frames(module(face, root).train_dataloader()) == first_frames(
        module(face, root, workers=2).train_dataloader()
    )


def test_an_example_follows_from_its_draw_or_from_the_global_seed(face, root):
    windows = module(face, root).train_dataloader().dataset
    assert torch.equal(windows[Draw(0, 5)].subject.pose, windows[Draw(0, 5)].subject.pose)
    torch.manual_seed(3)
    one = [windows[0].subject.pose[0, 0, 0].item() for _ in range(5)]
    torch.manual_seed(3)
    assert one == [windows[0].subject.pose[0, 0, 0].item() for _ in range(5)] and len(set(one)) > 1


def test_every_frame_before_the_holdout_is_trained_on_and_none_after(face, root):
    """The last ten frames (0.4 s) of each clip are held out; windows reach the last one before."""
    seen = {"anna": set(), "bert": set()}
    loader = module(face, root).train_dataloader()
    for _ in range(12):
        for batch in loader:
            for speaker, pose in zip(batch.subject.speaker, batch.subject.pose, strict=True):
                seen[speaker] |= set(pose[:, 0].int().tolist())
    assert seen == {"anna": set(range(20)), "bert": set(range(14))}


def test_a_pass_has_as_many_windows_as_cover_the_clips(face, root):
    assert len(module(face, root).train_dataloader().dataset) == 5 + 4 + 4  # 20, 14, 14 frames in fours


def test_validation_goes_through_what_was_held_out_once(face, root):
    loader = module(face, root, clips=["anna_000"]).val_dataloader()
    frames = [batch.subject.pose[0, :, 0].int().tolist() for batch in loader]
    assert frames == [[20, 21, 22, 23], [24, 25, 26, 27], [26, 27, 28, 29]]


def test_validation_looks_at_a_stretch_of_its_own_where_one_is_watched(face, root):
    data = module(face, root, clips=["anna_000"], batch=1, watch=0.2)
    assert [(span.start, span.stop) for span in data.train_spans] == [(0, 15)]
    assert first_frames(data.val_dataloader()) == [[15], [16]]
    assert [(span.start, span.stop) for span in data.val_spans] == [(20, 30)]  # what is scored


def test_no_more_is_trained_on_than_was_asked_for(face, root):
    data = module(face, root, clips=["anna_000"], seconds=0.32)
    assert [(span.start, span.stop) for span in data.train_spans] == [(12, 20)]
    with pytest.raises(VisemixError, match="never shows the face for longer than 3 frames, for a window of 4"):
        module(face, root, clips=["anna_000"], seconds=0.12)


def test_a_window_longer_than_the_holdout_is_shortened_in_validation(face, root):
    loader = module(face, root, window=12, clips=["anna_000"]).val_dataloader()
    assert [batch.subject.frames for batch in loader] == [10]


def test_speakers_can_be_held_out_whole(face, root):
    data = module(face, root, val_speakers=["bert"], holdout=0)
    assert data.speakers == ["anna"]
    assert {batch.subject.speaker for batch in data.val_dataloader()} == {("bert",)}
    assert [batch.subject.pose[0, 0, 0].item() for batch in data.val_dataloader()] == [0, 4, 8, 12, 16, 20]


def test_a_speaker_nobody_knows_is_named(face, root):
    with pytest.raises(VisemixError, match=r"nobody named carl .* \(have: anna, bert\)"):
        module(face, root, val_speakers=["carl"])


def test_the_reference_keeps_its_distance_in_training(face, root):
    for batch in module(face, root, clips=["anna_000"]).train_dataloader():
        references = numbers(batch.subject.reference * 255)
        for reference, pose in zip(references, batch.subject.pose, strict=True):
            start, stop = int(pose[0, 0]), int(pose[-1, 0])
            assert 0 <= reference < 20 and (reference < start - 3 or reference > stop + 3)


def test_every_frame_far_enough_away_can_be_the_reference(face, root):
    span = Span(module(face, root).train_spans[0].clip, 0, 20)
    windows = TrainingWindows([span], window=4, gap=3, frames=False)
    g = torch.Generator().manual_seed(0)
    assert {windows._reference(span, 8, g) for _ in range(300)} == {0, 1, 2, 3, 4, 15, 16, 17, 18, 19}
    assert {windows._reference(span, 0, g) for _ in range(300)} == set(range(7, 20))


def test_a_clip_too_short_for_the_distance_gives_its_farthest_frame(face, root):
    span = Span(module(face, root).train_spans[0].clip, 0, 8)
    windows = TrainingWindows([span], window=4, gap=10, frames=False)
    g = torch.Generator().manual_seed(0)
    assert windows._reference(span, 1, g) == 7 and windows._reference(span, 3, g) == 0


def test_a_gallery_keeps_its_distance_in_training_and_lies_before_what_is_held_out(face, root):
    data = module(face, root)
    assert next(iter(data.train_dataloader())).subject.gallery is None
    data.gallery = 12
    for batch in data.train_dataloader():
        gallery = batch.subject.gallery
        assert gallery.pictures.shape[1:] == (12, 3, 32, 32)
        assert len(gallery.pictures) == len(batch.subject.pose)
        for pictures, poses, pose in zip(gallery.pictures, gallery.pose, batch.subject.pose, strict=True):
            start, stop = int(pose[0, 0]), int(pose[-1, 0])
            shown = numbers(pictures.float())
            assert shown == [int(k) for k in poses[:, 0]] and len({*shown}) > 3
            assert all(0 <= k < 20 and (k <= start - 3 or k >= stop + 3) for k in shown)
    for batch in data.val_dataloader():
        shown = numbers(batch.subject.gallery.pictures[0].float())
        assert len(shown) == 12 and max(shown) < int(batch.subject.pose[0, 0, 0])


def test_whoever_is_held_out_altogether_is_known_by_one_frame(face, root):
    data = module(face, root, val_speakers=["bert"])
    data.gallery = 3
    *_, bert = data.val_dataloader()
    assert numbers(bert.subject.gallery.pictures[0].float()) == [0, 0, 0]


def test_the_reference_is_the_first_frame_in_validation(face, root):
    for batch in module(face, root).val_dataloader():
        assert numbers(batch.subject.reference * 255) == [0]


def test_motion_needs_no_pictures(face, root):
    batch = next(iter(module(face, root, frames=False).train_dataloader()))
    assert batch.video is None and batch.subject.footage is None and batch.subject.reference is None


def test_a_clip_of_exactly_one_window_gives_one(face, tmp_path):
    make(tmp_path / "anna_000", face, frames=4)
    data = module(face, tmp_path, holdout=0, batch=1)
    assert first_frames(data.train_dataloader()) == [[0]]


def test_nothing_is_learned_from_frames_in_which_nobody_was_seen(face, tmp_path):
    make(tmp_path / "anna_000", face, frames=30, away=[[3, 8], [14, 16]])
    windows = module(face, tmp_path, holdout=0.4).train_dataloader().dataset
    drawn = [windows[Draw(seed % len(windows), seed)] for seed in range(200)]
    trained = {k for clip in drawn for k in clip.subject.pose[0, :, 0].tolist()}
    assert trained == {8, 9, 10, 11, 12, 13, 16, 17, 18, 19}


def test_a_face_that_never_stays_for_a_window_is_left_out_by_name(face, root, caplog):
    make(root / "carl_000", face, frames=20, away=[[3, 5], [8, 10], [12, 17]])
    module(face, root)
    assert "carl_000 is left out: it never shows the face for longer than 3 frames" in caplog.text


@pytest.mark.parametrize(("audio", "words"), [("silent", "is silent"), ("none", "has no sound track")])
def test_motion_leaves_out_clips_without_speech_by_name(face, root, caplog, audio, words):
    make(root / "mute_000", face, frames=24, audio=audio)
    with caplog.at_level(logging.WARNING):
        assert module(face, root, frames=False).speakers == ["anna", "bert"]
    assert f"mute_000 is left out: it {words}" in caplog.text
    assert module(face, root, frames=True).speakers == ["anna", "bert", "mute"]
    assert module(face, root, frames=True, speech=True).speakers == ["anna", "bert"]


def test_a_clip_without_speech_that_was_asked_for_is_refused(face, root):
    make(root / "mute_000", face, frames=24, audio="none")
    for options in ({"clips": ["anna_000", "mute_000"]}, {"root": root / "mute_000"}):
        with pytest.raises(VisemixError, match="mute_000 has no sound track: good as a target to render"):
            module(face, **({"root": root} | options), frames=False)


def test_a_clip_too_short_for_a_window_is_left_out_by_name(face, root, caplog):
    make(root / "short_000", face, frames=13)
    with caplog.at_level(logging.WARNING):
        assert "short" not in module(face, root).speakers
    said = (
        "13 frames, 10 of them kept from training (data.holdout, data.watch), for a window of 4 (train.<stage>.window)"
    )
    assert f"short_000 is left out: it is too short: {said}" in caplog.text


def test_a_stage_that_hears_leaves_out_silent_clips_also_where_it_sees_them(face, tmp_path):
    make(tmp_path / "anna_000", face)
    make(tmp_path / "mute_000", face, audio="silent")

    def speakers(uses_sound, **options):
        data = DATA.build({"name": "clips", "root": str(tmp_path), "holdout": 0.0, **options}, face)
        data.request(DataRequest(4, 1, frames=True, uses_sound=uses_sound))
        data.setup("fit")
        return data.speakers

    assert (speakers(True), speakers(False)) == (["anna"], ["anna", "mute"])
    assert speakers(True, speech=False) == ["anna", "mute"]


def test_a_clip_that_nobody_prepared_is_not_to_be_prepared_again(face, tmp_path, caplog):
    make(tmp_path / "mine_000", face, frames=24)  # as write_example writes one
    with caplog.at_level(logging.WARNING):
        module(face, tmp_path)
    assert "mine_000: data.holdout=0.4 s are kept from training" in caplog.text
    assert "its meta.yaml (`holdout`) says of its last 0 s alone" in caplog.text
    assert "prepare" not in caplog.records[0].getMessage().replace(str(tmp_path), "")


def test_a_clip_of_which_less_was_held_out_when_it_was_prepared_is_named(face, tmp_path, caplog):
    make(tmp_path / "all_000", face, frames=24, fit={})
    make(tmp_path / "less_000", face, frames=24, fit={}, holdout=0.2)
    make(tmp_path / "enough_000", face, frames=24, holdout=0.4)
    make(tmp_path / "known_000", face, frames=24, holdout=math.inf)
    with caplog.at_level(logging.WARNING):
        module(face, tmp_path)
    assert [record.args[0].name for record in caplog.records] == ["all_000", "less_000"]
    assert "less_000: data.holdout=0.4 s are kept from training" in caplog.text
    assert "estimated from all but its last 0.2 s" in caplog.text
    caplog.clear()
    module(face, tmp_path, holdout=0.0)
    assert not caplog.records


def test_a_renderer_that_wants_a_scene_gets_no_clip_without_one(face, root, caplog):
    make(root / "cara_000", face, frames=24, labels=torch.zeros(24, 32, 32, dtype=torch.uint8))
    wants = DATA.build({"name": "clips", "root": str(root), "window": 4, "holdout": 0.4}, face)
    wants.segmentation = True
    with caplog.at_level(logging.WARNING):
        wants.setup("fit")
    assert wants.speakers == ["cara"] and "anna_000 is left out: it does not say what is head" in caplog.text
    alone = DATA.build({"name": "clips", "root": str(root), "clips": ["anna_000"], "window": 4, "holdout": 0.4}, face)
    alone.segmentation = True
    with pytest.raises(VisemixError, match=r"anna_000 does not say what is head.*prepare it again with --scene"):
        alone.setup("fit")


def test_nothing_left_to_train_on_is_an_error(face, root):
    with pytest.raises(VisemixError, match=r"no clip in .* can be trained on: bert_000 is too short: 24 frames"):
        module(face, root, window=1000)


def test_a_clip_without_lip_sync_is_left_out_of_motion_by_name(face, root, caplog):
    make(root / "carl_000", face, frames=30, lip_sync={"follows": False, "lag": 0, "reason": "no lag stands out"})

    def speakers(lips, **options):
        built = DATA.build({"name": "clips", "root": str(root), "holdout": 0.4} | options, face)
        built.window, built.frames, built.lips = 4, False, lips
        built.setup("fit")
        return built.speakers

    assert speakers(lips=False) == ["anna", "bert", "carl"]
    assert speakers(lips=True) == ["anna", "bert"]
    assert "carl_000 is left out: it has no lip sync: no lag stands out" in caplog.text
    assert speakers(lips=True, speech=False) == ["anna", "bert", "carl"]
    with pytest.raises(VisemixError, match=r"carl_000 has no lip sync.*data\.speech=false takes it"):
        speakers(lips=True, clips=["carl_000"])
