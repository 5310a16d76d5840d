"""Every encoder with every motion model and every renderer: trained, generated and scored, at the smallest scale."""

import json
from pathlib import Path

import pytest

from visemix.corpus.make import corpus
from visemix.evaluation.heldout import FOLDER, SCORES
from visemix.sweep.runner import sweep, write_sweep

MATRIX = Path(__file__).parents[1] / "experiments/mixed/matrix.yaml"


@pytest.mark.slow
def test_the_whole_matrix_is_trained_generated_and_scored(tmp_path):
    corpus(tmp_path / "corpus", speakers=1, minutes=0.1, size=64, synthesiser="formants")
    corpus(tmp_path / "target", speakers=1, minutes=0.15, size=64, synthesiser="formants", seed=1)
    here = [f"data.root={tmp_path / 'corpus'}", f"data.target={tmp_path / 'target'}", "data.clips=[ada_000]"]
    outcomes = sweep(
        MATRIX, ["use.scale=tiny", "data.holdout=1.0", f"out={tmp_path / 'runs'}", *here], jobs=2, progress=False
    )
    assert len(outcomes) == 48 and not [one.reason for one in outcomes if one.reason]
    # for each encoder A2EP, regression, sync-expert, flow-VAE and post-net; and the four renderers
    assert len(list((tmp_path / "runs/stages").glob("*/model.safetensors"))) == 3 * 5 + 4
    for one in outcomes:
        assert len(list((one.folder / FOLDER / "fake").glob("*.mp4"))) == 1
        assert json.loads((one.folder / FOLDER / SCORES).read_text())["summary"]["psnr"]["status"] == "ok"
    assert write_sweep(MATRIX, outcomes)[0][0].read_text().count("motion=") == 48
