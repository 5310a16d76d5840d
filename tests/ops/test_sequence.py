import math

import torch

from visemix.ops.sequence import (
    alibi,
    alibi_slopes,
    average_pairs,
    causal_mask,
    local_attention_mask,
    rechunk,
    resample_rows,
    sinusoid,
    smooth,
)


def test_resampling_2n_less_1_rows_to_n_takes_every_second():
    rows = torch.randn(1, 199, 3)
    torch.testing.assert_close(resample_rows(rows, 100), rows[:, ::2])


def test_an_odd_last_row_is_its_own_pair():
    assert average_pairs(torch.tensor([[[1.0], [3.0], [7.0]]])).flatten().tolist() == [2.0, 7.0]


def test_positions_follow_the_paper_of_transformers():
    row = sinusoid(torch.tensor([3.0], dtype=torch.float64), 4)[0]
    expected = [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)]
    torch.testing.assert_close(row, torch.tensor(expected, dtype=torch.float64))


def test_positions_are_exact_after_an_hour():
    late = sinusoid(torch.tensor([90_000.0], dtype=torch.float64), 2)[0, 0].item()
    assert math.isclose(late, math.sin(90_000), abs_tol=1e-9)


def test_alibi_forgets_in_steps_of_its_period():
    assert alibi_slopes(4).tolist() == [0.25, 0.0625, 0.015625, 0.00390625]
    row = alibi(30 - torch.arange(31), 4, 25)[0]  # frame 30, head 0
    assert row[:6].tolist() == [-0.25] * 6 and row[6:].abs().max() == 0


def test_history_ends_at_the_context():
    assert causal_mask(4, None).int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert causal_mask(4, 2).int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]


def test_no_window_is_empty_and_every_window_is_equation_4():
    for past, ahead in [(0, 1), (2, 1), (0, 3), (1, 2)]:
        allowed = local_attention_mask(5, past, ahead)
        expected = [[max(i - past, 0) <= j < min(i + ahead, 5) for j in range(5)] for i in range(5)]
        assert allowed.tolist() == expected
        assert allowed.any(1).all()


def test_blocks_bring_every_row_once_with_its_surroundings():
    rows = torch.arange(23.0).view(1, 23, 1)
    for cuts in ([23], [1] * 23, [5, 1, 10, 7]):
        seen = []
        for held, first, last in rechunk(rows.split(cuts, 1), size=4, past=3, ahead=2):
            assert last - first <= 4
            seen += held[0, first:last, 0].tolist()
            here = int(held[0, first, 0])
            end = int(held[0, last - 1, 0])
            assert held.flatten().tolist() == list(map(float, range(max(here - 3, 0), min(end + 3, 23))))
        assert seen == list(map(float, range(23)))


def test_blocks_wait_for_no_more_than_they_need():
    asked = []

    def pieces():
        for i in range(6):
            asked.append(i)
            yield torch.full((1, 1, 1), float(i))

    stream = rechunk(pieces(), size=4, past=0, ahead=2)
    next(stream)
    assert asked == [0, 1, 2]


def test_smoothing_is_the_gaussian_mean_of_the_frames_there_are():
    values = torch.randn(1, 12, 2, generator=torch.Generator().manual_seed(0))
    for i in (0, 5, 11):
        weights = torch.tensor([math.exp(-0.5 * ((i - j) / 1.5) ** 2) if abs(i - j) <= 5 else 0.0 for j in range(12)])
        expected = (weights[:, None] * values[0]).sum(0) / weights.sum()
        torch.testing.assert_close(smooth(values, 1.5, 5)[0, i], expected)
