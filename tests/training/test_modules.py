import lightning as L
import pytest
import standins  # noqa: F401 – registers its parts
import torch
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


def one_step(module, clip, folder, **options):
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        default_root_dir=folder,
        **({"fast_dev_run": True} | options),
    )
    loader = DataLoader([clip], batch_size=None)
    trainer.fit(module, loader, loader)
    return trainer


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


def test_a_flow_vae_inside_says_at_validation_what_it_knows_in_nats(clip, tmp_path):
    vae = {"name": "flow_vae", "channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync": False}
    module = MotionModule(TalkingFace.from_config(CFG | {"motion": {"name": "closure", "base": vae}}), QUICK)
    told = one_step(module, clip, tmp_path).callback_metrics
    assert {"val/elbo", "val/kl_nats", "val/active_units", "val/sigma_mm"} <= told.keys()
    assert told["val/sigma_mm"].item() == pytest.approx(10 * module.model.motion.base.variance**0.5)
    plain = one_step(MotionModule(TalkingFace.from_config(CFG), QUICK), clip, tmp_path).callback_metrics
    assert "val/elbo" not in plain
