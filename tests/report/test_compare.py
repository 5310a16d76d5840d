import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import visemix.evaluation.pair
from visemix.config import compose
from visemix.data import VideoWriter
from visemix.report.compare import compare
from visemix.report.quoted import LAYOUTS
from visemix.run import complete_config
from visemix.types import VisemixError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Recordings, a method that repeats them, one that darkens them, and the second's foreign speech."""
    monkeypatch.setattr(visemix.evaluation.pair, "make_tracker", lambda: (None, "no tracker in this test"))
    pictures = torch.rand(6, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    for folder, share in {"real": 1.0, "same": 1.0, "dark": 0.5, "foreign/real": 1.0, "foreign/dark": 0.5}.items():
        (tmp_path / folder).mkdir(parents=True)
        with VideoWriter(tmp_path / folder / "a.mp4") as writer:
            for picture in pictures:
                writer.write(picture * share)
    return tmp_path


def write(folders, **changes):
    methods = {"Wav2Lip": str(folders / "dark"), "LSP": str(folders / "nowhere"), "ours": str(folders / "same")}
    cfg = {"real": str(folders / "real"), "methods": methods, "tables": ["gsmoothface-1", "geneface-1"]}
    OmegaConf.save(OmegaConf.create(cfg | changes), folders / "others.yaml")
    return folders / "others.yaml"


def test_folders_of_videos_become_both_papers_tables_with_the_recordings_row(folders, caplog):
    out = folders / "out"
    foreign = {"real": str(folders / "foreign/real"), "methods": {"Wav2Lip": str(folders / "foreign/dark")}}
    files = compare(write(folders, ood=foreign), out, progress=False)
    assert {path.name for path in files} == {
        f"{table}.{kind}" for table in ("gsmoothface-1", "geneface-1") for kind in ("md", "tex", "csv", "json")
    }
    assert "LSP is left out: there is no folder" in caplog.text
    lines = (out / "gsmoothface-1.md").read_text().splitlines()
    assert [word.split()[0] for word in lines[0].split("|")[2:-1]] == ["lmd", "ssim", "psnr", "cpbd", "lse_c"]
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert rows[3:6] == ["recorded", "Wav2Lip", "ours"] and rows.count("PC-AVS") == 2  # HDTF's and VoxCeleb's
    table = json.loads((out / "geneface-1.json").read_text())["rows"]
    assert {"fid_ood", "lse_c_ood"} <= {row["metric"] for row in table if row["method"] == "Wav2Lip"}
    psnr = {
        row["method"]: row["value"]
        for row in json.loads((out / "gsmoothface-1.json").read_text())["rows"]
        if row["metric"] == "psnr" and row["group"].startswith("measured here")
    }
    assert psnr["recorded"] == psnr["ours"] == "inf" and psnr["Wav2Lip"] < 20


def test_scores_are_kept_until_a_video_is_younger(folders):
    out = folders / "out"
    compare(write(folders), out, progress=False)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*[a-z2].json") if "-1" not in path.name}
    assert {path.stem for path in kept} == {"Wav2Lip", "ours"}
    compare(write(folders), out, progress=False)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    (folders / "dark/a.mp4").touch()
    compare(write(folders), out, progress=False)
    anew = [path.stem for path, before in kept.items() if path.stat().st_mtime_ns != before]
    assert anew == ["Wav2Lip"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": {}}, "a comparison knows no 'method'; did you mean 'methods'"),
        ({"tables": ["geneface-2"]}, "no table 'geneface-2'; did you mean 'geneface-1'"),
        ({"real": "nowhere"}, "no recordings at nowhere"),
        ({"methods": {"LSP": "nowhere"}}, r"none of the folders in .*others.yaml is there \(nowhere\)"),
    ],
)
def test_a_bad_comparison_is_refused_in_a_sentence(folders, change, message):
    with pytest.raises(VisemixError, match=message):
        compare(write(folders, **change), folders / "out", progress=False)


def test_the_committed_comparison_names_tables_that_are_there():
    cfg = OmegaConf.load(ROOT / "experiments/comparison/others.yaml")
    assert {*cfg.tables} <= {*LAYOUTS} and {"Wav2Lip", "MakeItTalk", "PC-AVS", "AD-NeRF"} <= {*cfg.methods}


def test_what_the_committed_agent_runs_is_an_experiment_with_those_options():
    agent = OmegaConf.to_container(OmegaConf.load(ROOT / "experiments/wandb/agent.yaml"))
    program, command, experiment, *overrides, rest = agent["command"]
    assert (program, command, rest) == ("visemix", "fit", "${args_no_hyphens}")
    point = [f"{key}={about.get('values', [about.get('min')])[0]}" for key, about in agent["parameters"].items()]
    cfg = complete_config(compose(ROOT / "experiments" / experiment, [*overrides, *point]))
    assert cfg.log.name == "wandb" and list(cfg.fit) == ["motion"] and cfg.train.motion.lr == 1e-4
