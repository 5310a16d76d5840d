import pytest
import torch
from safetensors import SafetensorError

from visemix.training.checkpoint import TensorCheckpoints, flatten, stored_step
from visemix.types import VisemixError

STATE = {
    "global_step": 7,
    "state_dict": {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor(2.5)},
    "optimizer_states": [
        {
            "state": {0: {"step": torch.tensor(7.0), "exp_avg": torch.ones(2, 3).T}, 1: {}},
            "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "fused": None, "params": [0, 1]}],
        }
    ],
    "loops": {"fit_loop": {"done": True, "name": "α", "never": float("inf")}},
}


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def test_a_training_state_comes_back_as_it_was(tmp_path):
    TensorCheckpoints().save_checkpoint(STATE, tmp_path / "deep" / "state.safetensors")
    assert equal(TensorCheckpoints().load_checkpoint(tmp_path / "deep" / "state.safetensors"), STATE)
    assert stored_step(tmp_path / "deep" / "state.safetensors") == 7
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["state.safetensors"]


def test_weights_that_share_memory_are_both_kept(tmp_path):
    weight = torch.arange(4.0)
    state = STATE | {"state_dict": {"tied": weight, "also": weight, "part": weight[:2]}}
    TensorCheckpoints().save_checkpoint(state, tmp_path / "state.safetensors")
    assert equal(TensorCheckpoints().load_checkpoint(tmp_path / "state.safetensors"), state)


def test_what_only_a_pickle_could_hold_is_refused_by_its_place():
    with pytest.raises(TypeError, match="/callbacks/mine of the checkpoint is a Generator"):
        flatten({"callbacks": {"mine": torch.Generator()}}, {})


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_broken_state_says_how_to_go_on(tmp_path, content):
    (tmp_path / "state.safetensors").write_bytes(content)
    for read in (stored_step, TensorCheckpoints().load_checkpoint):
        with pytest.raises(VisemixError, match=r"no training state .*; delete it to start the stage anew"):
            read(tmp_path / "state.safetensors")


def test_a_failed_write_leaves_the_state_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    TensorCheckpoints().save_checkpoint(STATE, path)

    def full(*_):
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(VisemixError, match=r"could not be written \(No space"):
        TensorCheckpoints().save_checkpoint(STATE | {"global_step": 8}, path)
    assert stored_step(path) == 7
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]
