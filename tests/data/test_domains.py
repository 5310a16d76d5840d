import pytest
import torch
from clip_maker import make

from visemix.data import DATA
from visemix.data.clips import ClipFolder
from visemix.types import VisemixError, collate


@pytest.fixture(scope="module")
def folders(tmp_path_factory, face):
    root, target = (tmp_path_factory.mktemp(name) for name in ("many", "person"))
    for name in ("anna_000", "bert_000", "cleo_000"):
        make(root / name, face, frames=24)
    make(target / "dora_000", face, frames=30)
    return root, target


def module(face, folders, **options):
    options = {"window": 4, "batch": 2, "holdout": 0.4, "frames": False, "target": str(folders[1])} | options
    built = DATA.build({"name": "clips", "root": str(folders[0])} | options, face)
    built.paired = True
    built.setup("fit")
    return built


def test_every_batch_has_as_many_windows_of_the_person_as_of_the_others(face, folders):
    for batch in module(face, folders).train_dataloader():
        assert len(batch.many.subject.speaker) == len(batch.person.subject.speaker) == 2
        assert set(batch.person.subject.speaker) == {"dora"}
        assert "dora" not in batch.many.subject.speaker
        assert batch.many.video is None  # nothing was decoded


def test_an_example_follows_from_the_global_seed(face, folders):
    windows = module(face, folders).train_dataloader().dataset
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append([windows[k].person.subject.pose[0, 0, 0].item() for k in range(8)])
    assert drawn[0] == drawn[1] and len(set(drawn[0])) > 1


def test_validation_goes_through_all_that_was_held_out_of_both(face, folders):
    batches = list(module(face, folders).val_dataloader())
    assert {b.many.subject.speaker[0] for b in batches} == {"anna", "bert", "cleo"}
    starts = {int(b.person.subject.pose[0, 0, 0]) for b in batches}
    assert starts == {20, 24, 26}  # the person's last ten frames


def test_domains_move_and_join_as_one(face, folders):
    windows = module(face, folders).val_dataloader().dataset
    both = collate([windows[0], windows[1]]).to(torch.float64)
    assert both.many.motion.values.dtype == torch.float64 and both.subject.speaker == ("dora", "dora")


def test_without_holdout_there_is_nothing_to_validate_on(face, folders):
    assert len(module(face, folders, holdout=0.0).val_dataloader()) == 0


def test_a_person_is_asked_for_by_the_options_name(face, folders):
    with pytest.raises(VisemixError, match=r"folder of their clips as data\.target"):
        module(face, folders, target=None)


def test_a_persons_only_clip_that_is_too_short_is_named(face, folders, tmp_path):
    make(tmp_path / "eve_000", face, frames=12)
    with pytest.raises(VisemixError, match=r"eve_000 is too short: 12 frames, 10 of them kept .* for a window of 4"):
        module(face, folders, target=str(tmp_path))


def test_windows_on_a_grid_come_again(face, folders):
    windows = module(face, folders, grid=7).train_dataloader().dataset.many
    starts = {int(windows[k % len(windows)].subject.pose[0, 0, 0]) for k in range(60)}
    assert starts == {0, 7}  # of the 14 frames that are not held out, windows of 4


def test_a_clip_with_a_number_that_is_none_is_named(face, tmp_path, monkeypatch):
    clip = make(tmp_path / "anna_000", face)
    monkeypatch.setattr(
        ClipFolder, "speech", lambda self, *a, real=ClipFolder.speech, **k: real(self, *a, **k).map(lambda w: w / 0 * 0)
    )
    with pytest.raises(VisemixError, match=r"anna_000/clip.safetensors: 'wave' is not a number somewhere"):
        clip.clip(range(4))
