"""What this library must never need: against the CPU build of torch these break `import lightning`."""

from importlib.util import find_spec

import pytest


@pytest.mark.parametrize("package", ["torchvision", "torchaudio"])
def test_it_is_not_installed(package):
    assert find_spec(package) is None
