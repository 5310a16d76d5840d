import signal

import lightning as L
import pytest
import standins  # noqa: F401 – registers its parts
import torch
from stage_runner import one_step
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.data import DataLoader

from visemix.pipeline import TalkingFace
from visemix.training.modules import MotionModule, RenderModule
from visemix.training.optim import StageOptions
from visemix.types import VisemixError

CFG = {
    "face": {"name": "toy"},
    "audio": {"name": "spectrum"},
    "motion": {"name": "gru"},
    "render": {"name": "dots"},
}
QUICK = StageOptions(lr=1e-2)


def moved(model, before):
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def copied(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("module_type", [MotionModule, RenderModule])
def test_one_step_moves_only_the_parts_its_stage_owns(module_type, clip, tmp_path):
    module = module_type(TalkingFace.from_config(CFG), QUICK)
    before = copied(module.model)
    one_step(module, clip, tmp_path)
    assert {name.split(".")[0] for name in moved(module.model, before)} == set(module.parts)
    assert {name for name, part in module.model.stages().items() if part.training} == set(module.parts)


def test_a_frozen_base_inside_the_trained_stage_stays_put_and_in_eval(clip, tmp_path):
    module = MotionModule(TalkingFace.from_config(CFG | {"motion": {"name": "refined"}}), QUICK)
    before = copied(module.model)
    one_step(module, clip, tmp_path)
    names = {name for name in moved(module.model, before) if name.startswith("motion.")}
    assert names == {"motion.refine.weight", "motion.refine.bias"}
    assert module.model.motion.training and not module.model.motion.base.training


def test_prediction_is_the_pipeline(clip):
    model = TalkingFace.from_config(CFG).eval()
    expected = model(clip.speech, clip.subject).frames
    torch.testing.assert_close(MotionModule(model).eval().predict_step(clip, 0).frames, expected)


def test_a_critic_is_trained_in_turn_and_its_moves_are_no_steps_of_the_run(clip, tmp_path):
    model = TalkingFace.from_config(CFG | {"render": {"name": "dots", "adversarial": True}})
    module = RenderModule(model, QUICK)
    before = copied(model)
    trainer = one_step(module, clip, tmp_path)
    assert moved(model, before) == {"render.radius", "render.critic.weight"}  # its bias cancels in the difference
    assert trainer.global_step == 1


def test_the_generators_turn_leaves_no_gradient_on_the_critic(clip):
    model = TalkingFace.from_config(CFG | {"render": {"name": "dots", "adversarial": True}})
    module = RenderModule(model, QUICK)
    generator, critic = module.configure_optimizers()[0]
    ours = {id(p) for group in generator.param_groups for p in group["params"]}
    theirs = {id(p) for group in critic.param_groups for p in group["params"]}
    assert ours == {id(model.render.radius)}
    assert theirs == {id(p) for p in model.render.critic.parameters()}


def test_a_slow_part_learns_at_its_own_rate():
    module = MotionModule(TalkingFace.from_config(CFG), StageOptions(lr=1e-3, weight_decay=0.1))
    ((optimiser,), _) = module.configure_optimizers()
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in optimiser.param_groups for p in g["params"]}
    project, head = module.model.audio.project, module.model.motion.head
    assert rates[id(project.weight)] == (pytest.approx(1e-4), 0.1)
    assert rates[id(project.bias)] == (pytest.approx(1e-4), 0.0)  # no decay on biases
    assert rates[id(head.weight)] == (1e-3, 0.1)


def test_a_loss_that_is_no_number_stops_the_run_with_a_way_out(clip, tmp_path):
    from visemix.types import VisemixError

    module = MotionModule(TalkingFace.from_config(CFG), QUICK)
    with torch.no_grad():
        module.model.motion.head.bias.fill_(float("nan"))
    with pytest.raises(VisemixError, match=r"motion loss is nan at step 0; lower train\.motion\.lr"):
        one_step(module, clip, tmp_path)


def test_a_loss_that_is_no_dict_is_named_with_its_stage(clip, tmp_path, monkeypatch):
    module = MotionModule(TalkingFace.from_config(CFG), QUICK)
    monkeypatch.setattr(module, "losses", lambda batch: torch.zeros((), requires_grad=True))  # unseen by types
    with pytest.raises(VisemixError, match="the loss of the motion stage is a Tensor; it must be a dict"):
        one_step(module, clip, tmp_path)


def test_two_stages_of_one_model_train_whichever_was_made_first(clip, tmp_path):
    model = TalkingFace.from_config(CFG)
    stages = MotionModule(model, QUICK), RenderModule(model, QUICK)
    for module in stages:
        before = copied(model)
        model.zero_grad()
        one_step(module, clip, tmp_path)
        assert {name.split(".")[0] for name in moved(model, before)} == set(module.parts)
        others = [p for name, p in model.named_parameters() if name.split(".")[0] not in module.parts]
        assert all(parameter.grad is None for parameter in others)


