import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from visemix.nn.perceptual import VGG19, PerceptualLoss, gram
from visemix.types import VisemixError

CONVOLUTIONS = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]  # as torchvision numbers them


@pytest.fixture(scope="module")
def vgg():
    torch.manual_seed(0)
    return VGG19("random")


def state(vgg):
    return {f"features.{name}": w.clone() for name, w in vgg.features.named_buffers()}


def test_its_weights_have_torchvisions_names_and_number(vgg):
    wanted = [f"features.{i}.{part}" for i in CONVOLUTIONS for part in ("weight", "bias")]
    assert list(state(vgg)) == wanted
    assert sum(w.numel() for w in state(vgg).values()) == 20_024_384


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_come_from_a_file_and_its_classifier_is_passed_over(vgg, tmp_path, suffix):
    path = tmp_path / f"vgg19{suffix}"
    saved = state(vgg) | {"classifier.0.weight": torch.zeros(2, 2)}
    save_file(saved, path) if suffix == ".safetensors" else torch.save(saved, path)
    torch.manual_seed(1)
    loaded = VGG19(str(path))
    picture = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(loaded(picture)[-1], vgg(picture)[-1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("features.5.bias"), "lacks 'features.5.bias'"),
        (lambda s: s.update({"features.0.weight": torch.zeros(64, 1, 3, 3)}), "has another 'features.0.weight'"),
        (lambda s: s.update({"features.35.weight": torch.zeros(1)}), "has an unknown 'features.35.weight'"),
    ],
)
def test_a_file_of_another_network_is_refused_by_the_name_of_the_weight(vgg, tmp_path, change, says):
    saved = state(vgg)
    change(saved)
    save_file(saved, tmp_path / "vgg.safetensors")
    with pytest.raises(VisemixError, match=says):
        VGG19(str(tmp_path / "vgg.safetensors"))


def test_a_missing_file_a_text_file_and_a_list_are_refused_by_path(tmp_path):
    (tmp_path / "text.pth").write_text("not weights")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({"net": torch.nn.Linear(1, 1)}, tmp_path / "whole.pth")
    (tmp_path / "noise.pth").write_bytes(bytes(range(1, 200)))
    cases = {"none.pth": "no weights at", "text.pth": "cannot be read", "list.pth": "no state dict"}
    cases |= {"whole.pth": "damaged, or holds more than tensors", "noise.pth": "damaged, or holds more than tensors"}
    for name, says in cases.items():
        with pytest.raises(VisemixError, match=says) as error:
            VGG19(str(tmp_path / name))
        assert name in str(error.value) and "weights_only" not in str(error.value)


def test_it_cannot_learn_and_is_no_part_of_a_checkpoint_but_gradients_reach_the_picture(vgg):
    loss = PerceptualLoss("random", scales=1)
    assert not list(loss.parameters())
    assert not loss.state_dict()
    picture = torch.rand(1, 3, 32, 32, requires_grad=True)
    sum(loss(picture, torch.rand(1, 3, 32, 32))).backward()
    assert (picture.grad.abs().sum((1, 2, 3)) > 0).all()


def test_the_taps_are_the_first_activation_of_each_block(vgg):
    taps = vgg(torch.rand(1, 3, 64, 64))
    assert [tuple(t.shape[1:]) for t in taps] == [(64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8), (512, 4, 4)]
    assert all((t >= 0).all() for t in taps)


def test_a_gram_matrix_by_hand():
    f = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # 2 channels, 1×2 pixels: divided by 4
    torch.testing.assert_close(gram(f), torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4)


def test_the_terms_are_sums_over_layers_and_scales_style_at_the_full_size_only():
    torch.manual_seed(2)
    loss = PerceptualLoss("random", scales=2)
    a, b = torch.rand(2, 2, 3, 48, 48)
    half = [F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False) for x in (a, b)]
    perceptual = style = 0.0
    for x, y in ((a, b), half):
        for f, g in zip(loss.vgg(x), loss.vgg(y), strict=True):
            perceptual += (f - g).abs().mean()
            if x is a:
                n = f[0].numel()
                f, g = (h.flatten(2) for h in (f, g))
                ours, theirs = (torch.einsum("bcn,bdn->bcd", h, h) / n for h in (f, g))
                style += (ours - theirs).abs().mean()
    torch.testing.assert_close(loss(a, b), (perceptual, style))
