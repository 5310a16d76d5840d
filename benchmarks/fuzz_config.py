"""Mutated experiments and overrides through `visemix show`: each is shown, or refused in one sentence with exit 2.

`python benchmarks/fuzz_config.py [--count 1500] [--seed 0]`. What is accepted is planned too, where it is a sweep. A
sentence counts as placed where it names the key or the file that was changed. A fault is another exit code, more than
a line, a raw control character, or more than 20 s of processor time.
"""

from __future__ import annotations

import argparse
import copy
import logging
import random
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from _report import report
from rich.console import Console
from typer.testing import CliRunner

from visemix.cli.app import app

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
LIMIT, LONG = 20, 2_000  # seconds, and characters of a sentence

DEEP = {"deep": None}
for _ in range(60):
    DEEP = {"a": DEEP}
VALUES: list[Any] = [
    None, True, 0, 1, -1, -3, 2, 10**9, 10**30, -(10**30), 0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf"),
    float("-inf"), "", " ", "x", "1", "nan", "inf", "-inf", "1e400", "true", "null", "a2ep", "clips", "???", "${", "}",
    "${x.y}", "${motion}", "${motion.dim}", "${.}", "${..}", "${oc.env:NO_SUCH_VARIABLE}", "${oc.decode:'['}",
    "${nobody:1}", "${a${b}}", "\x1b[31mred\x1b[0m", "line\nbreak", "\a", "\u202eleft", "Zoë 日本", "../../escape",
    "/", "~", "a/b", "x" * 100_000, [], [None], [1, "a"], [[1]], [float("nan")], ["${x}"], {}, {"a": 1}, {"name": 1},
    {"name": None}, {"name": "a2ep"}, {"name": "nobody"}, {"base": {}}, {1: 2}, {None: 1}, {True: 1}, DEEP,
    yaml.safe_load("2020-01-01"), b"bytes",
]  # fmt: skip
KEYS = [
    "motion", "motion.dim", "motion.base", "motion.base.name", "motion.name", "audio", "audio.dim", "audio.parts",
    "render", "render.levels", "render.count", "data", "data.root", "data.clips", "data.grid", "face", "face.path",
    "log", "log.mode", "use", "use.motion", "use.scale", "use.train", "scale", "compat", "train", "train.motion",
    "train.name", "train.motion.lr", "train.motion.betas", "train.motion.steps", "train.motion.ema",
    "train.nobody.lr", "fit", "load", "load.motion", "eyes", "seed", "name", "out", "device", "workers", "plugins",
    "sweep", "sweep.seed", "sweep.variants", "sweep.quoted", "sweep.ood", "fallback", "fallback.audio", "extends",
    "metrics", "nobody", "", ".", "..", "a..b", "motion.", ".motion", "motion[0]", "motion[", "[0]", "fit[0]",
    "motion.dim.x", "fit.x", "a b", "${x}", "motion.${x}", "x" * 10_000, "Zoë", "\x1b[31m", "a.b" * 500,
]  # fmt: skip
WORDS = [
    "nan", "inf", ".nan", ".inf", "-.inf", "1e400", "-1", "0", "1e99", "10000000000000000000000", "[", "{", "}", "[1,",
    "{a:", "{a: b", "'", '"', "*a", "&a", "!!python/object:os.system x", "!!binary x", "!x", "@", "`", "%", "|", ">",
    "- a", "a: b", "? a", "${", "${x}", "${x.y}", "${oc.env:NO_SUCH_VARIABLE}", "${nobody:}", "${motion}", "???",
    "null", "~", "true", "''", "", "[[[]]]", "{}", "[]", "[nan]", "{a: nan}", "{a: {a: {a: 1}}}", "a2ep",
    "regression", "x=y", "\x1b[31mred", "\a", "a\nb", "\t", "\0", "[" * 3000, "{a: " * 300, "x" * 100_000, "2020-01-01",
    "1:30", "0x10", "010", "1_000", "<<", "[*a]", "{<<: *a}",
]  # fmt: skip
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS = [
    "", "\n", "#", "---\n---\n", "a", "[]", "- a", "null", "3", "\ufeffuse: {}", "use: {motion: a2ep", "a: b: c", "\t",
    "a: *b", "a: &a [*a]", "a: &a {b: *a}", "<<: *x", "a: 1\na: 2", "? [a]\n: b", "{[a]: b}", BOMB,
    "[" * 10_000, "{a: " * 5_000, "a:\n" + "".join(" " * k + "a:\n" for k in range(1, 400)), "x: " + "9" * 10_000,
    "a: !!python/object/apply:os.getcwd []", "a: !!set {b}", "a: !!omap [b: 1]", "%YAML 9.9\n---\na: 1", "a: ${a}",
    "a: ${b}\nb: ${a}", "extends: self", "extends: [a]", "extends: {a: 1}", "extends: 3", "extends: ''",
    "extends: .", "extends: ..", "extends: /", "extends: ${x}", "extends: nobody", "extends: \0", "plugins: x",
    "plugins: [3]", "plugins: [nobody.py]", "plugins: [.]", "plugins: {a: 1}", "name: ../../x", "sweep: 3",
    "sweep: [a]", "sweep: {variants: 3}", "sweep: {variants: {a: 3}}", "sweep: {variants: {a: [3]}}",
    "sweep: {variants: {a: [x]}}", "sweep: {variants: []}", "sweep: {seed: 3}", "sweep: {seed: []}",
    "sweep: {quoted: nobody}", "sweep: {ood: 3}", "use: 3", "use: [motion]", "use: {motion: {a: 1}}",
    "use: {nobody: x}", "use: {motion: ../../x}", "use: {motion: null}", "use: {scale: 3}", "use: {scale: ../x}",
    "train: 3", "train: {motion: 3}", "train: {motion: [1]}", "fallback: 3", "fallback: {audio: 3}",
    "fallback: {audio: {dim: 3}}", "fit: motion", "fit: 3", "fit: {motion: 1}", "load: 3", "load: [a]",
    "load: {motion: {a: 1}}", "metrics: {a: 1}", "1: 2", "null: 1", "true: 1", "1.5: 1", "motion: {1: 2}",
    "motion: {base: {1: 2}}", "use: {1: a}", "train: {1: {}}", "motion: {base: 3}", "motion: {base: []}",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One call: what was changed, the file, what it is to hold (None: as it is), overrides, and where the change is."""

    kind: str
    path: Path
    body: bytes | None
    overrides: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class Outcome:
    """`shown`, `refused`, or in what the fault consists; whether a sentence names the place; what was said."""

    verdict: str
    placed: bool
    said: str
    seconds: float

    @property
    def good(self) -> bool:
        """Whether it was shown, or refused as it should be."""
        return self.verdict in ("shown", "refused")


def cases(root: Path, count: int, seed: int) -> Iterator[Case]:
    """`count` cases of the experiments below `root`, the same for the same seed."""
    rng, files = random.Random(seed), sorted(root.rglob("*.yaml"))
    makers = [_value, _value, _value, _key, _text, _bytes, _override, _override, _override, _whole]
    for k in range(count):
        path = rng.choice(files)
        yield (_whole if k < len(TEXTS) else rng.choice(makers))(rng, path, k)


def _value(rng: random.Random, path: Path, k: int) -> Case:
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    holder, key, where = rng.choice(list(_places(tree)))
    value = copy.deepcopy(rng.choice(VALUES))
    if rng.random() < 0.1:
        value = [holder[key]] if rng.random() < 0.5 else {"a": holder[key]}
    if rng.random() < 0.1:
        del holder[key]
    else:
        holder[key] = value
    return Case("value", path, _dump(tree), (), where)


def _key(rng: random.Random, path: Path, k: int) -> Case:
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    holder, key, _ = rng.choice([place for place in _places(tree) if isinstance(place[0], dict)])
    new = rng.choice(
        [str(key)[:-1], f"{key}s", str(key).upper(), 3, None, True, 1.5, "", "a.b", "\x1b[31m", "${x}", " "]
    )
    holder[new] = holder.pop(key)
    return Case("key", path, _dump(tree), (), str(new))


def _text(rng: random.Random, path: Path, k: int) -> Case:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    at = rng.randrange(len(lines))
    change = rng.choice(["drop", "twice", "cut", "tab", "indent", "glyph"])
    if change == "drop":
        del lines[at]
    elif change == "twice":
        lines.insert(at, lines[at])
    elif change == "cut":
        lines[at:] = [lines[at][: rng.randrange(len(lines[at]))]]
    elif change == "tab":
        lines[at] = "\t" + lines[at]
    elif change == "indent":
        lines[at] = "  " + lines[at]
    else:
        col = rng.randrange(len(lines[at]))
        lines[at] = lines[at][:col] + rng.choice("{}[],:#&*!|>'\"%@`\x1b\a\x7f\u2028${?-") + lines[at][col + 1 :]
    return Case("text", path, "".join(lines).encode(), (), path.stem)


def _bytes(rng: random.Random, path: Path, k: int) -> Case:
    body = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 4, 40])):
        body[rng.randrange(len(body))] = rng.randrange(256)
    return Case("bytes", path, bytes(body), (), path.stem)


def _whole(rng: random.Random, path: Path, k: int) -> Case:
    text = TEXTS[k] if k < len(TEXTS) else rng.choice(TEXTS)
    base = "" if rng.random() < 0.5 else "use: {face: toy, audio: mel, motion: a2ep, render: mesh, data: clips}\n"
    own = text.replace("self", path.stem)
    head = base if text[:1].isalnum() and ":" in text and not own.startswith("use:") else ""
    return Case("whole", path, (head + own + "\n").encode("utf-8", "surrogatepass"), ("data.root=x",), path.stem)


def _override(rng: random.Random, path: Path, k: int) -> Case:
    key, word = rng.choice(KEYS), rng.choice(WORDS)
    words = [f"{key}={word}"]
    if rng.random() < 0.1:
        words = [rng.choice([key, word, f"={word}", f"{key}=={word}"])]
    if rng.random() < 0.2:
        words.append(f"{rng.choice(KEYS)}={rng.choice(WORDS)}")
    return Case("override", path, None, tuple(words), key)


def _places(tree: Any, where: str = "") -> Iterator[tuple[Any, Any, str]]:
    """(holder, key, name of the innermost key) of everything below."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        name = str(key) if isinstance(tree, dict) else where
        yield tree, key, name
        yield from _places(tree[key], name)


def _dump(tree: Any) -> bytes:
    return bytes(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode())


@contextmanager
def changed(case: Case) -> Iterator[None]:
    """Context in which the case's file holds what it is to hold."""
    before = case.path.read_bytes()
    if case.body is not None:
        case.path.write_bytes(case.body)
    try:
        yield
    finally:
        case.path.write_bytes(before)


def outcome(case: Case, plans: bool) -> Outcome:
    """What `visemix show`, or `compare` for a file of comparisons, makes of a case."""
    began = time.perf_counter()
    compares = "comparison" in case.path.parts
    words = ["data.root=x", *case.overrides] if case.kind != "override" else case.overrides
    calls = [["compare", str(case.path)] if compares else ["show", str(case.path), *words]]
    if plans and case.body is not None and b"sweep" in case.body and not compares:
        calls.append(["sweep", "--plan", str(case.path), "use.scale=tiny", "use.face=toy", *words])
    signal.signal(signal.SIGVTALRM, _too_long)
    with changed(case):
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)  # of this process alone, whatever else the machine does
        try:
            for call in calls:
                done = CliRunner().invoke(app, call)
                if done.exit_code:
                    break
        except _TooLong:
            return Outcome("hangs", False, "", time.perf_counter() - began)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    said = done.stderr.strip()
    return Outcome(_verdict(done.exit_code, said), _is_placed(case, said), said, time.perf_counter() - began)


