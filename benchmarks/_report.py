"""What every benchmark shares: timing in rounds, facts about the machine, one table and one JSON file."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """Seconds that one variant took, one figure per round; the same as processor time; cores that others used."""

    seconds: tuple[float, ...]
    cpu: tuple[float, ...]
    others: float = 0.0

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def iqr(self) -> float:
        """Distance between the quartiles: how restless the machine was."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = quantiles(self.seconds, n=4, method="inclusive")
        return high - low

    def over(self, other: Sample) -> float:
        """How many times as long as `other`: the median of the ratios inside each round."""
        return median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))

    def row(self) -> dict[str, float | int]:
        """Columns for `report`."""
        best, n = min(self.seconds), len(self.seconds)
        row = {"ms": self.median, "iqr_ms": self.iqr, "best_ms": best, "cpu_ms": median(self.cpu)}
        return {**{column: 1e3 * seconds for column, seconds in row.items()}, "n": n, "others": self.others}


def measure(variants: Mapping[str, Callable[[], object]], *, rounds: int = 15, warmup: int = 2) -> dict[str, Sample]:
    """Time every variant once per round, so that what is compared ran under the same load. Waits for the GPU.

    Rounds in which other programs used the cores are dropped; if fewer than five were quiet, the quietest five count.
    """
    for call in variants.values():
        for _ in range(warmup):
            call()
    taken: list[tuple[float, list[tuple[float, float]]]] = []  # cores that others used; time and processor time of each
    for _ in range(rounds):
        before, times = _others(), []
        began = time.perf_counter()
        for call in variants.values():
            _wait()
            start, cpu = time.perf_counter(), time.process_time()
            call()
            _wait()
            times.append((time.perf_counter() - start, time.process_time() - cpu))
        taken.append((max(0.0, (_others() - before) / (time.perf_counter() - began)), times))
    taken.sort(key=lambda round_: round_[0])
    quiet = sum(others < 0.1 for others, _ in taken)
    kept = taken[: max(quiet, min(5, rounds))]
    busy = max(others for others, _ in kept)
    samples = {}
    for i, name in enumerate(variants):
        wall, processor = zip(*(times[i] for _, times in kept), strict=True)
        samples[name] = Sample(wall, processor, busy)
    return samples


def report(name: str, rows: Sequence[Mapping[str, Any]], **settings: Any) -> Path:
    """Print `rows` (column → value) as a table and write them with `settings` to `results/<name>.json`."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns, title=name)
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console(width=160).print(table)
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    content = {"name": name, "machine": machine(), "settings": settings, "rows": [dict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def machine() -> dict[str, Any]:
    """What a figure means nothing without. Neither the machine's name nor any folder of it."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": _git("rev-parse", "--short", "HEAD") + ("+changes" if _git("status", "--porcelain", "-uno") else ""),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(
            ["python", f"benchmarks/{Path(sys.argv[0]).name}", *(_short(word) for word in sys.argv[1:])]
        ),
    }


def _short(word: str) -> str:
    """An absolute path says nothing on another machine: its name only."""
    key, is_given, value = word.rpartition("=")
    return f"{key}{is_given}{Path(value).name}" if Path(value).is_absolute() else word


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _others() -> float:
    """Seconds of processor time that every other program has used so far (Linux; 0 elsewhere)."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system = (int(word) for word in stat.read_text(encoding="utf-8").split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK") - time.process_time()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def _git(*words: str) -> str:
    out = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False, encoding="utf-8")
    return out.stdout.strip() or ("unknown" if words[0] == "rev-parse" else "")


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
