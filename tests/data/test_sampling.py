from visemix.data.sampling import ShuffledSampler
from visemix.training.steps import Steps


def test_a_shuffled_pass_has_every_example_once():
    sampler = ShuffledSampler(20, seed=0)
    first, second = list(sampler), list(sampler)
    for draws in (first, second):
        assert sorted(draw.example for draw in draws) == list(range(20))
    assert [draw.example for draw in first] != [draw.example for draw in second] != list(range(20))
    assert len({draw.seed for draw in first + second}) == 40


def test_a_trainer_of_ones_own_is_shown_what_a_run_is():
    sampler = ShuffledSampler(6, seed=3)
    passes = list(sampler) + list(sampler)
    batches = list(Steps(examples=6, batch=2, steps=6, seed=3))
    assert [draw for batch in batches for draw in batch] == passes
