import lightning as L
import standins  # noqa: F401 – registers its parts
import torch

from visemix.pipeline import TalkingFace
from visemix.training.callbacks import Average, Best
from visemix.training.modules import RenderModule

CFG = {"face": {"name": "toy"}, "audio": {"name": "spectrum"}, "motion": {"name": "gru"}}
TRAINER = L.Trainer(barebones=True, accelerator="cpu")


def module():
    torch.manual_seed(0)
    return RenderModule(TalkingFace.from_config(CFG | {"render": {"name": "dots", "adversarial": True}}))


def test_the_mean_follows_the_weights_by_its_decay():
    trained, average = module(), Average(0.75)
    radius = trained.model.render.radius
    with torch.no_grad():
        radius.fill_(1.0)
        average.setup(TRAINER, trained, "fit")
        for value in (2.0, 4.0):
            radius.fill_(value)
            average.on_train_batch_end(TRAINER, trained)
    assert average.mean["model.render.radius"].item() == 0.75 * (0.75 * 1 + 0.25 * 2) + 0.25 * 4


def test_the_critic_and_what_is_frozen_have_no_mean():
    average = Average(0.5)
    average.setup(TRAINER, module(), "fit")
    assert list(average.mean) == ["model.render.radius"]


def test_swapping_twice_changes_nothing():
    trained, average = module(), Average(0.5)
    average.setup(TRAINER, trained, "fit")
    average.mean["model.render.radius"].fill_(9.0)
    before = trained.model.render.radius.item()
    average.swap(trained)
    assert trained.model.render.radius.item() == 9.0
    average.swap(trained)
    assert trained.model.render.radius.item() == before
    assert average.mean["model.render.radius"].item() == 9.0


def test_a_restored_mean_goes_on_where_it_was():
    first, second, trained = Average(0.5), Average(0.5), module()
    first.setup(TRAINER, trained, "fit")
    first.mean["model.render.radius"].fill_(3.0)
    second.setup(TRAINER, trained, "fit")
    second.load_state_dict(first.state_dict())
    assert second.mean["model.render.radius"].item() == 3.0


class Judged(L.Trainer):
    callback_metrics = {}  # noqa: RUF012


def validated(best, trained, losses):
    """What a training sees that validates so; answers whether it was told to stop, each time."""
    trainer, told = Judged(barebones=True, accelerator="cpu", max_steps=9), []
    for loss in losses:
        with torch.no_grad():
            trained.model.render.radius.fill_(loss)
        trainer.callback_metrics["val/total"] = torch.tensor(loss)
        best.on_validation_end(trainer, trained)
        told.append(trainer.should_stop)
    return told


def test_it_stops_after_as_many_validations_without_a_better_one_and_keeps_the_best():
    trained, best = module(), Best(2)
    assert validated(best, trained, [3.0, 1.0, 2.0, 0.5, 0.7, 0.6]) == [False] * 5 + [True]
    best.restore(trained)
    assert trained.model.render.radius.item() == 0.5


def test_a_resumed_training_remembers_how_long_it_has_waited():
    trained, first, second = module(), Best(2), Best(2)
    validated(first, trained, [1.0, 2.0])
    second.load_state_dict(first.state_dict())
    assert validated(second, trained, [2.0]) == [True]
    second.restore(trained)
    assert trained.model.render.radius.item() == 1.0
