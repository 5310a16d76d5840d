"""Who is at work where: locks that end with the process that holds them, however it ends; and hidden folders to write
in, which the next process removes where one was killed."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from visemix.types import VisemixError

log = logging.getLogger(__name__)

OURS = ".visemix-"  # so begins the name of whatever is hidden beside a file or folder while it is written
PART, LOCK = ".part", ".lock"
BEFORE = "before"  # in a part: what is being replaced, until what replaces it is there


@contextmanager
def hold(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Context: this process alone makes what is at `path`. Where another one does, it is named; with `wait`, it is
    waited for.

    Raises:
        VisemixError: another process is at it, or the folder around `path` is not to be written to.
    """
    new = [folder for folder in path.parents if not folder.exists()]
    lock = path.parent / f"{OURS}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}{LOCK}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        held = _acquire(lock, path, wait)
        lock.write_text(_myself(), encoding="utf-8", errors="backslashreplace")
    except Timeout:
        raise VisemixError(f"{path} is being made by {_holder(lock)}; wait until that has ended, or end it") from None
    except OSError as error:
        raise VisemixError(f"{path} could not be written ({error.strerror or error})") from error
    try:
        yield
    finally:
        _drop(lock, held)
        with suppress(OSError):  # they are left where something is in them now
            for folder in new:
                folder.rmdir()


def _acquire(lock: Path, path: Path, wait: bool) -> FileLock:
    try:
        return _locked(lock)
    except Timeout:
        if not wait:
            raise
        log.warning("%s is being made by %s; waiting for that to end", path, _holder(lock))
        return _locked(lock, wait)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Context: a hidden folder in `folder`, on the same disk, to write in. It goes at the end; where its process is
    killed, at the next `sweep`.

    Raises:
        OSError: `folder` is not to be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _sweep_once(folder.resolve())
    while True:
        place = Path(tempfile.mkdtemp(PART, OURS, folder))
        with suppress(Timeout, FileNotFoundError):  # another process swept before the lock was there
            held = _locked(place / LOCK)
            break
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        held.release()


def sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder; what they were replacing goes back to its place."""
    for left in [*folder.glob(f"{OURS}*{PART}"), *folder.glob(f"{OURS}*{LOCK}")]:
        lock = left / LOCK if left.suffix == PART else left
        with suppress(Timeout, OSError):
            held = _locked(lock)
            for old in [*(left / BEFORE).glob("*")]:
                if not (folder / old.name).exists():
                    old.replace(folder / old.name)
            shutil.rmtree(left) if left.suffix == PART else left.unlink()
            held.release()


@cache
def _sweep_once(folder: Path) -> None:
    """`sweep` the first time that this process writes into a folder: features are kept by the ten thousand in one."""
    sweep(folder)


def _locked(path: Path, wait: bool = False) -> FileLock:
    """The lock of that file, held.

    Raises:
        Timeout: another process has it.
        OSError: no such folder, or it is not to be written to.
    """
    lock = FileLock(path, timeout=-1 if wait else 0)
    while True:
        path.touch()  # which fails where the folder itself is gone
        with suppress(FileNotFoundError, FileExistsError):  # what others remove meanwhile, and filelock makes anew
            before = path.stat().st_ino
            lock.acquire(poll_interval=0.2)
            if path.stat().st_ino == before:  # else it is the lock of a file that its holder has removed
                return lock
        lock.release()


def _drop(path: Path, held: FileLock) -> None:
    with suppress(OSError):
        path.unlink()
    held.release()


def _holder(lock: Path) -> str:
    with suppress(OSError):
        return lock.read_text(encoding="utf-8", errors="replace").strip() or "another process"
    return "another process"


def _myself() -> str:
    words = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    return f"process {os.getpid()} on {platform.node()}, begun {datetime.now():%Y-%m-%d %H:%M}: {words}"
