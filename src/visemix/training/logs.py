"""Where a run's numbers go: always a table in the run's folder; Weights & Biases where it is asked for."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import Logger, WandbLogger

from visemix.registry import Registry

LOG: Registry[list[Logger]] = Registry("logger")  # built with folder, stage and name of the run
COLUMNS = ("stage", "step", "name", "value")


class Table(Logger):
    """`metrics.csv`, one row a number: stage, step, name, value. It only grows, so a killed run loses nothing.

    A stage that resumes at `step` drops its rows from there on: they come again.
    """

    def __init__(self, path: Path, stage: str, step: int = 0) -> None:
        super().__init__()
        self.path, self.stage = path, stage
        kept = [r for r in read_table(path) if r["stage"] != stage or int(r["step"]) < step]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    @property
    def name(self) -> str:
        return "table"

    @property
    def version(self) -> str:
        return self.stage

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The run's config lies beside the table."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        with self.path.open("a", newline="") as file:
            rows = [(self.stage, step, name, f"{value:.6g}") for name, value in metrics.items() if name != "epoch"]
            csv.writer(file).writerows(rows)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a `metrics.csv`; a last line that was cut off in the writing is left out."""
    if not path.is_file():
        return []
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return list(csv.DictReader(whole))


@LOG.register("csv")
def nothing_more(folder: Path, stage: str, run: str) -> list[Logger]:
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
) -> list[Logger]:
    """Weights & Biases too, a run of its own per stage; offline ones lie in our run's folder for `wandb sync`."""
    return [
        WandbLogger(
            project=project,
            entity=entity,
            save_dir=folder,
            offline=mode == "offline",
            name=f"{run}/{stage}",
            id=f"{run}/{stage}".replace("/", "-"),
            resume="allow",
        )
    ]
