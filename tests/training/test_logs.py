import json

import pytest

from visemix.training.logs import LOG, Table, publish, read_table
from visemix.types import VisemixError


def rows(path):
    return [(r["stage"], int(r["step"]), r["name"], r["value"]) for r in read_table(path)]


def test_a_table_grows_by_a_row_for_every_number(tmp_path):
    table = Table(tmp_path / "metrics.csv", "motion")
    table.log_metrics({"train/total": 0.123456789, "epoch": 0}, 3)
    table.log_metrics({"val/total": 2.0}, 4)
    assert (tmp_path / "metrics.csv").read_text() == (
        "stage,step,name,value\nmotion,3,train/total,0.123457\nmotion,4,val/total,2\n"
    )


def test_a_stage_that_resumes_drops_what_it_will_say_again_and_nothing_else(tmp_path):
    path = tmp_path / "metrics.csv"
    for stage in ("motion", "render"):
        table = Table(path, stage)
        for step in range(4):
            table.log_metrics({"loss": float(step)}, step)
    Table(path, "render", 2)
    assert rows(path) == [
        *[("motion", k, "loss", str(k)) for k in range(4)],
        *[("render", k, "loss", str(k)) for k in (0, 1)],
    ]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path):
    path = tmp_path / "metrics.csv"
    Table(path, "motion").log_metrics({"loss": 0.125}, 0)
    with path.open("a") as file:
        file.write("motion,1,loss,0.12")
    assert rows(path) == [("motion", 0, "loss", "0.125")]


def test_scores_and_videos_go_to_weights_and_biases_as_a_table_and_as_videos(tmp_path):
    (tmp_path / "anna.mp4").write_bytes(b"not looked into")
    scores = {
        "psnr": {"value": 31.5, "unit": "dB", "status": "ok"},
        "fid": {"value": None, "unit": "", "status": "unavailable"},
    }
    publish({"name": "wandb", "group": "which"}, tmp_path, "which/1a2b3c4d", scores, [tmp_path / "anna.mp4"])
    (media,) = tmp_path.glob("wandb/offline-run-*/files/media")
    assert [path.read_bytes() for path in media.rglob("*.mp4")] == [b"not looked into"]
    (table,) = media.rglob("*.table.json")
    assert json.loads(table.read_text())["data"][0] == ["psnr", 31.5, "dB", "ok"]
    publish({"name": "csv"}, tmp_path, "which/1a2b3c4d", scores, [])  # which has no place for them


def test_runs_are_grouped_by_their_experiment_or_by_their_sweep(tmp_path):
    logger = LOG.build({"name": "wandb"}, tmp_path, "motion", "gsmoothface/corpus/1a2b3c4d")[0]
    assert (logger._wandb_init["group"], logger._wandb_init["job_type"]) == ("gsmoothface/corpus", "motion")
    logger = LOG.build({"name": "wandb", "group": "which"}, tmp_path, "motion", "stages/1a2b3c4d")[0]
    assert logger._wandb_init["group"] == "which"


def test_without_a_login_online_logging_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    online = {"name": "wandb", "mode": "online"}
    with pytest.raises(VisemixError, match=r"needs a W&B login: run `wandb login`, or say log\.mode=offline"):
        LOG.build(online, tmp_path, "motion", "which/1a2b3c4d")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password 0123456789\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert LOG.build(online, tmp_path, "motion", "which/1a2b3c4d")
