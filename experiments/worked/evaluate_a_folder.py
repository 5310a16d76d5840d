"""Evaluate a folder of videos: anyone's, beside what was recorded, into a table one can put in a paper.

    python experiments/worked/evaluate_a_folder.py REAL OUT NAME=FOLDER [NAME=FOLDER ...]

REAL and each FOLDER hold videos that go by the same names. Every method is scored by the same code against the same
recordings, and the recordings against themselves, which is the table's first row: what a perfect method would reach.
"""

from __future__ import annotations

import sys
from pathlib import Path

from visemix.evaluation import evaluate
from visemix.report.formats import markdown, write_tables
from visemix.report.results import comparison

METRICS = ["psnr", "ssim", "lmd", "lse_c"]  # `visemix parts` lists them all; None measures every one


def main(real: Path, out: Path, folders: dict[str, Path]) -> None:
    results = {name: evaluate(real, folder, METRICS, progress=False) for name, folder in folders.items()}
    for name, result in results.items():
        for metric, row in result.summary.items():
            # A metric that could not be measured has no number, and never a zero: its status and reason say why.
            if row.status not in ("ok", "inf"):
                sys.stdout.write(f"{name}, {metric}: {result.details[metric].reason}\n")

    # Ours above, the papers' own rows below for orientation, the best of each group in bold, reasons as footnotes.
    table = comparison(results, only=METRICS)
    out.mkdir(parents=True, exist_ok=True)
    write_tables([out / "table.md", out / "table.tex", out / "table.csv"], table)
    sys.stdout.write(markdown(table))

    # The same from the command line, into the layouts of both papers' tables: experiments/comparison/others.yaml


if __name__ == "__main__":
    _, real, out, *methods = sys.argv
    main(Path(real), Path(out), {name: Path(folder) for name, folder in (method.split("=", 1) for method in methods)})
