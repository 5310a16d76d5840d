import pytest
import torch
from torch import nn

from visemix.metrics import FrameBatch, Suite
from visemix.metrics.weights import PretrainedWeights, ReleasedFile
from visemix.ops.store import sha256
from visemix.types import VisemixError


def save(path, net):
    torch.save(net.state_dict(), path)
    return sha256(path)


def test_a_file_is_found_by_its_released_name_in_the_folder_given(tmp_path):
    digest = save(tmp_path / "tiny.pth", nn.Linear(2, 1))
    weights = PretrainedWeights(ReleasedFile("tiny.pth", digest, "somewhere"), str(tmp_path))
    net = weights.load(lambda: nn.Linear(2, 1))
    assert weights.missing() is None
    assert weights.about() == {"file": "tiny.pth", "sha256": digest, "expected_sha256": digest}
    assert not net.training and not net.weight.requires_grad


def test_the_environment_names_the_folder_where_nobody_else_does(tmp_path, monkeypatch):
    monkeypatch.setenv("VISEMIX_WEIGHTS", str(tmp_path))
    weights = PretrainedWeights(ReleasedFile("tiny.pth", "ab12", "somewhere"))
    assert weights.missing() == (
        f"{tmp_path / 'tiny.pth'} not found; expected sha256 ab12; get it from somewhere and say --weights FOLDER"
    )
    save(tmp_path / "tiny.pth", nn.Linear(2, 1))
    assert weights.missing() is None


def test_another_file_of_that_name_is_refused_with_its_sha256_unless_it_is_asked_for(tmp_path):
    digest = save(tmp_path / "tiny.pth", nn.Linear(2, 1))
    released = ReleasedFile("tiny.pth", "0" * 64, "somewhere")
    with pytest.raises(VisemixError, match=f"has sha256 {digest}, expected 0000"):
        PretrainedWeights(released, str(tmp_path)).load(lambda: nn.Linear(2, 1))
    PretrainedWeights(released, str(tmp_path), sha256=digest).load(lambda: nn.Linear(2, 1))
    PretrainedWeights(released, str(tmp_path), sha256="").load(lambda: nn.Linear(2, 1))


def test_damaged_and_foreign_files_are_refused_with_their_sha256(tmp_path):
    path = tmp_path / "tiny.pth"
    digest = save(path, nn.Linear(3, 1))
    weights = PretrainedWeights(ReleasedFile("tiny.pth", None, "somewhere"), str(path))
    with pytest.raises(VisemixError, match=rf"sha256 {digest}\) does not fit in 'weight'"):
        weights.load(lambda: nn.Linear(2, 1))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(VisemixError, match=rf"cannot be read as weights.*\(sha256 {sha256(path)}\)"):
        weights.load(lambda: nn.Linear(2, 1))


def test_a_batch_norms_counter_may_be_left_out(tmp_path):
    net = nn.BatchNorm1d(2)
    torch.save({k: v for k, v in net.state_dict().items() if k != "num_batches_tracked"}, tmp_path / "bn.pth")
    PretrainedWeights(ReleasedFile("bn.pth", None, "somewhere"), str(tmp_path)).load(lambda: nn.BatchNorm1d(2))


def test_damaged_weights_spoil_their_own_metric_only(tmp_path):
    (tmp_path / "alexnet-owt-7be5be79.pth").write_bytes(b"no weights")
    suite = Suite([{"name": "lpips", "weights": str(tmp_path)}, "psnr"])
    batch = FrameBatch(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    suite.update(FrameBatch(batch.frames + 1), batch)
    scores = suite.finish_clip()
    assert scores["psnr"].status == "ok"
    assert scores["lpips"].status == "invalid"
    assert sha256(tmp_path / "alexnet-owt-7be5be79.pth") in scores["lpips"].reason


def test_untrained_weights_give_no_score(pair):
    suite = Suite([{"name": "lpips", "weights": "random"}])
    g = torch.Generator().manual_seed(0)
    fake, real = (FrameBatch(torch.randint(0, 256, (2, 3, 64, 64), generator=g, dtype=torch.uint8)) for _ in range(2))
    suite.update(fake, real)
    score = suite.finish_clip()["lpips"]
    assert (score.value, score.status) == (None, "invalid")
    assert "random" in score.reason
    assert suite.pooled("lpips") is None
