"""Where the runs of a sweep are worked off: processes of this machine, or Ray's."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from visemix.data.workers import Workers
from visemix.types import VisemixError

Task = dict[str, Any]
Work = Callable[[Task], str]  # answers why it failed, or nothing
Run = Callable[[Work, Sequence[Task]], Iterator[tuple[Task, str]]]
"""Works off tasks: each with why it failed, or nothing, in the order in which they end."""
DIED = "its process died (out of memory?); the same command goes on from there"


@contextmanager
def local(jobs: int) -> Iterator[Run]:
    """`jobs` processes that share the cores evenly."""
    with Workers[Task, str](jobs, torch.set_num_threads, (_threads(jobs),)) as workers:

        def run(work: Work, tasks: Sequence[Task]) -> Iterator[tuple[Task, str]]:
            for task, reason in workers.map(work, tasks):
                yield task, DIED if reason is None else reason

        yield run


@contextmanager
def on_ray(jobs: int) -> Iterator[Run]:
    """The same on Ray: on the cluster that `RAY_ADDRESS` names, else on this machine with `jobs` workers."""
    try:
        import ray
    except ImportError as error:
        raise VisemixError("engine 'ray' needs Ray: pip install 'visemix[ray]', or say --engine local") from error
    quiet: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    if "RAY_ADDRESS" in os.environ:
        ray.init(**quiet)
    else:
        ray.init(num_cpus=jobs, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}, **quiet)
    begin = ray.remote(num_cpus=1, max_retries=0)(_begin)

    def run(work: Work, tasks: Sequence[Task]) -> Iterator[tuple[Task, str]]:
        waiting = {begin.remote(work, _threads(jobs), task): task for task in tasks}
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            task = waiting.pop(done)
            try:
                yield task, ray.get(done)
            except ray.exceptions.WorkerCrashedError:
                yield task, DIED
            except ray.exceptions.RayError as error:
                yield task, f"Ray: {error}"

    try:
        yield run
    finally:
        ray.shutdown()


def _begin(work: Work, threads: int, task: Task) -> str:
    torch.set_num_threads(threads)
    return work(task)


def _threads(jobs: int) -> int:
    return max(1, len(os.sched_getaffinity(0)) // jobs)


ENGINES: Mapping[str, Callable[[int], AbstractContextManager[Run]]] = {
    "local": local,
    "ray": on_ray,
}