def learns(model):
    return {name: parameter.requires_grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_fit_that_ends_in_an_error_leaves_the_model_and_the_trainer_as_they_were(error, clip, tmp_path, monkeypatch):
    model = TalkingFace.from_config(CFG | {"motion": {"name": "refined"}})
    before, module, seen = learns(model), MotionModule(model, QUICK), []

    def fails(batch):
        seen.append(learns(model))
        raise error

    monkeypatch.setattr(module, "losses", fails)
    trainer, interrupt = quiet_trainer(tmp_path, accumulate_grad_batches=3), signal.getsignal(signal.SIGINT)
    with pytest.raises((error, SystemExit)):
        trainer.fit(module, DataLoader([clip], batch_size=None))
    signal.signal(signal.SIGINT, interrupt)  # Lightning ignores it from then on
    assert seen[0]["motion.refine.weight"] and not seen[0]["render.radius"]
    assert learns(model) == before and before["render.radius"]
    assert trainer.accumulate_grad_batches == 3


def quiet_trainer(folder, **options):
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    return L.Trainer(**(quiet | {"default_root_dir": folder, "enable_model_summary": False} | options))


@pytest.mark.parametrize("adversarial", [False, True])
def test_gradients_of_several_batches_make_one_step(adversarial, clip, tmp_path):
    found = []
    for batches in ([clip, clip, clip], [clip]):  # the mean over equal batches is that of one
        torch.manual_seed(0)
        model = TalkingFace.from_config(CFG | {"render": {"name": "dots", "adversarial": adversarial}})
        module = RenderModule(model, StageOptions(lr=1e-2, schedule="exponential", decay_every=1))
        trainer = quiet_trainer(tmp_path, max_epochs=2, accumulate_grad_batches=len(batches))
        trainer.fit(module, DataLoader(batches, batch_size=None))
        rates = [group["lr"] for optimiser in trainer.optimizers for group in optimiser.param_groups]
        found.append((trainer.global_step, rates, dict(model.render.named_parameters())))
        assert trainer.accumulate_grad_batches == len(batches)
    assert found[0][:2] == found[1][:2] and found[0][0] == 2
    torch.testing.assert_close(found[0][2]["radius"], found[1][2]["radius"])


def test_what_is_left_of_an_epoch_is_a_step(clip, tmp_path):
    module = MotionModule(TalkingFace.from_config(CFG), QUICK)
    trainer = quiet_trainer(tmp_path, max_epochs=1, accumulate_grad_batches=2)
    trainer.fit(module, DataLoader([clip] * 3, batch_size=None))
    assert trainer.global_step == 2


def test_no_two_batches_of_a_training_draw_alike_and_every_validation_does(clip, tmp_path, monkeypatch):
    module = MotionModule(TalkingFace.from_config(CFG), QUICK)
    drawn, losses = {True: [], False: []}, module.losses

    def draws(batch):
        drawn[module.model.motion.training].append(torch.rand(()).item())
        return losses(batch)

    monkeypatch.setattr(module, "losses", draws)
    loader = DataLoader([clip] * 2, batch_size=None)
    trainer = quiet_trainer(tmp_path, max_epochs=2, accumulate_grad_batches=2, num_sanity_val_steps=0)
    trainer.fit(module, loader, loader)
    assert len(set(drawn[True])) == len(drawn[True]) == 4
    assert drawn[False][:2] == drawn[False][2:] and len(set(drawn[False])) == 2


def test_a_checkpoint_of_lightnings_is_all_that_a_stage_needs(clip, tmp_path):
    model = TalkingFace.from_config(CFG | {"motion": {"name": "gru", "hidden": 5}})
    module = MotionModule(model, StageOptions(lr=1e-2, betas=(0.8, 0.9)), seed=3)
    trainer = quiet_trainer(tmp_path, max_steps=1)
    trainer.fit(module, DataLoader([clip], batch_size=None))
    trainer.save_checkpoint(tmp_path / "stage.ckpt")
    for known in ({}, {"model": TalkingFace.from_config(model.config)}):
        again = MotionModule.load_from_checkpoint(tmp_path / "stage.ckpt", **known)
        assert (again.options, again.seed, again.model.config) == (module.options, 3, model.config)
        assert not moved(again.model, copied(model))


@pytest.mark.parametrize("limit", [1e-4, 1e-5])
def test_the_gradients_of_each_optimiser_are_together_no_longer_than_the_limit(limit, clip, tmp_path):
    lengths = []

    def note(optimiser, *_):
        found = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        lengths.append(torch.cat([gradient.flatten() for gradient in found]).norm().item())

    hook = register_optimizer_step_pre_hook(note)
    try:
        for clip_norm in (None, limit):
            model = TalkingFace.from_config(CFG | {"render": {"name": "dots", "adversarial": True}})
            one_step(RenderModule(model, StageOptions(lr=1e-2, clip_norm=clip_norm)), clip, tmp_path)
    finally:
        hook.remove()
    assert min(lengths[:2]) > 2e-4
    assert lengths[2:] == pytest.approx([limit, limit], rel=0.02)


def test_a_flow_vae_inside_says_at_validation_what_it_knows_in_nats(clip, tmp_path):
    vae = {"name": "flow_vae", "channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync": False}
    module = MotionModule(TalkingFace.from_config(CFG | {"motion": {"name": "closure", "base": vae}}), QUICK)
    told = one_step(module, clip, tmp_path).callback_metrics
    assert {"val/elbo", "val/kl_nats", "val/active_units", "val/sigma_mm"} <= told.keys()
    assert told["val/sigma_mm"].item() == pytest.approx(10 * module.model.motion.base.variance**0.5)
    plain = one_step(MotionModule(TalkingFace.from_config(CFG), QUICK), clip, tmp_path).callback_metrics
    assert "val/elbo" not in plain
