"""Training of one stage, from its first step or from where it was stopped, to its last."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from visemix.data import DATA, DataModule
from visemix.ops.state import preserve_rng
from visemix.pipeline import TalkingFace
from visemix.training.callbacks import Average, Best, Progress, Resumable, Samples
from visemix.training.checkpoint import TensorCheckpoints, stored_step
from visemix.training.logs import LOG, Table, close
from visemix.training.modules import STAGES
from visemix.training.optim import StageOptions, stage_options
from visemix.training.steps import StepLoader

logger = logging.getLogger(__name__)

ADVICE = (
    "does not have many workers",
    "GPU available but not used",
    "in eval mode at the start",
    "smaller than the logging interval",
    "LeafSpec",
)
RESUME = "resume"  # in a run's folder, while a stage is under way
ACCELERATORS = {"cuda": "gpu"}


@contextmanager
def quiet() -> Iterator[None]:
    """Context: Lightning's advice about workers, devices and modes is silent; it is for people who write the loop
    themselves."""
    theirs = logging.getLogger("lightning.pytorch")
    level = theirs.level
    theirs.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in ADVICE:
                warnings.filterwarnings("ignore", f".*{message}.*")
            yield
    finally:
        theirs.setLevel(level)


@quiet()
@preserve_rng()
def fit_stage(
    model: TalkingFace,
    stage: str,
    options: StageOptions,
    data: DataModule,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    log: Mapping[str, Any] | None = None,
    run: str = "run",
) -> None:
    """Train one stage of `model` in place. What it writes goes to `folder`; a state left there by an earlier call that
    was stopped is taken up, at the same step and with the same optimiser.

    Raises:
        VisemixError: the loss is no number any more, or the stored state is unreadable.
        KeyboardInterrupt: it was stopped; the last stored state stays.
    """
    data.setup("fit")
    module = STAGES[stage](model, options, seed=seed)
    state = state_file(folder, stage)
    resumable = Resumable(state, options.save_every)
    batches = StepLoader(
        data.train_dataloader(),
        batch=options.batch,
        steps=options.steps,
        seed=seed,
        between=resumable.between_steps,
    )
    started = stored_step(state) if state.is_file() else 0
    # also before a stored state is taken up: what is worked out from the clips is in no state
    module.init_from_data(data)
    loggers: list[Logger] = [Table(folder / "metrics.csv", stage, started)]
    loggers += LOG.build(log or {"name": "csv"}, folder, stage, run)
    average = [Average(options.ema)] if options.ema is not None else []
    best = [Best(options.patience)] if options.patience is not None else []  # before the mean steps back
    around: list[L.Callback] = [*best, *average, resumable, Samples(folder / "samples")]
    trainer = L.Trainer(
        accelerator=ACCELERATORS.get(device, device),
        devices=1,
        precision=options.precision,
        max_steps=options.steps,
        max_epochs=-1,
        val_check_interval=min(options.val_every, options.steps),
        check_val_every_n_epoch=None,
        limit_val_batches=options.val_batches,
        num_sanity_val_steps=0,
        log_every_n_steps=options.log_every,
        logger=loggers,
        callbacks=[*around, Progress()],
        plugins=[TensorCheckpoints()],
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )
    try:
        trainer.fit(module, batches, data.val_dataloader(), ckpt_path=state if started else None)
    except SystemExit as stopped:  # Lightning's answer to Ctrl-C, after it has tidied up
        raise KeyboardInterrupt from stopped
    finally:
        close(loggers)
    for mean in average:
        mean.swap(module)
    for kept in best:
        kept.restore(module)


def data_for(cfg: DictConfig, model: TalkingFace, stage: str) -> DataModule:
    """The data module that a stage is trained on, set up: a clip that does not do is said here."""
    module, options = STAGES[stage], stage_options(stage, cfg.train[stage])
    data = DATA.build(target_data(cfg.data) if module.person_specific else cfg.data, model.face)
    data.request(module.data_request(model, options, cfg.workers))
    data.prepare_data()
    data.setup("fit")
    alone = module.learns_of_person(model)
    if alone and len(data.speakers) > 1:
        logger.warning(
            "the %s stage learns the %s of one person and is shown %s: unless they are the same, name the clips of one "
            "in data.clips",
            stage,
            alone,
            " and ".join(data.speakers),
        )
    return data


def target_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of the one person who is shown: the target's clips, where the config names a target."""
    return kind_of(data).person_config(data)


def kind_of(data: Mapping[str, Any]) -> type[DataModule]:
    """The class of a config's data module, for what it says without being built."""
    kind = DATA.kind_of(data["name"])
    return kind if issubclass(kind, DataModule) else DataModule


def state_file(folder: Path, stage: str) -> Path:
    """Where a run keeps what a stage resumes from."""
    return folder / RESUME / f"{stage}.safetensors"
