import torch

from visemix.nn.critic import PatchCritic, hinge_generator


def test_a_score_depends_on_a_patch_and_not_on_the_whole_picture():
    torch.manual_seed(0)
    critic = PatchCritic(3, base=8, levels=2).eval()
    picture = torch.rand(1, 3, 128, 128, requires_grad=True)
    scores = critic(picture)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    seen = picture.grad[0].abs().sum(0) > 0
    assert (int(seen.any(1).sum()), int(seen.any(0).sum())) == (22, 22)


def test_black_is_minus_one_and_white_one():
    critic, seen = PatchCritic(3, base=8, levels=2).eval(), []
    critic.layers.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    critic(torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32))
    assert [channel.unique().tolist() for channel in seen[0][0]] == [[-1], [0], [1]]


def test_no_weight_matrix_can_grow():
    torch.manual_seed(0)
    critic = PatchCritic(3, base=8, levels=2)
    with torch.no_grad():
        for layer in critic.layers[::2]:
            layer.parametrizations.weight.original.mul_(100)
    for _ in range(30):  # power iteration
        critic(torch.rand(1, 3, 32, 32))
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2) for layer in critic.layers[::2]]
    torch.testing.assert_close(torch.stack(norms), torch.ones(3), rtol=0.02, atol=0)


def test_the_generator_wants_a_high_score():
    assert hinge_generator(torch.tensor([1.0, 3.0])) == -2
