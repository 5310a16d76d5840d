import pytest
import torch
from scipy.optimize import lsq_linear

from visemix.prepare.solve import ArrowheadSystem, ChainSystem, bounded_step, minimise

D = torch.double


def random_blocks(frames, width, g):
    roots = torch.randn(frames, width + 3, width, generator=g, dtype=D)
    return roots.mT @ roots


def second_differences(frames):
    rows = torch.zeros(frames - 2, frames, dtype=D)
    for k in range(frames - 2):
        rows[k, k : k + 3] = torch.tensor([1.0, -2.0, 1.0])
    return rows


def dense_chain(blocks, smooth):
    frames = len(blocks)
    bend = second_differences(frames)
    return torch.block_diag(*blocks) + torch.kron(bend.T @ bend, torch.diag(smooth))


def dense_arrow(arrow):
    cross = arrow.cross.flatten(0, 1)
    top = torch.cat([torch.block_diag(*arrow.blocks), cross], 1)
    return torch.cat([top, torch.cat([cross.T, arrow.shared], 1)])


def make_arrow(g, frames=4, width=5, shared=3):
    roots = torch.randn(frames, 2 * width, width + shared, generator=g, dtype=D)
    whole = roots.mT @ roots
    blocks, cross = whole[:, :width, :width], whole[:, :width, width:]
    return ArrowheadSystem(
        blocks, cross, whole[:, width:, width:].sum(0), torch.randn(frames * width + shared, generator=g, dtype=D)
    )


def make_chain(g, frames=7, width=4):
    smooth = torch.tensor([0.0, 0.5, 2.0, 10.0], dtype=D)
    return ChainSystem(random_blocks(frames, width, g), smooth, torch.randn(frames * width, generator=g, dtype=D))


def test_a_chain_multiplies_and_solves_as_its_dense_matrix():
    g = torch.Generator().manual_seed(0)
    chain = make_chain(g)
    dense = dense_chain(chain.blocks, chain.smooth)
    x = torch.randn(28, generator=g, dtype=D)
    torch.testing.assert_close(chain.apply(x), dense @ x)
    free = torch.rand(28, generator=g) < 0.7
    solved = chain.solve(x * free, free)
    assert (solved[~free] == 0).all()
    exact = torch.linalg.solve(dense[free][:, free], x[free])
    torch.testing.assert_close(solved[free], exact, atol=0.02 * exact.abs().max().item(), rtol=0)


def test_an_arrow_multiplies_and_solves_as_its_dense_matrix():
    g = torch.Generator().manual_seed(1)
    arrow = make_arrow(g)
    dense = dense_arrow(arrow)
    x = torch.randn(23, generator=g, dtype=D)
    torch.testing.assert_close(arrow.apply(x), dense @ x)
    free = torch.rand(23, generator=g) < 0.7
    solved = arrow.solve(x * free, free)
    torch.testing.assert_close(solved[free], torch.linalg.solve(dense[free][:, free], x[free]))
    assert (solved[~free] == 0).all()


def test_a_quadratic_in_a_box_is_minimised_as_scipy_does_it():
    g = torch.Generator().manual_seed(2)
    arrow = make_arrow(g)
    dense, start = dense_arrow(arrow), torch.zeros(23, dtype=D)
    low, high = -0.05 * torch.ones_like(start), 0.1 * torch.ones_like(start)

    def cost(x):
        return arrow.gradient @ x + 0.5 * x @ dense @ x + 10

    def linearise(x):
        eye = torch.eye(5, dtype=D)
        moved = arrow.gradient + dense @ x
        return lambda damping: ArrowheadSystem(arrow.blocks + damping * eye, arrow.cross, arrow.shared, moved)

    one = bounded_step(start, linearise(start)(0.0), low, high)
    assert (one >= low).all() and (one <= high).all()
    found = minimise(start, cost, linearise, low, high, rounds=300, tolerance=1e-9)
    root = torch.linalg.cholesky(dense).T
    best = lsq_linear(root.numpy(), torch.linalg.solve(root.T, -arrow.gradient).numpy(), (-0.05, 0.1)).x
    assert (found >= low).all() and (found <= high).all()
    assert (cost(found) - 10) == pytest.approx(float(cost(torch.from_numpy(best)) - 10), rel=0.02)


def test_a_curved_valley_is_followed_to_its_end():
    # Rosenbrock's function as least squares, one frame of two unknowns; the minimum (1, 1) lies outside the box
    def residual(x):
        return torch.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    def linearise(x):
        j = torch.tensor([[-20 * x[0].item(), 10.0], [-1.0, 0.0]], dtype=D)
        h = (j.T @ j)[None]
        gradient = j.T @ residual(x)
        return lambda damping: ChainSystem(
            h + damping * torch.diag_embed(h.diagonal(dim1=1, dim2=2)), torch.zeros(2, dtype=D), gradient
        )

    def cost(x):
        return 0.5 * residual(x).square().sum()

    low, high = torch.tensor([-2.0, -2.0], dtype=D), torch.tensor([0.8, 2.0], dtype=D)
    start = torch.tensor([-1.2, 1.0], dtype=D)
    end = minimise(start, cost, linearise, low, high, rounds=200, tolerance=1e-9)
    torch.testing.assert_close(end, torch.tensor([0.8, 0.64], dtype=D), atol=1e-3, rtol=0)


def test_a_step_within_the_walls_is_newtons_own_in_one_solution():
    g = torch.Generator().manual_seed(5)
    chain = make_chain(g)
    solved = []

    class Counted:
        gradient = chain.gradient

        def apply(self, step):
            return chain.apply(step)

        def solve(self, right, free):
            solved.append(free.all().item())
            return chain.solve(right, free)

    x = torch.rand(28, generator=g, dtype=D)
    step = bounded_step(x, Counted(), torch.full_like(x, -1e3), torch.full_like(x, 1e3))
    assert solved == [True]
    torch.testing.assert_close(step, chain.solve(-chain.gradient, torch.ones(28, dtype=torch.bool)), rtol=0, atol=0)
