"""The two papers' own tables, to stand beside ours. What they were measured on, and how, is theirs: see `CAUTION`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from visemix.report.tables import Cell, Group, Row

CAUTION = (
    "Quoted rows are the papers' own figures on other videos; neither paper states its landmark detector, its SSIM "
    "window, its crops or its test clips, and neither released the code that measured them. Orders may be compared, "
    "numbers may not."
)
TRUTH = "Ground truth"
Value = float | None  # None: the paper prints a dash


@dataclass(frozen=True)
class Quoted:
    """One printed table: its columns under our names for the metrics, its rows under the paper's names."""

    paper: str
    table: str
    about: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[Value, ...]]
    margins: dict[str, tuple[float, ...]] | None = None  # half of the 95 % intervals, where they are printed

    def group(self, keys: Sequence[str]) -> Group | None:
        """The rows, with the columns that `keys` names; None where it has none of them."""
        if not set(keys) & set(self.columns):
            return None
        rows = [Row(name, self._cells(name, keys), name != TRUTH) for name in self.rows]
        return Group(f"quoted: {self.paper}, {self.table}, {self.about}", rows)

    def _cells(self, name: str, keys: Sequence[str]) -> dict[str, Cell]:
        margins = (self.margins or {}).get(name, (None,) * len(self.columns))
        printed = zip(self.columns, self.rows[name], margins, strict=True)
        return {
            key: Cell(value, None if margin is None else (value - margin, value + margin))
            for key, value, margin in printed
            if key in keys and value is not None
        }


GSMOOTHFACE, GENEFACE = "GSmoothFace (arXiv 2312.07385)", "GeneFace (arXiv 2301.13430)"
LIPS = ("lmd", "ssim", "psnr", "cpbd", "lse_c")  # the paper's "AV conf." is SyncNet's confidence
FIDELITY = ("fid", "lmd", "lse_c", "fid_ood", "lse_c_ood")  # so is GeneFace's "Sync"; the last two on foreign speech
OPINIONS = ("lip_sync", "image_quality", "video_realism")

