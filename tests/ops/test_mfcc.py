"""Expected values: python_speech_features 0.6 on the first seconds of a real clip's sound, as 16-bit samples."""

import hashlib

import numpy as np
import pytest

from visemix.data.sound import read_sound
from visemix.ops.mfcc import mfcc

# Of the 16-bit samples under both windows; of all of them the hash differs between versions of FFmpeg's AAC decoder.
SAMPLES = "64412805436d3797ce05bb531685f8b31c70cd9bb5a97eb36ffb3c81a4506212"
FIRST = [16.44522015636217, 7.525789584624675, 8.667101954424039, -1.5675071697847416, -14.843893782494085]
FIRST += [-20.81323607574735, -4.921101870926869, 0.022081939393358722, -8.352572991654057, -5.500642437862678]
FIRST += [-6.9702944641550975, -13.307429218276408, -2.92148984990183]
HUNDREDTH = [13.34983102352739, -6.611888347365432, 6.10809294868917, 2.6396363176198494, -0.8730052593096362]
HUNDREDTH += [-12.45350443475389, -18.554468466256576, 5.553761713028431, 4.723178130642947, -2.5651287663468225]
HUNDREDTH += [-8.755944469958564, -4.8202867447771585, -8.954285335459181]


def test_real_speech_has_the_published_coefficients(assets):
    samples = (read_sound(assets / "clips/WDA_KatieHill_000.mp4").double() * 32768).round().numpy()
    under = np.concatenate([samples[:400], samples[15_999:16_400]]).astype("<i2")
    if hashlib.sha256(under.tobytes()).hexdigest() != SAMPLES:
        pytest.skip("this FFmpeg decodes to other samples than the expected values were measured on")
    rows = mfcc(samples)
    assert rows.shape == (799, 13)
    assert rows[0] == pytest.approx(FIRST, abs=1e-8)
    assert rows[100] == pytest.approx(HUNDREDTH, abs=1e-8)


def test_the_scale_of_the_samples_moves_only_the_energy():
    samples = np.random.default_rng(0).normal(size=4000) * 1000
    loud, soft = mfcc(samples), mfcc(samples / 32768)
    assert loud[:, 0] - soft[:, 0] == pytest.approx(20.79441541679836)
    np.testing.assert_allclose(loud[:, 1:], soft[:, 1:], atol=1e-10)


@pytest.mark.parametrize(("samples", "rows"), [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3), (128_000, 799)])
def test_there_is_a_row_for_every_hop_that_begins(samples, rows):
    found = mfcc(np.zeros(samples))
    assert len(found) == rows and np.isfinite(found).all()
