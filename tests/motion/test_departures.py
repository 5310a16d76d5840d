"""What a preset has otherwise than its paper is said, and what is said is an option."""

import inspect
from importlib import import_module

import pytest

from visemix.motion import MOTION
from visemix.motion.departures import DEPARTURES

PRESETS = {name: import_module(f"visemix.motion.{name}").PRESETS for name in DEPARTURES}


def test_every_model_with_presets_says_where_they_depart():
    with_presets = [name for name in MOTION.names() if "compat" in inspect.signature(MOTION[name]).parameters]
    assert sorted(DEPARTURES) == sorted(n for n in with_presets if MOTION[n].__module__.startswith("visemix."))


@pytest.mark.parametrize("name", DEPARTURES)
def test_whatever_our_default_has_otherwise_than_the_paper_is_said(name):
    ours, papers = PRESETS[name]["corrected"], PRESETS[name]["paper"]
    assert {option for option, *_ in DEPARTURES[name]["corrected"]} == {o for o in ours if ours[o] != papers[o]}


@pytest.mark.parametrize("name", DEPARTURES)
def test_what_departs_is_an_option_with_a_place_and_a_reason(name):
    known = {*inspect.signature(MOTION[name]).parameters, *PRESETS[name]["corrected"], "eyes"}
    assert DEPARTURES[name].keys() == PRESETS[name].keys()
    for preset, departures in DEPARTURES[name].items():
        assert [o for o, *_ in departures if o not in known and not o.startswith("train.")] == [], preset
        assert all(stands and why for _, stands, why in departures)
        assert len({o for o, *_ in departures}) == len(departures)
