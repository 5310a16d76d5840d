import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from visemix.corpus import acting
from visemix.corpus.acting import (
    MANNERS,
    Style,
    _blend_shapes,
    animate,
    manner,
    mouth_shapes,
    reconstruction_noise,
    sample_style,
)
from visemix.corpus.utterance import compose_utterance
from visemix.corpus.voices import sample_voice
from visemix.data.phonemes import SOUNDS, Phone
from visemix.face import FACE
from visemix.ops.audio import log_mel
from visemix.types import Motion, Space, Subject


@pytest.fixture(params=["toy", "ict"])
def any_face(request, assets):
    return FACE.build({"name": request.param})


@pytest.fixture(scope="module")
def said():
    return compose_utterance(40.0, sample_voice(0, "en", "female", "formants"), 1)


def between(symbol):
    """A sound between two neutral vowels, its middle at 0.5 s."""
    times = [0.0, 0.3, 0.43, 0.57, 0.7, 1.0]
    symbols = ["_", "ə", symbol, "ə", "_"]
    return [Phone(s, a, b, float(s != "_")) for s, a, b in zip(symbols, times[:-1], times[1:], strict=True)]


def points(face, expression):
    subject = Subject(
        speaker=("someone",),
        identity=torch.zeros(1, face.identity.shape[-1]),
        expression=expression[None],
        pose=torch.zeros(1, len(expression), 6),
        camera=torch.tensor([[1015.0, 112.0, 112.0]]),
        light=torch.zeros(1, len(expression), 27),
        albedo=face.albedo[None],
    )
    return face.landmarks(Motion(subject.expression, Space.EXPRESSION), subject)[0].numpy()


def opening(face, expression):
    lips = points(face, expression)
    return np.linalg.norm(lips[:, 62] - lips[:, 66], axis=-1)


def at_sound(face, symbol):
    """Landmarks while the sound is held."""
    return points(face, animate(between(symbol), 25, Style(), face, 0).expression)[12]


def test_lips_meet_for_p_b_m_and_part_for_vowels(any_face):
    gap = {s: at_sound(any_face, s) for s in "pbmaɑi_"}
    gap = {s: float(np.linalg.norm(p[62] - p[66])) for s, p in gap.items()}
    assert max(gap["p"], gap["b"], gap["m"]) < gap["_"] + 0.012  # decimetres, against the mouth at rest
    assert min(gap["a"], gap["ɑ"]) > 0.11
    assert gap["_"] + 0.02 < gap["i"] < 0.6 * gap["a"]


def test_lips_are_rounded_for_u_and_w_and_spread_for_i(any_face):
    width = {s: at_sound(any_face, s) for s in "uwoi_"}
    forward = {s: p[[51, 57], 2].mean() for s, p in width.items()}
    width = {s: float(p[54, 0] - p[48, 0]) for s, p in width.items()}
    assert max(width["u"], width["w"], width["o"]) < width["_"] - 0.03
    assert width["i"] > width["_"] + 0.02
    assert min(forward["u"], forward["w"]) > forward["_"] + 0.02


def test_the_lower_lip_rises_to_the_teeth_for_f_and_the_mouth_is_not_shut(any_face):
    rest, bitten = at_sound(any_face, "_"), at_sound(any_face, "f")
    assert bitten[57, 1] > rest[57, 1] - 0.01  # the lower lip is not lowered
    assert bitten[51, 1] > rest[51, 1] + 0.01  # the upper is raised
    assert bitten[62, 1] - bitten[66, 1] > 0.01


def gap(face, symbol):
    """Between the inner lips, up and down, decimetres."""
    lips = at_sound(face, symbol)
    return float(lips[62, 1] - lips[66, 1])


def test_rounded_lips_narrow_what_the_jaw_opens(any_face):
    assert max(gap(any_face, s) for s in "wuɹ") < 0.8 * gap(any_face, "t")  # whose jaw is as high
    assert gap(any_face, "o") < 0.75 * gap(any_face, "e") and gap(any_face, "ɔ") < 0.8 * gap(any_face, "ɛ")


def test_the_lips_nearly_touch_the_teeth_for_f_and_v(any_face):
    assert max(gap(any_face, "f"), gap(any_face, "v")) < 0.6 * gap(any_face, "t")


def test_lips_part_over_the_teeth_for_hissing_sounds_whose_jaw_is_high(any_face):
    assert SOUNDS["s"].open < SOUNDS["ʃ"].open < SOUNDS["t"].open
    assert min(gap(any_face, "s"), gap(any_face, "ʃ")) > 0.75 * gap(any_face, "t")


def test_closed_lips_are_narrower_than_at_rest(any_face):
    width = {s: at_sound(any_face, s) for s in "pbmfv_"}
    width = {s: float(p[54, 0] - p[48, 0]) for s, p in width.items()}
    assert max(width[s] for s in "pbmfv") < width["_"] - 0.01


def test_lips_round_before_and_after_what_the_tongue_does():
    def seconds(symbol, action):
        phones = [Phone(s, 0.1 * k, 0.1 * k + 0.1, 1.0) for k, s in enumerate(["t", "k", "t", symbol, "t", "k", "t"])]
        curve = mouth_shapes(phones, np.arange(0, 0.7, 0.01))[action]
        return (curve > curve.max() / 4).mean()

    assert seconds("ɔ", "round") > 1.2 * seconds("θ", "tongue")


