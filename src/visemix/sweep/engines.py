"""Engines of a sweep: where its runs are trained, processes of this machine or Ray's."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from visemix.ops.device import keep_memory
from visemix.ops.workers import Workers
from visemix.types import VisemixError

Task = dict[str, Any]
Work = Callable[[Task], str]  # answers why it failed, or nothing
Submit = Callable[[Work, Task], Future[str | None]]  # the answer, once its turn has come; None if the process died


@contextmanager
def local(jobs: int) -> Iterator[Submit]:
    """Context: a function that submits tasks to `jobs` processes, which share the cores evenly."""
    with Workers[Task, str](jobs, _init_worker, (_threads(jobs),)) as workers:
        yield workers.submit


@contextmanager
def on_ray(jobs: int) -> Iterator[Submit]:
    """Context: a function that submits tasks to Ray, on the cluster that `RAY_ADDRESS` names, else on this machine with
    `jobs` workers.

    Raises:
        VisemixError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise VisemixError("engine 'ray' needs Ray: pip install 'visemix[ray]', or say --engine local") from error
    quiet: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    if "RAY_ADDRESS" in os.environ:
        ray.init(**quiet)
    else:
        ray.init(num_cpus=jobs, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}, **quiet)
    begun = ray.remote(num_cpus=1, max_retries=0)(_begun)

    def submit(work: Work, task: Task) -> Future[str | None]:
        answer: Future[str | None] = Future()

        def settle(done: Future[str]) -> None:
            try:
                answer.set_result(done.result())
            except ray.exceptions.WorkerCrashedError:
                answer.set_result(None)
            except ray.exceptions.RayError as error:
                answer.set_result(f"Ray: {error}")

        begun.remote(work, _threads(jobs), task).future().add_done_callback(settle)
        return answer

    try:
        yield submit
    finally:
        ray.shutdown()


def _init_worker(threads: int) -> None:
    """A worker's share of the cores, and its memory kept: it trains and paints, and nothing else."""
    torch.set_num_threads(threads)
    keep_memory()


def _begun(work: Work, threads: int, task: Task) -> str:
    _init_worker(threads)
    return work(task)


def _threads(jobs: int) -> int:
    """Of each worker: its share of the cores, and no more than this process was given (`OMP_NUM_THREADS`)."""
    return max(1, min(len(os.sched_getaffinity(0)) // jobs, torch.get_num_threads()))


ENGINES: Mapping[str, Callable[[int], AbstractContextManager[Submit]]] = {
    "local": local,
    "ray": on_ray,
}