def _is_placed(case: Case, said: str) -> bool:
    """Whether a sentence names the file, or a key that was changed."""
    told = " ".join((case.place, *(word.partition("=")[0] for word in case.overrides)))
    if case.kind == "whole":
        told += (case.body or b"").decode(errors="replace")[:4000]
    keys = {key[:30] for key in re.findall(r"[\w\[\]]+", told)} - {"data", "root", "name"}
    return case.path.name in said or any(key in said for key in keys)


def _verdict(code: int, said: str) -> str:
    last = said.splitlines()[-1] if said else ""
    if code not in (0, 2):
        return f"exit {code}: {last.split(':')[1].strip()[:60] if ':' in last else last[:60]}"
    if not said.replace("\n", "").isprintable():
        return "control characters"
    if code == 0:
        return "shown"
    if said.count("\n") and not said.startswith("Usage"):
        return "more than a line"
    return "refused" if len(said) < LONG else "endless sentence"


class _TooLong(BaseException):
    """No command may take it for an error of its own."""


def _too_long(*_: Any) -> None:
    raise _TooLong


def run(count: int, seed: int, folder: Path, *, plans: bool = True) -> list[tuple[Case, Outcome]]:
    """Cases with their outcomes, of a copy of the experiments in `folder`; whether sweeps are planned, too."""
    root = folder / "experiments"
    shutil.copytree(EXPERIMENTS, root)
    return [(case, outcome(case, plans)) for case in cases(root, count, seed)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for option, default in {"--count": 1500, "--seed": 0}.items():
        parser.add_argument(option, type=int, default=default)
    parser.add_argument("--verbose", action="store_true", help="also print sentences that name no place")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        found = run(args.count, args.seed, Path(folder))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for case, one in found:
        new = {"kind": case.kind, "outcome": one.verdict, "cases": 0, "placed": 0}
        row = rows.setdefault((case.kind, one.verdict), new)
        row["cases"] += 1
        row["placed"] += one.placed
        row["slowest_s"] = max(row.get("slowest_s", 0.0), one.seconds)
        if not one.good or (args.verbose and one.verdict == "refused" and not one.placed):
            words, body = [word[:80] for word in case.overrides], (case.body or b"")[-200:]
            text = f"{one.verdict}: {case.kind} {case.path.name} {case.place[:40]!r} {words} {body!r}"
            Console(stderr=True, width=1000).print(f"{text} {one.said[-300:]!r}", markup=False, highlight=False)
    table = sorted(rows.values(), key=lambda row: (row["kind"], row["outcome"]))
    report("fuzz_config", table, count=args.count, seed=args.seed)


if __name__ == "__main__":
    main()
