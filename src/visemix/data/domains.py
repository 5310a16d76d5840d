"""Two data sets side by side: many speakers, and the one person a model is adapted to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from visemix.data.sampling import Draw
from visemix.data.windows import TrainingWindows, ValidationWindows
from visemix.types import Clip, Subject, TensorStruct


@dataclass(frozen=True)
class Domains(TensorStruct):
    """As many clips of each domain, many speakers' and the person's; the two are not related."""

    many: Clip
    person: Clip

    @property
    def subject(self) -> Subject:
        """The `Subject` of the person adapted to."""
        return self.person.subject


class TrainingDomains(Dataset[Domains]):
    """A window of many speakers' clips, and beside it any window of the person's."""

    def __init__(self, many: TrainingWindows, person: TrainingWindows) -> None:
        self.many, self.person = many, person

    def __len__(self) -> int:
        return len(self.many)

    def __getitem__(self, at: int | Draw) -> Domains:
        example, seed = at if isinstance(at, tuple) else (at, int(torch.randint(2**62, ())))
        g = torch.Generator().manual_seed(seed)
        theirs = int(torch.randint(len(self.person), (), generator=g))
        seeds = torch.randint(2**62, (2,), generator=g).tolist()
        return Domains(self.many[Draw(example, seeds[0])], self.person[Draw(theirs, seeds[1])])


class ValidationDomains(Dataset[Domains]):
    """The held-out windows of either in turn, until both have been gone through."""

    def __init__(self, many: ValidationWindows, person: ValidationWindows) -> None:
        self.many, self.person = many, person

    def __len__(self) -> int:
        return max(len(self.many), len(self.person)) if len(self.many) and len(self.person) else 0

    def __getitem__(self, at: int) -> Domains:
        if at >= len(self):
            raise IndexError(at)
        return Domains(self.many[at % len(self.many)], self.person[at % len(self.person)])
