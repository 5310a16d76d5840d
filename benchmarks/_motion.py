"""What the benchmarks of motion models share: how often they measure, and a subject that nothing is known of."""

import argparse

import torch

from visemix.face import FaceModel
from visemix.types import Subject


def read_rounds(description: str | None) -> int:
    """How often each model is measured, as the command line says."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=5)
    return int(parser.parse_args().rounds)


def nobody(face: FaceModel) -> Subject:
    """A person of mean shape, of whom there are no pictures."""
    nothing = torch.zeros(1, 1, 1)
    return Subject(("ann",), torch.zeros(1, face.identity.shape[-1]), *[nothing] * 2, nothing[0], *[nothing] * 2)