def test_in_a_pause_the_mouth_stays_ajar_as_much_as_the_speaker_rests_it(any_face):
    shut, ajar = (
        opening(any_face, animate([Phone("_", 0.0, 1.0, 0.0)], 25, Style(ajar=a), any_face, 0).expression)[12]
        for a in (0.0, 0.2)
    )
    assert 0.01 < ajar - shut < 0.06
    assert max(sample_style(np.random.default_rng(k)).ajar for k in range(20)) > 0.2


def test_every_bilabial_of_real_speech_closes_the_lips(said, face):
    expression = animate(said.phones, 1000, Style(), face, 0).expression
    gaps, rest = opening(face, expression), opening(face, torch.zeros(1, 24))[0]
    for phone in said.phones:
        if SOUNDS[phone.symbol].lips == "seal":
            first, last = int(phone.start * 25), int(np.ceil(phone.stop * 25))
            assert gaps[first : last + 1].min() < rest + 0.015, phone


def test_neighbours_colour_a_sound():
    def shape(*symbols):
        phones = [Phone(s, 0.1 * k, 0.1 * k + 0.1, 1.0) for k, s in enumerate(symbols)]
        return mouth_shapes(phones, np.array([0.15]))

    assert shape("u", "k", "u")["round"][0] > 3 * shape("i", "k", "i")["round"][0]
    assert shape("ɑ", "h", "ɑ")["open"][0] > 1.5 * shape("i", "h", "i")["open"][0]
    assert shape("ɑ", "m", "ɑ")["seal"][0] > 0.95


def test_an_hour_is_acted_piece_by_piece_and_no_cut_shows(monkeypatch):
    rng = np.random.default_rng(0)
    stops = np.cumsum(rng.uniform(0.04, 0.3, 400))
    stops[200:] += 12.0  # a long pause among them
    symbols = [*rng.choice(["a", "m", "s", "u", "f", "t"], 400)]
    symbols[200] = "_"
    starts = [0.0, *stops[:-1]]
    phones = [Phone(str(s), a, b, 1.0) for s, a, b in zip(symbols, starts, stops, strict=True)]
    seconds = np.arange(0.0, stops[-1] + 20.0, 0.04)  # and nothing after them

    weighed = []
    whole = acting._blend_shapes(phones, seconds)
    monkeypatch.setattr(acting, "_blend_shapes", lambda p, s: weighed.append(len(p)) or _blend_shapes(p, s))
    monkeypatch.setattr(acting, "BLOCK", 100)
    pieces = mouth_shapes(phones, seconds)
    assert len(weighed) > 10 and np.median(weighed) < 100
    for name, curve in whole.items():
        np.testing.assert_allclose(pieces[name], curve, rtol=0, atol=1e-12, err_msg=name)


def test_a_mouth_that_lags_does_all_of_it_later(said, face):
    plain = animate(said.phones, 1000, Style(), face, 0).expression
    late = animate(said.phones, 1000, Style(lag=0.08), face, 0).expression
    mouth = [k for k, name in enumerate(face.expression_names) if not name.startswith(("brow", "blink"))]
    torch.testing.assert_close(late[2:, mouth], plain[:-2, mouth], rtol=0, atol=1e-5)


@pytest.mark.parametrize("k", [-3, 2, 5])
def test_sound_shifted_by_k_frames_moves_the_best_lag_by_minus_k(said, face, k):
    mouth = opening(face, animate(said.phones, 1000, Style(), face, 0).expression)

    def best(wave):
        loudness = np.log(np.sqrt((wave.reshape(-1, 640) ** 2).mean(1)) + 1e-3)
        return max(range(-12, 13), key=lambda lag: np.corrcoef(mouth[20:-20], np.roll(loudness, -lag)[20:-20])[0, 1])

    shifted = np.roll(said.wave, -640 * k)  # heard k frames earlier
    assert best(shifted) == best(said.wave) - k


def test_a_plain_speaker_says_the_same_alike_and_a_free_one_in_many_ways(face):
    differences = []
    for seed in range(3):
        utterance = compose_utterance(60.0, sample_voice(seed, synthesiser="formants"), seed)

        def mouth(style, draw, utterance=utterance):
            return opening(face, animate(utterance.phones, 1500, style, face, draw).expression)

        np.testing.assert_array_equal(mouth(Style(), 1), mouth(Style(), 2))
        ways = [mouth(sample_style(np.random.default_rng(seed)), draw) for draw in range(8)]
        for first, last in sentences(utterance):
            for one, other in zip(ways[::2], ways[1::2], strict=True):
                differences.append(np.sqrt(((one - other)[first:last] ** 2).mean()) / np.ptp(one[first:last]))
    assert np.mean(differences) > 0.14  # of each sentence's range; over many speakers it is 0.15


