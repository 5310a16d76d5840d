import base64
import hashlib
from io import BytesIO

import numpy as np
import pytest
from html_reader import Reader
from skimage.io import imread

from visemix.report import chart, dots, heading, page, paragraph, picture, png, row, smooth, table, video


def test_a_page_is_one_html_document_without_links_or_scripts(tmp_path):
    clip = tmp_path / "talk.mp4"
    clip.write_bytes(b"not really a film")
    grey = np.full((4, 6, 3), 128, np.uint8)
    blocks = [
        heading("Numbers"),
        paragraph("more < less & so on"),
        row([video(clip, "a film"), picture(grey, 'a "picture"')]),
        table(["metric", "value"], [["PSNR", 31.25678], ["r", None]]),
        chart({"a": [(0, 1), (1, 2)]}, "seconds", "mm"),
    ]
    text = page("A <demo>", blocks)
    found = Reader(text).found
    assert text.startswith("<!doctype html>")
    assert {"video", "img", "table", "svg", "h1", "h2"} <= found.keys()
    assert not {"script", "link", "a"} & found.keys()
    sources = [element["src"] for name in ("video", "img") for element in found[name]]
    assert [source[:22] for source in sources] == ["data:video/mp4;base64,", "data:image/png;base64,"]
    assert found["img"][0]["alt"] == 'a "picture"'
    assert "A &lt;demo&gt;" in text and "more &lt; less &amp; so on" in text


def test_numbers_have_four_digits_and_what_is_missing_is_a_dash():
    words = Reader(table(["metric", "value"], [["PSNR", 31.25678], ["r", None]])).words
    assert words == ["metric", "value", "PSNR", "31.26", "r", "—"]


def test_a_picture_keeps_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)
    assert np.array_equal(imread(BytesIO(png(pixels))), pixels)


def test_a_chart_places_its_points_between_round_numbers():
    drawn = Reader(chart({"true": [(0, 1.2), (2, 4.8)], "ours": [(0, 1.2), (2, 1.2)]}, "seconds", "opening (mm)"))
    true, ours = ([float(v) for v in c["points"].replace(",", " ").split()] for c in drawn.found["polyline"])
    assert {"1", "2", "3", "4", "5", "true", "ours", "seconds", "opening (mm)"} <= set(drawn.words)
    assert true[:2] == ours[:2] and true[3] < true[1] and ours[3] == ours[1]
    levels = sorted(float(g["y1"]) for g in drawn.found["line"] if g["class"] == "grid")
    assert len(levels) == 5 and levels[0] < true[3] < levels[1]  # 4.8 lies under the line of 5
    assert true[3] - levels[0] == pytest.approx(0.2 * (levels[1] - levels[0]), abs=0.11)


def test_a_logarithmic_chart_gives_equal_ratios_equal_heights():
    drawn = Reader(chart({"loss": [(0, 1e-1), (1, 1e-2), (2, 1e-3)]}, "step", "loss", log=True))
    y = [float(v) for v in drawn.found["polyline"][0]["points"].replace(",", " ").split()][1::2]
    assert y[1] - y[0] == pytest.approx(y[2] - y[1], abs=0.11)
    assert y[1] - y[0] > 50
    with pytest.raises(ValueError, match="have no logarithm"):
        chart({"loss": [(0, 0.0)]}, "step", "loss", log=True)


def test_dots_show_every_number_their_mean_and_its_distance_from_the_first_rows():
    drawn = Reader(dots({"full": [1.0, 3.0], "w/o A": [4.0], "lost": []}, "LMD (px)", beside={"w/o A": "▸ agrees"}))
    assert {"full", "w/o A", "lost", "LMD (px)", "▸ agrees"} <= set(drawn.words)
    at = {kind: [float(c["cx"]) for c in drawn.found["circle"] if kind in c["class"]] for kind in ("dot", "mean")}
    one, three, four = at["dot"]
    assert 2 * (four - three) == pytest.approx(three - one, rel=0.01)
    assert at["mean"] == pytest.approx([(one + three) / 2, four], abs=0.11)
    (whole,) = (line for line in drawn.found["line"] if line["class"] == "now")
    assert float(whole["x1"]) == float(whole["x2"]) == at["mean"][0]
    bar = next(line for line in drawn.found["line"] if line["class"] == "curve c2")  # ± 2 ** 0.5 around 2
    assert float(bar["x2"]) - float(bar["x1"]) == pytest.approx(2**0.5 * (three - one), abs=0.2)
    with pytest.raises(ValueError, match="nothing to draw for 'x'"):
        dots({"full": []}, "x")


def test_numbers_that_are_equal_but_for_rounding_are_drawn():
    values = [0.1 + 0.2, 0.3, 0.3]
    drawn = Reader(dots({"full": values}, "x"))
    assert len({round(float(circle["cx"])) for circle in drawn.found["circle"]}) == 1
    chart({"flat": list(enumerate(values))}, "x", "y")


@pytest.mark.parametrize("curve", [[(0, 3.0)], [(0, 0.0), (1, 0.0)], [(5, 1e-9), (6, 2e-9)], [(0, -1.0), (9, 1e6)]])
def test_a_chart_of_anything_finite_stays_inside_its_frame(curve):
    drawn = Reader(chart({"curve": curve}, "x", "y"))
    points = [float(v) for v in drawn.found["polyline"][0]["points"].replace(",", " ").split()]
    assert all(0 <= x <= 720 for x in points[0::2]) and all(0 <= y <= 250 for y in points[1::2])


def test_a_smoothed_curve_looks_back_only():
    assert smooth([(0, 1.0), (1, 1.0), (2, 4.0), (3, 1.0)], 3) == [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0)]


def test_a_page_asks_no_network_and_runs_no_script_but_its_own():
    script = "document.title = 'mine'"
    for given, allowed in ((script, ""), ("", "'none'")):
        text = page("A page", [paragraph("words")], script=given)
        (policy,) = [each["content"] for each in Reader(text).found["meta"] if "http-equiv" in each]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        if given:
            digest = base64.b64encode(hashlib.sha256(given.encode()).digest()).decode()
            allowed = f"'sha256-{digest}'"
            assert f"<script>{given}</script>" in text
        assert rules["script-src"] == allowed
        assert (rules["default-src"], rules["img-src"], rules["media-src"]) == ("'none'", "data:", "data:")
        assert text.index("Content-Security-Policy") < text.index("<style>")
