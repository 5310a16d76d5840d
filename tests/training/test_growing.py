"""A renderer that grows and prunes while it is trained: stopped, resumed, averaged, kept and loaded."""

import lightning as L
import pytest
import standins
import torch

from visemix.pipeline import TalkingFace
from visemix.run import complete_config, fit, folder_of
from visemix.training.callbacks import Average, Best
from visemix.training.modules import RenderModule
from visemix.types import VisemixError

CFG = {"face": {"name": "toy"}, "audio": {"name": "spectrum"}, "motion": {"name": "gru"}, "render": {"name": "beads"}}
TRAINER = L.Trainer(barebones=True, accelerator="cpu")
SHORT = {"steps": 6, "batch": 2, "window": 4, "val_every": 3, "save_every": 4, "log_every": 1, "lr": 1e-2}


def config(out, **options):
    train = {"name": "cpu", "render": SHORT | options}
    return CFG | {"data": {"name": "noise"}, "fit": ["render"], "train": train, "out": str(out), "device": "cpu"}


def test_a_checkpoint_brings_its_sizes_with_it(tmp_path, clip):
    run = fit(config(tmp_path))
    model = TalkingFace.from_checkpoint(run)
    assert model.render.colour.shape == (6, 3)  # 3 and one more in every second of 6 steps
    assert model.render.age.tolist() == [4, 4, 2, 2, 0, 0]
    assert model.draw(clip.motion, clip.subject).frames.shape == clip.video.frames.shape


def test_a_run_goes_on_from_the_sizes_at_which_it_was_stopped(tmp_path, monkeypatch):
    seen = []

    def interrupted(self, index, get=standins.Windows.__getitem__):
        seen.append(index)
        if len(seen) == 12:  # in step 6, after the state that step 4 left
            raise KeyboardInterrupt
        return get(self, index)

    whole = fit(config(tmp_path / "whole", ema=0.5))
    with monkeypatch.context() as patch:
        patch.setattr(standins.Windows, "__getitem__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(config(tmp_path / "stopped", ema=0.5))
    folder = folder_of(complete_config(config(tmp_path / "stopped", ema=0.5)))
    assert (folder / "resume/render.safetensors").is_file()
    fit(config(tmp_path / "stopped", ema=0.5))
    assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def module():
    torch.manual_seed(0)
    return RenderModule(TalkingFace.from_config(CFG))


def test_a_mean_begins_anew_where_the_weight_has_grown():
    trained, average = module(), Average(0.75)
    average.setup(TRAINER, trained, "fit")
    trained.model.render.colour.data = torch.full((5, 3), 4.0)
    average.on_train_batch_end(TRAINER, trained)
    trained.model.render.colour.data += 4.0
    average.on_train_batch_end(TRAINER, trained)
    assert torch.equal(average.mean["model.render.colour"], torch.full((5, 3), 5.0))


class Validated(L.Trainer):
    callback_metrics = {"val/total": torch.tensor(1.0)}  # noqa: RUF012


def test_the_best_comes_back_at_the_sizes_that_it_had():
    trained, best = module(), Best(2)
    trained.model.render.age.fill_(7)
    best.on_validation_end(Validated(barebones=True, accelerator="cpu"), trained)
    trained.model.render.resize_to({"colour": torch.zeros(5, 3), "age": torch.zeros(5)})
    best.restore(trained)
    assert trained.model.render.colour.shape == (3, 3) and trained.model.render.age.tolist() == [7, 7, 7]


def test_who_does_not_grow_refuses_other_sizes(tmp_path, monkeypatch):
    run = fit(config(tmp_path))
    monkeypatch.setattr(standins.Beads, "grows", False)
    with pytest.raises(VisemixError, match="belong to other parts or sizes"):
        TalkingFace.from_checkpoint(run)
