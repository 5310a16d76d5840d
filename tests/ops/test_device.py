import subprocess
import sys

import pytest
import torch

from visemix.ops import device

CPU = torch.device("cpu")


def test_a_named_number_type_is_an_order():
    assert device.inference_dtype("float32", CPU) is torch.float32
    assert device.inference_dtype("bfloat16", CPU) is torch.bfloat16


@pytest.mark.parametrize(
    ("has", "dtype"), [({"avx2": True}, torch.float32), ({"avx512_bf16": True}, torch.bfloat16), ({}, torch.float32)]
)
def test_auto_takes_bfloat16_only_where_the_processor_multiplies_it(monkeypatch, has, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert device.inference_dtype("auto", CPU) is dtype


SCRIPT = """
import resource, sys, torch
from visemix.ops.device import keep_memory
kept = keep_memory() if sys.argv[1] == "keep" else False
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(16):
    torch.ones(40, 1 << 18)
before = faults()
for _ in range(4):
    torch.ones(40, 1 << 18)
sys.stdout.write(f"{int(kept)} {faults() - before}")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_kept_memory_is_not_faulted_in_again():
    def run(how):
        out = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True).stdout
        return [int(word) for word in out.split()]

    (kept, ours), (_, plain) = run("keep"), run("plain")
    if not kept:
        pytest.skip("this libc has no mallopt")
    assert plain > 20_000  # 40 MiB four times over, in pages of 4 KiB
    assert ours < plain / 10


def test_cores_are_shared_for_as_long_as_it_takes():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        with pytest.raises(KeyError), device.limit_threads(2):
            assert torch.get_num_threads() == 2
            raise KeyError
        assert torch.get_num_threads() == 4
        with device.limit_threads(8):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
