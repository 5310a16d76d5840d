"""The model as other programs use it: one import, files in, shared by a folder or a hub."""

import shutil
import subprocess
import sys

import pytest
import torch
from clip_maker import make
from huggingface_hub import HfApi

import visemix
from visemix.data import ClipFolder, read_sound
from visemix.pipeline import TalkingFace
from visemix.types import Speech

CONFIG = {
    "face": {"name": "toy"},
    "audio": {"name": "mel", "dim": 8},
    "motion": {"name": "regression", "hidden": 8},
    "render": {"name": "mesh"},
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = TalkingFace.from_config(CONFIG).eval()
    model.notes = {"trained": ["motion", "render"]}
    return model


def test_one_import_is_enough_and_costs_nothing_before_it_is_used():
    assert visemix.TalkingFace is TalkingFace
    with pytest.raises(AttributeError, match="no attribute 'TalkingHead'"):
        _ = visemix.TalkingHead
    code = "import visemix, sys; print('torch' in sys.modules, visemix.__version__)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == "False"


def test_sound_and_target_may_be_files(model, face, tmp_path):
    make(tmp_path / "anna", face, frames=6)
    sound = tmp_path / "anna/sound.flac"
    speech, clip = Speech(torch.as_tensor(read_sound(sound))[None]), ClipFolder(tmp_path / "anna", face)
    model.save_pretrained(tmp_path / "model")
    loaded = TalkingFace.from_pretrained(tmp_path / "model")
    with torch.inference_mode():
        by_name = loaded(sound, tmp_path / "anna").frames
        by_hand = model(speech, clip.subject(range(speech.frames), reference=0)).frames
    assert by_name.shape[:3] == (1, 6, 3)
    torch.testing.assert_close(by_name, by_hand)
    longer = Speech(torch.cat([speech.wave] * 2, 1))
    with torch.inference_mode():  # there and back again
        assert loaded(longer, tmp_path / "anna").frames.shape[1] == 12


def test_a_model_goes_to_a_hub_and_comes_back(model, tmp_path, monkeypatch):
    hub = tmp_path / "hub"

    def upload(self, *, repo_id, folder_path, **options):
        shutil.copytree(folder_path, hub / repo_id)

    monkeypatch.setattr(HfApi, "create_repo", lambda self, repo_id, **options: type("Repo", (), {"repo_id": repo_id}))
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    monkeypatch.setattr("visemix.pipeline.hf_hub_download", lambda repo_id, name, revision: str(hub / repo_id / name))
    model.push_to_hub("anna/talks")
    assert {path.name for path in (hub / "anna/talks").iterdir()} == {"model.safetensors", "README.md"}
    assert "library_name: visemix" in (hub / "anna/talks/README.md").read_text()
    back = TalkingFace.from_pretrained("anna/talks")
    assert back.notes["trained"] == ["motion", "render"] and not back.training
    for name, weight in model.state_dict().items():
        assert torch.equal(back.state_dict()[name], weight)