def sentences(said):
    """First and last frame of what lies between the long pauses."""
    pauses = [p for p in said.phones if p.symbol == "_" and p.stop - p.start > 0.29]
    return [(int(a.stop * 25), int(b.start * 25) + 1) for a, b in itertools.pairwise(pauses)]


@pytest.mark.parametrize(("freedom", "least"), [(0.0, 0.8), (1.0, 0.7)])
def test_ridge_regression_from_sound_finds_the_mouth_of_sentences_it_has_not_heard(face, freedom, least):
    # A free speaker's manner cannot be heard, nor how far a mouth is ajar in a pause.
    voice, style = sample_voice(1, "en", "male", "formants"), sample_style(np.random.default_rng(1))
    style = replace(style, freedom=freedom, ajar=0.0)
    rows, mouths = [], []
    for minute in range(4):
        utterance = compose_utterance(60.0, voice, minute)
        mel = log_mel(torch.from_numpy(utterance.wave)[None], 40)[0].unflatten(0, (-1, 4)).mean(1).numpy()
        around = np.pad(mel, ((5, 5), (0, 0)), mode="edge")
        rows.append(np.concatenate([around[k : k + 1500] for k in range(11)], 1))
        mouths.append(opening(face, animate(utterance.phones, 1500, style, face, minute).expression))
    x, y = np.concatenate(rows), np.concatenate(mouths)
    x = (x - x[:4500].mean(0)) / x[:4500].std(0)
    seen, sound = x[:4500], y[:4500]
    weights = np.linalg.solve(seen.T @ seen + 45 * np.eye(440), seen.T @ (sound - sound.mean()))
    assert np.corrcoef(x[4500:] @ weights, y[4500:])[0, 1] > least


def test_the_same_seed_gives_the_same_numbers_within_range(said, any_face):
    style = sample_style(np.random.default_rng(3))
    one, other = (animate(said.phones, 1000, style, any_face, 7) for _ in range(2))
    assert torch.equal(one.expression, other.expression) and torch.equal(one.pose, other.pose)
    low, high = any_face.expression_range.T
    assert ((one.expression >= low) & (one.expression <= high)).all()
    assert not torch.equal(one.pose, animate(said.phones, 1000, style, any_face, 8).pose)


def test_eyes_blink_head_moves_smoothly_and_breathes(said, face):
    acted = animate(said.phones, 1000, Style(), face, 4)
    blink = acted.expression[:, face.expression_names.index("blink_left")]
    closings = int(((blink[1:] > 0.5) & (blink[:-1] <= 0.5)).sum())
    assert 7 <= closings <= 27  # in forty seconds
    turn = torch.rad2deg(acted.pose[:, :3])
    assert 1 < turn.std(0).max() < 8 and turn.diff(dim=0).abs().max() < 2.5
    still = animate(said.phones, 1000, Style(head=0.0), face, 4).pose
    assert still[:, :3].abs().max() == 0
    spectrum = np.abs(np.fft.rfft(still[:, 4].numpy()))
    faster = np.abs(np.fft.rfft(animate(said.phones, 1000, Style(head=0.0, breath=2.0), face, 4).pose[:, 4].numpy()))
    assert spectrum[10] - faster[10] > 3 and faster[20] - spectrum[20] > 3  # ten breaths in forty seconds, or twenty


def test_manner_is_slow_and_nothing_without_freedom():
    ways = manner(500, 1.0, np.random.default_rng(0))
    assert np.abs(np.diff(np.log(ways["strength"]))).max() < 0.1 < np.log(ways["strength"]).std()
    none = manner(500, 0.0, np.random.default_rng(0))
    assert (none["strength"] == 1).all() and (none["smile"] == 0).all()


def test_a_held_manner_is_one_of_a_few_for_seconds_at_a_time():
    ways = manner(2000, 1.0, np.random.default_rng(0), held=True)
    seen = np.round(np.stack([ways[name] for name in ways], 1), 2)
    kinds, frames = np.unique(seen, axis=0, return_counts=True)
    often = frames > 100
    assert 3 <= often.sum() <= len(MANNERS) and frames[often].sum() > 0.9 * 2000
    assert np.ptp(kinds[often], axis=0).min() > 0.3  # and they differ
    none = manner(2000, 0.0, np.random.default_rng(0), held=True)
    assert (none["strength"] == 1).all() and (none["smile"] == 0).all()


def test_reconstruction_noise_drifts_and_trembles_as_much_as_asked(face):
    true = torch.full((2000, 24), 0.5)
    noisy = reconstruction_noise(true, face, 0, drift=0.03, jitter=0.01)
    narrow = (face.expression_range[:, 1] - face.expression_range[:, 0]) == 1
    error = (noisy - true)[:, narrow]
    assert float(error.diff(dim=0).std()) == pytest.approx(0.01 * 2**0.5, rel=0.1)
    assert float(error.unflatten(0, (-1, 20)).mean(1).std()) == pytest.approx(0.03, rel=0.2)
    assert torch.equal(noisy, reconstruction_noise(true, face, 0, drift=0.03, jitter=0.01))
    low, high = face.expression_range.T
    at_rest = reconstruction_noise(torch.zeros(50, 24), face, 1)
    assert ((at_rest >= low) & (at_rest <= high)).all()