VOXCELEB = Quoted(
    GSMOOTHFACE,
    "Table I",
    "VoxCeleb 256²",
    LIPS,
    {
        "ATVG": (1.892, 0.578, 21.092, 0.082, 5.120),
        "Wav2Lip": (2.180, 0.722, 30.124, 0.173, 7.432),
        "MakeItTalk": (2.152, 0.678, 24.128, 0.161, 4.842),
        "PC-AVS": (1.480, 0.582, 20.102, 0.182, 7.134),
        TRUTH: (0.000, 1.000, math.inf, 0.252, 7.893),
        "GSmoothFace": (1.280, 0.858, 38.852, 0.212, 7.345),
    },
)
HDTF = Quoted(
    GSMOOTHFACE,
    "Table I",
    "HDTF 512²",
    LIPS,
    {
        "ATVG": (1.670, 0.679, 22.205, 0.071, 6.381),
        "Wav2Lip": (1.790, 0.931, 32.165, 0.174, 8.617),
        "MakeItTalk": (1.750, 0.774, 24.221, 0.261, 6.259),
        "PC-AVS": (2.440, 0.466, 13.405, 0.144, 8.143),
        TRUTH: (0.000, 1.000, math.inf, 0.289, 7.646),
        "GSmoothFace": (0.820, 0.987, 43.292, 0.268, 7.314),
    },
)
SPEAKERS = Quoted(
    GSMOOTHFACE,
    "Table III",
    "three speakers",
    LIPS,
    {
        "NVP": (3.215, 0.688, 35.164, 0.182, 6.486),
        "FACIAL": (2.352, 0.954, 38.102, 0.214, 6.862),
        "GSmoothFace": (1.423, 0.965, 40.702, 0.246, 7.985),
    },
)
ABLATIONS = Quoted(
    GSMOOTHFACE,
    "Table IV",
    "ablations on part of HDTF",
    LIPS,
    {
        "w/o TempAud": (2.826, 0.802, 31.120, 0.153, 5.830),
        "w/o ExpSurp": (2.432, 0.813, 30.824, 0.138, 5.542),
        "w/o Template": (1.582, 0.820, 31.421, 0.148, 6.183),
        "w/o MouthAttn": (1.158, 0.894, 31.240, 0.156, 6.581),
        "w/o MAFB": (None, 0.430, 32.082, 0.136, None),
        "w/o MorphoAug": (1.263, 0.782, 35.128, 0.183, 6.216),
        "Full model": (0.952, 0.914, 37.212, 0.198, 6.932),
    },
)
PEOPLE = Quoted(
    GENEFACE,
    "Table 1",
    "five people, 512²",
    FIDELITY,
    {
        "Wav2Lip": (71.40, 3.988, 9.212, 68.05, 9.645),
        "MakeItTalk": (57.96, 4.848, 4.981, 53.33, 4.933),
        "PC-AVS": (96.81, 5.812, 6.239, 98.31, 6.156),
        "LSP": (29.30, 4.589, 6.119, 35.21, 4.320),
        "AD-NeRF": (27.52, 4.199, 4.894, 35.69, 4.225),
        TRUTH: (0.00, 0.000, 8.733, None, None),
        "GeneFace": (22.88, 3.933, 6.987, 27.38, 6.212),
    },
)
SETTINGS = Quoted(
    GENEFACE,
    "Table 3",
    "ablations",
    FIDELITY,
    {
        "GeneFace": (22.88, 3.933, 6.987, 27.38, 6.212),
        "w/o prior flow": (24.71, 4.063, 6.404, 29.55, 5.831),
        "w/o sync-expert": (24.02, 4.151, 5.972, 30.77, 5.549),
        "w/o post-net": (30.26, 4.532, 5.085, 35.58, 5.248),
        "w. fine-tune": (25.75, 4.227, 6.875, 29.30, 5.966),
        "w/o head-aware": (26.34, 3.948, 6.899, 28.89, 6.167),
    },
)
GENERATORS = Quoted(
    GENEFACE,
    "Table 5",
    "audio to motion",
    ("lm3d_mse", "lmd"),
    {
        "GeneFace": (0.0371, 3.933),
        "vanilla VAE": (0.0385, 4.063),
        "regression": (0.0424, 4.305),
        "AD-NeRF": (None, 4.199),
    },
)
VOLUNTEERS = Quoted(
    GSMOOTHFACE,
    "Table II",
    "18 raters, 20 videos, −2 to 2",
    OPINIONS,
    {
        "ATVG": (1.12, -0.83, -1.13),
        "Wav2Lip": (1.47, 0.10, 1.12),
        "MakeItTalk": (-0.18, -0.87, -0.97),
        "PC-AVS": (0.83, 1.47, 0.99),
        TRUTH: (1.78, 1.83, 1.78),
        "GSmoothFace": (1.83, 1.78, 1.61),
    },
)
ATTENDEES = Quoted(
    GENEFACE,
    "Table 2",
    "MOS of 20 raters, 10 clips, 1 to 5",
    OPINIONS,
    {
        "Wav2Lip": (3.77, 3.38, 3.27),
        "MakeItTalk": (2.86, 2.84, 2.52),
        "PC-AVS": (3.11, 2.73, 2.46),
        "LSP": (3.65, 3.92, 3.62),
        "AD-NeRF": (3.05, 3.44, 3.31),
        "GeneFace": (3.82, 3.87, 3.87),
    },
    {
        "Wav2Lip": (0.25, 0.19, 0.26),
        "MakeItTalk": (0.33, 0.20, 0.30),
        "PC-AVS": (0.30, 0.25, 0.28),
        "LSP": (0.20, 0.13, 0.24),
        "AD-NeRF": (0.26, 0.22, 0.31),
        "GeneFace": (0.24, 0.16, 0.16),
    },
)
COMPARISONS = (HDTF, PEOPLE)  # stand in every table
DETAILS = (VOXCELEB, SPEAKERS, ABLATIONS, SETTINGS, GENERATORS)  # folded away below it
LAYOUTS: dict[str, tuple[tuple[str, ...], tuple[Quoted, ...]]] = {
    # printed comparisons: their columns, and whose rows may stand in them; without columns, the metrics' headlines
    "gsmoothface-1": (LIPS, (HDTF, VOXCELEB)),
    "geneface-1": (FIDELITY, (PEOPLE,)),
    "headlines": ((), COMPARISONS),
}
ABLATED = {"gsmoothface-4": ABLATIONS, "geneface-3": SETTINGS, "geneface-5": GENERATORS}  # what a sweep may name
