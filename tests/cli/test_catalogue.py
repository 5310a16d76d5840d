import json

from typer.testing import CliRunner

from visemix.cli.app import app


def visemix(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_parts_for_programs_is_json_with_types_and_defaults():
    found = json.loads(visemix("parts", "--json").stdout)
    assert set(found) == {"face", "audio", "motion", "render", "data", "log", "tracker", "fit", "scene", "metrics"}
    assert found["fit"]["rnet"]["options"]["weights"] == {"type": "str"}
    assert found["motion"]["a2ep"]["options"]["layers"] == {"type": "int", "range": "at least 1", "default": 1}
    assert "default" not in found["data"]["clips"]["options"]["root"]
    assert visemix("parts").stdout.startswith("face\n")


def test_doctor_looks_for_what_breaks_torch():
    lines = visemix("doctor").stdout.splitlines()
    assert "ok  torchvision is absent, as it should be" in lines
    assert any(line.startswith("ok  torch ") for line in lines)
    assert any(line.startswith("ok  face model toy: ") for line in lines)


def test_doctor_says_how_to_come_by_what_makes_it_fast(tmp_path, monkeypatch):
    (tmp_path / "pytorch3d").mkdir()
    (tmp_path / "pytorch3d/__init__.py").touch()
    brought = tmp_path / "easypytorch3d-0.7.9.dist-info"  # its wheel goes by another name
    brought.mkdir()
    (brought / "METADATA").write_text("Metadata-Version: 2.1\nName: easypytorch3d\nVersion: 0.7.9\n")
    (brought / "top_level.txt").write_text("pytorch3d\n")
    monkeypatch.syspath_prepend(tmp_path)
    lines = visemix("doctor").stdout.splitlines()
    assert any(line.startswith("ok  pytorch3d 0.7.9: ") and "pip install easypytorch3d" in line for line in lines)
    assert any(" nerfacc " in line and "pip install nerfacc" in line for line in lines)
    assert any(" tinycudann " in line and "github.com/NVlabs/tiny-cuda-nn" in line for line in lines)


def test_parts_lists_what_finds_and_fits_faces_and_what_metrics_say_of_themselves():
    found = json.loads(visemix("parts", "--json").stdout)
    assert {"mediapipe"} <= {*found["tracker"]} and {"landmarks", "rnet"} <= {*found["fit"]}
    assert {"mediapipe", "bisenet"} <= {*found["scene"]}
    assert found["fit"]["rnet"]["options"] == {
        "weights": {"type": "str"},
        "batch": {"type": "int", "range": "at least 1", "default": 16},
    }
    of_rnet, lmd = found["fit"]["rnet"], found["metrics"]["lmd"]
    assert of_rnet["source"] == "Deng et al. 2019"
    assert (lmd["unit"], lmd["better"], lmd["headline"], lmd["without_truth"]) == ("px", "lower", True, False)
    assert found["metrics"]["jitter"]["better"] == "nearer 1"
    assert found["metrics"]["avproxy_corr@0"]["better"] == ""  # it ranks nothing
