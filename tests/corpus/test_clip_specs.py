from dataclasses import replace

import numpy as np
import pytest
import torch
from corpus_maker import QUIET, bytes_of, loudness, opening, recipe
from omegaconf import OmegaConf

from visemix.corpus import flite, kokoro, voices
from visemix.corpus.clip_specs import cast_speaker, choose_voice, make_clip
from visemix.corpus.make import corpus, plan_clips
from visemix.data import ClipFolder
from visemix.types import VisemixError


def test_conditions_change_the_sound_alone_and_are_told(tmp_path, face):
    kinds = "room,noise,microphone,clipping,codec,level"
    wish = {"speakers": 2, "minutes": 1 / 15, "size": 32, "seed": 4, "synthesiser": "formants", "console": QUIET}
    corpus(tmp_path / "clean", **wish)
    corpus(tmp_path / "one", conditions=kinds, **wish)
    corpus(tmp_path / "two", conditions=kinds, jobs=2, **wish)
    changed = []
    for name in ("ada_000", "ben_000"):
        assert bytes_of(tmp_path / "one" / name) == bytes_of(tmp_path / "two" / name)
        clean, recorded = (ClipFolder(tmp_path / each / name, face) for each in ("clean", "one"))
        for same in ("expression", "pose", "landmarks"):
            assert torch.equal(clean.tensor(same), recorded.tensor(same))
        assert clean.phonemes() == recorded.phonemes()
        assert clean.meta["corpus"]["conditions"] == clean.meta["corpus"]["recordings"] == []
        assert recorded.meta["corpus"]["conditions"] == kinds.split(",")
        changed.append(not torch.equal(clean.speech().wave, recorded.speech().wave))
        # start, speed and seed are always told
        assert changed[-1] == (len(recorded.meta["corpus"]["recordings"][0]) > 3)
    assert any(changed)
    with pytest.raises(VisemixError, match=r"exists with conditions \[\], not \['room'\]"):
        corpus(tmp_path / "clean", conditions="room", **wish)


def test_a_clip_from_before_there_were_conditions_is_a_clean_one(tmp_path):
    wish = {"speakers": 1, "minutes": 1 / 60, "size": 32, "synthesiser": "formants", "console": QUIET}
    corpus(tmp_path, **wish)
    meta = tmp_path / "ada_000" / "meta.yaml"
    older = OmegaConf.load(meta)
    del older["corpus"]["conditions"], older["corpus"]["recordings"]
    OmegaConf.save(older, meta)
    assert corpus(tmp_path, **wish).kept == ["ada_000"]


def test_speed_and_hesitation_change_what_is_said_and_the_mouth_goes_along(tmp_path, face):
    plain = recipe(tmp_path / "plain", seconds=6.0)
    halting = replace(plain, out=tmp_path / "halting", conditions=("speed", "hesitation"))
    clips = []
    for each in (plain, halting):
        make_clip(each, plan_clips(each, 1, "train")[0], face)
        clips.append(ClipFolder(each.out / "ada_000", face))
    assert clips[0].phonemes() != clips[1].phonemes()
    mouth, loud = opening(clips[1], face), loudness(clips[1])
    scores = [np.corrcoef(mouth[12 + lag : len(mouth) - 12 + lag], loud[12:-12])[0, 1] for lag in range(-12, 13)]
    assert abs(int(np.argmax(scores)) - 12) <= 3 and max(scores) > 0.3
    assert 0.9 <= clips[1].meta["corpus"]["recordings"][0]["speed"] <= 1.1


def test_who_cannot_sing_or_speak_abroad_is_heard_with_another_voice_of_their_sex(tmp_path, monkeypatch, face):
    monkeypatch.setattr(flite, "installed", lambda: True)
    wish = recipe(tmp_path, synthesiser="flite")
    person = cast_speaker(wish, plan_clips(wish, 1, "train")[0], face)
    assert person.voice.synthesiser == "flite"
    abroad, other, sung = (choose_voice(wish, spec, person) for spec in plan_clips(wish, 1, "ood"))
    assert {abroad.synthesiser, sung.synthesiser} <= {"espeak", "formants"} and other.synthesiser == "flite"
    assert abroad.sex == sung.sex == person.voice.sex != other.sex


def test_all_voices_take_the_slow_ones_in_where_they_are_installed(monkeypatch):
    monkeypatch.setattr(kokoro, "installed", lambda: True)
    monkeypatch.setattr(flite, "installed", lambda: True)
    assert voices.usable_synthesisers("en")[:-1] == ["flite"] and voices.usable_synthesisers("en", slow=True)[:-1] == [
        "flite",
        "kokoro",
    ]
    assert len(voices.usable_synthesisers("de", slow=True)) == 1
    families = {voices.sample_voice(seed, synthesiser="all").synthesiser for seed in range(30)}
    assert {"flite", "kokoro"} < families and "kokoro" not in {voices.sample_voice(s).synthesiser for s in range(30)}
