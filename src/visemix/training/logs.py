"""Where a run's numbers go: always a table in the run's folder; Weights & Biases where it is asked for."""

from __future__ import annotations

import csv
import io
import netrc
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from lightning.pytorch.loggers import Logger, WandbLogger

from visemix.ops.store import append_text, write_text
from visemix.registry import Registry
from visemix.types import VisemixError

LOG: Registry[list[Logger]] = Registry("logger", group="log")  # built with folder, stage and name of the run
COLUMNS = ("stage", "step", "name", "value")


@runtime_checkable
class TakesPictures(Protocol):
    """A logger that shows pictures, given as their files."""

    def log_image(self, key: str, images: list[Any], *, step: int | None = None) -> None:
        """Show the pictures in these files under a heading, `key`."""


class Table(Logger):
    """`metrics.csv`, one row a number: stage, step, name, value. It only grows, each time down to the disk itself, so
    that a killed run loses nothing.

    A stage that resumes at `step` drops its rows from there on: they come again.
    """

    def __init__(self, path: Path, stage: str, step: int = 0) -> None:
        super().__init__()
        self.path, self.stage = path, stage
        kept = [r for r in read_table(path) if r["stage"] != stage or int(r["step"]) < step]
        write_text(path, _lines([COLUMNS, *([row[name] for name in COLUMNS] for row in kept)]))

    @property
    def name(self) -> str:
        """What Lightning calls this logger."""
        return "table"

    @property
    def version(self) -> str:
        """The stage, which tells one table of a run from the next."""
        return self.stage

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's config lies beside the table."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a row for each number but Lightning's epoch, to six digits."""
        rows = [(self.stage, step, name, f"{value:.6g}") for name, value in metrics.items() if name != "epoch"]
        append_text(self.path, _lines(rows))


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as `metrics.csv` has them."""
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a `metrics.csv`; a last line that was cut off in the writing is left out."""
    if not path.is_file():
        return []
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    return list(csv.DictReader(whole))


@LOG.register("csv")
def csv_only(folder: Path, stage: str, run: str) -> list[Logger]:
    """Only the table that every run writes."""
    return []


@LOG.register("wandb")
def weights_and_biases(
    folder: Path,
    stage: str,
    run: str,
    *,
    project: str = "visemix",
    mode: Literal["offline", "online"] = "offline",
    entity: str | None = None,
    group: str | None = None,
) -> list[Logger]:
    """Weights & Biases too, a run of its own per stage; offline ones lie in our run's folder for `wandb sync`.

    `group` is what its runs are listed under: by default the experiment, for the runs of a sweep the sweep. Under
    `wandb agent` the agent says which run it is.

    Raises:
        VisemixError: `mode` "online" without a login.
    """
    if mode == "online" and not _logged_in():
        raise VisemixError("log.mode=online needs a W&B login: run `wandb login`, or say log.mode=offline")
    return [
        WandbLogger(
            project=project,
            entity=entity,
            save_dir=folder,
            offline=mode == "offline",
            name=f"{run}/{stage}",
            group=group or run.rpartition("/")[0] or None,
            job_type=stage,
            id=f"{run}/{stage}".replace("/", "-"),
            resume="allow",
        )
    ]


def close(loggers: Sequence[Logger]) -> None:
    """Close a stage's loggers: W&B would write the next one's numbers into its run."""
    for logger in loggers:
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def publish(
    log: Mapping[str, Any], folder: Path, run: str, scores: Mapping[str, Mapping[str, Any]], videos: Sequence[Path]
) -> None:
    """Hand a run's scores, as a table and as its summary, and its videos to the loggers that take them."""
    for logger in LOG.build(log, folder, "scores", run):
        if isinstance(logger, WandbLogger):
            import wandb

            numbers = {name: row["value"] for name, row in scores.items() if row["value"] is not None}
            rows = [[name, row["value"], row["unit"], row["status"]] for name, row in scores.items()]
            logger.log_table("scores", ["metric", "value", "unit", "status"], rows)
            logger.experiment.log({video.stem: wandb.Video(str(video), format="mp4") for video in videos} | numbers)
            close([logger])


def _logged_in() -> bool:
    """Whether W&B finds a key: in its variable, or where `wandb login` writes it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return netrc.netrc(path).authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
