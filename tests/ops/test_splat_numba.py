import importlib.util
import logging
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from splat_scenes import leaves, needs_numba, scene, truth

from visemix.ops.splat import splat


@needs_numba
@pytest.mark.parametrize(("count", "size", "pixels"), [(60, (37, 53), 3.0), (900, (50, 41), 2.0), (40, (70, 33), 15.0)])
def test_numba_agrees_with_the_sum_in_float64(count, size, pixels):
    given = scene(count, size, pixels)
    exact, fast = leaves(*given), leaves(*given, dtype=torch.float32)
    image, through, margin = truth(*exact, size)
    ours = splat(*fast, size, backend="numba")
    # where a contribution is within rounding of being cut or clamped, it may fall either way
    clear = margin > 1e-4
    assert clear.double().mean() > 0.95
    torch.testing.assert_close(ours.image.double()[:, clear], image[:, clear], atol=1.2e-5, rtol=0)
    torch.testing.assert_close(ours.transmittance.double()[:, clear], through[:, clear], atol=1.2e-5, rtol=0)
    weight = torch.randn(4, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * clear
    expected = torch.autograd.grad((torch.cat([image, through]) * weight).sum(), exact)
    found = torch.autograd.grad((torch.cat([ours.image, ours.transmittance]) * weight).sum(), fast)
    for theirs, true in zip(found, expected, strict=True):
        assert (theirs - true).norm() < 5e-4 * true.norm()


@needs_numba
def test_numba_is_exact_to_rounding_where_no_pixel_is_done():
    given = scene(12, pixels=4.0)
    image, through, margin = truth(*given, (37, 53))
    assert through.min() > 1e-3
    clear = margin > 1e-4
    ours = splat(*(t.float() for t in given), (37, 53), backend="numba")
    torch.testing.assert_close(ours.image.double()[:, clear], image[:, clear], atol=3e-6, rtol=0)
    torch.testing.assert_close(ours.transmittance.double()[:, clear], through[:, clear], atol=3e-6, rtol=0)


@needs_numba
def test_the_number_of_threads_changes_no_byte_and_neither_does_a_second_call():
    size, threads = (100, 130), torch.get_num_threads()
    weight = torch.randn(3, *size)
    runs = []
    try:
        for count in (1, 2, 2, 3):
            torch.set_num_threads(count)
            given = leaves(*scene(500, size), dtype=torch.float32)
            drawn = splat(*given, size, backend="numba")
            (drawn.image * weight).sum().backward()
            runs.append([drawn.image, drawn.transmittance, *(leaf.grad for leaf in given[:4])])
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


@needs_numba
def test_threads_may_draw_at_once():
    given = [t.float() for t in scene(500, (100, 130))]
    alone = splat(*given, (100, 130), backend="numba").image
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(4) as pool:
            pictures = list(pool.map(lambda _: splat(*given, (100, 130), backend="numba").image, range(20)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(picture, alone) for picture in pictures)


@needs_numba
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")
def test_a_forked_process_draws_after_its_parent_did():
    given = [t.float() for t in scene(500, (100, 130))]

    def draw():
        return splat(*given, (100, 130), backend="numba").image.numpy().tobytes()

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        here = draw()
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        child = context.Process(target=lambda: results.put(draw()))
        child.start()
    finally:
        torch.set_num_threads(threads)
    try:
        assert results.get(timeout=60) == here
    finally:
        child.kill()
        child.join()


@needs_numba
def test_where_no_folder_can_be_written_numba_compiles_for_this_process_alone(tmp_path, monkeypatch, caplog):
    from visemix.ops import compiled, splat_kernels, splat_numba

    compiled._warn_uncached.cache_clear()
    given = [t.float() for t in scene(30)]
    kept = splat(*given, (37, 53), backend="numba").image
    file = tmp_path / "splat_kernels.py"
    file.write_text(Path(splat_kernels.__file__).read_text())
    for name in (
        "__pycache__",
        "cache",
    ):  # a file in a folder's place: not even root can write there
        (tmp_path / name).touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    spec = importlib.util.spec_from_file_location("splat_without_cache", file)
    module = importlib.util.module_from_spec(spec)
    with caplog.at_level(logging.WARNING):
        spec.loader.exec_module(module)
    assert [r.getMessage().count("NUMBA_CACHE_DIR") for r in caplog.records] == [1]
    monkeypatch.setattr(splat_numba, "kernels", module)
    assert torch.equal(splat(*given, (37, 53), backend="numba").image, kept)


FULL = """
import logging, resource, torch
from visemix.ops import splat_numba
from visemix.ops.splat import splat
logging.basicConfig(format="%(message)s")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
given = torch.zeros(1, 3), torch.eye(3)[None], torch.ones(1), torch.ones(1, 3), torch.tensor([30.0, 8, 8])
print(float(splat(*given, (16, 16), backend="numba").image[0, 8, 8]) > 0.9)
"""


@needs_numba
def test_where_the_folder_is_full_numba_compiles_for_this_process_alone(tmp_path):
    there = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", FULL], env=there, capture_output=True, text=True)
    assert said.stdout == "True\n", said.stderr
    assert said.stderr.count("NUMBA_CACHE_DIR") == 1
