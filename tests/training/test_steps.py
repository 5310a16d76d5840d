import torch
from torch.utils.data import DataLoader, Dataset

from visemix.data.sampling import Draw
from visemix.training.steps import StepLoader


class Numbers(Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return index, torch.rand(()).item()


def loader(steps=8, seed=0, workers=0):
    base = DataLoader(Numbers(), batch_size=99, num_workers=workers)
    return StepLoader(base, batch=2, steps=steps, seed=seed)


def drawn(batches):
    return [(index.tolist(), chance.tolist()) for index, chance in batches]


def test_each_pass_shows_every_example_once_in_an_order_of_its_own():
    order = [index for indices, _ in drawn(loader(steps=10)) for index in indices]
    passes = [order[k : k + 5] for k in range(0, 20, 5)]
    assert [sorted(each) for each in passes] == [[0, 1, 2, 3, 4]] * 4
    assert len({tuple(each) for each in passes}) > 1


def test_the_same_seed_draws_the_same_and_another_one_does_not():
    assert drawn(loader()) == drawn(loader())
    assert drawn(loader()) != drawn(loader(seed=1))


def test_going_on_from_a_place_draws_what_would_have_come():
    whole, again = loader(), loader()
    begun = iter(whole)
    for _ in range(3):
        next(begun)
    again.load_state_dict(whole.state_dict())
    assert drawn(again) == drawn(loader())[3:]
    assert len(again) == 8  # Lightning counts the steps of the whole run


def test_chances_do_not_depend_on_the_process_that_takes_them():
    assert drawn(loader(workers=2)) == drawn(loader())


def test_drawing_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = torch.rand(1)
    loader().dataset[Draw(example=2, seed=7)]
    torch.testing.assert_close(torch.cat([first, torch.rand(1)]), expected)
