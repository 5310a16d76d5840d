"""Runs of a few steps, of stand-ins."""

import csv

SHORT = {"steps": 6, "batch": 2, "window": 4, "val_every": 3, "save_every": 2, "log_every": 1, "lr": 1e-2}
PARTS = {
    "face": {"name": "toy"},
    "audio": {"name": "spectrum"},
    "motion": {"name": "gru"},
    "render": {"name": "dots"},
    "data": {"name": "noise"},
}


def config(out, **changes):
    train = {"name": "cpu", "motion": SHORT, "render": SHORT | {"ema": 0.5}}
    return PARTS | {"train": train, "out": str(out), "device": "cpu"} | changes


def table(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))
