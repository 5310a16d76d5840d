"""What the code answered when it was frozen (`tests/frozen/make.py`) is what it answers today."""

import json

import cases
import pytest
import torch
from digests import differences, digest
from make import COMMAND, VALUES, place, read

from visemix.types import VisemixError

ABSENT = ("is not installed", "needs its files")  # what a part says whose package or files nobody brought


def check(name, case):
    if not place(name).exists():
        pytest.fail(f"{name} has no frozen artefact: make it with `{COMMAND}`, and commit it")
    try:
        found = case()
    except VisemixError as error:
        if any(words in str(error) for words in ABSENT):
            pytest.skip(str(error))
        raise
    changed = list(differences(read(name), json.loads(json.dumps(found))))
    assert not changed, f"{name} answers otherwise than it was frozen; if that is meant: `{COMMAND} {name}`"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a cache is kept relative to the folder one is in


@pytest.mark.parametrize("name", cases.CASES)
def test_what_is_answered_today_is_what_was_frozen(name):
    check(name, cases.CASES[name])


def test_what_was_frozen_is_still_there():
    frozen = {str(file.relative_to(VALUES).with_suffix("")) for file in VALUES.rglob("*.json")}
    assert frozen <= set(cases.CASES)


def test_a_new_part_without_an_artefact_fails_and_says_how_to_make_one():
    with pytest.raises(pytest.fail.Exception, match="motion/brand_new has no frozen artefact: make it with `python"):
        check("motion/brand_new", dict)


def test_a_changed_number_is_seen_and_the_last_digit_is_not():
    values = torch.randn(500, generator=torch.Generator().manual_seed(0))
    frozen = {"output": digest(values), "losses": {"motion": 0.25}}
    assert not list(differences(frozen, {"output": digest(values * (1 + 1e-6)), "losses": {"motion": 0.25000001}}))
    one_off = values.clone()
    one_off[7] += 0.1
    for other in (values * 1.001, one_off, values.flip(0), values[:-1]):
        assert list(differences(frozen, frozen | {"output": digest(other)}))
    assert list(differences(frozen, frozen | {"losses": {"motion": 0.2501}})) == [
        "losses.motion was 0.25 and is 0.2501"
    ]
    assert list(differences(frozen, frozen | {"losses": {}})) == ["losses: motion is gone"]


def test_an_option_may_come_and_none_may_go_or_change():
    frozen = {"options": {"name": "gru", "hidden": 8}}
    assert not list(differences(frozen, {"options": {"name": "gru", "hidden": 8, "layers": 1}}))
    assert list(differences(frozen, {"options": {"name": "gru"}})) == ["options: hidden is gone"]
    assert list(differences(frozen, {"options": {"name": "gru", "hidden": 9}})) == ["options.hidden was 8 and is 9"]
