import numpy as np
import pytest
from browser import Browser
from html_reader import Reader
from tiny_videos import write

import visemix.evaluation.pair
import visemix.report.make
from visemix.evaluation.videos import evaluate
from visemix.prepare.track import Track, Tracker
from visemix.report.make import report
from visemix.report.sources import named_sources
from visemix.types import VisemixError


class Pretend(Tracker):
    """In mediapipe's place: a mouth in the middle that opens with the picture's brightness."""

    def __call__(self, frames):
        light = np.array([float(frame.mean()) for frame in frames])
        points = np.random.default_rng(0).uniform(5, 60, (68, 2)) + np.zeros((len(light), 1, 1))
        points[:, 48:68] = np.random.default_rng(1).uniform(20, 44, (20, 2))
        points[:, 66, 1] += light / 20
        return [Track(0, np.ones(len(light), bool), points.astype(np.float32))]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Two evaluations of the same two clips."""
    folder = tmp_path_factory.mktemp("scored")
    rng = np.random.default_rng(0)
    for clip in ("anna", "ben"):
        real = [np.full((64, 64, 3), 90 + 20 * np.sin(k + len(clip)), np.uint8) for k in range(12)]
        write(folder / f"real/{clip}.mp4", real)
        for method, noise in (("near", 5), ("far", 25)):
            fake = [np.clip(f + rng.normal(0, noise, f.shape), 0, 255).astype(np.uint8) for f in real]
            write(folder / f"{method}/{clip}.mp4", fake)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visemix.evaluation.pair, "make_tracker", lambda: (Pretend(), ""))
        for method in ("near", "far"):
            evaluate(
                folder / "real", folder / method, ["psnr", "ssim", "lmd"], folder / f"{method}.json", progress=False
            )
    return folder


@pytest.fixture(scope="module")
def page(scored):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visemix.report.make, "make_tracker", lambda: (Pretend(), ""))
        sources = [str(scored / "near.json"), f"noisy={scored / 'far.json'}"]
        return report(sources, scored / "report.html", tables=[scored / "t.md"], progress=False)


def test_the_page_shows_everything_and_needs_no_other_file(page):
    found = Reader(page.read_text())
    words = " ".join(found.words)
    for piece in (
        "Scores",
        "recorded",
        "near",
        "noisy",
        "anna",
        "ben",
        "Mouth shapes",
        "Table I, HDTF",
        "Every metric",
    ):
        assert piece in words
    assert len(found.found["video"]) == 6  # three of each clip
    assert len(found.found["circle"]) == 3 * 2 * 12  # a dot a frame
    sources = [element["src"] for name in ("video", "img") for element in found.found[name]]
    assert all(source.startswith("data:") for source in sources)
    assert not {"link", "iframe"} & found.found.keys() and all("src" not in script for script in found.found["script"])
    assert all(image["alt"] for image in found.found["img"])
    assert "| near | " in (page.parent / "t.md").read_text()


def test_the_page_works_offline_without_an_error(page, tmp_path):
    with Browser(tmp_path) as browser:
        browser.send("Network.enable")
        browser.send(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
        )
        browser.open(page)
        assert browser.run("[...document.querySelectorAll('.player')].map(box => box.player.end > 0.4)") == [True, True]
        browser.click(".player .on")
        browser.run("new Promise(done => setTimeout(done, 300))")
        places = "[...document.querySelectorAll('video')].map(v => Math.floor(v.currentTime * 25))"
        assert browser.run(places) == [1, 1, 1, 0, 0, 0]  # each clip's player moves its own
        first, last = "document.querySelector('.clock .now')", "document.querySelectorAll('.clock .now')[1]"
        assert browser.run(f"{first}.getAttribute('x1') === {last}.getAttribute('x1')")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        browser.send("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True)
        assert browser.run("document.documentElement.scrollWidth") <= 390


def test_without_a_tracker_the_page_says_what_it_lacks(scored, monkeypatch):
    monkeypatch.setattr(visemix.report.make, "make_tracker", lambda: (None, "mediapipe is not installed"))
    page = report([str(scored / "near.json")], scored / "blind.html", progress=False)
    assert "No mouths to compare: mediapipe is not installed." in page.read_text()


def test_what_cannot_be_reported_is_said_before_any_work(scored, page, tmp_path):
    with pytest.raises(VisemixError, match=r"report\.html exists and is kept"):
        report(["anything"], page)
    with pytest.raises(VisemixError, match=r"t\.md exists and is kept"):
        report(["anything"], tmp_path / "r.html", tables=[page.parent / "t.md"])
    with pytest.raises(VisemixError, match=r"is no run folder \(it has no config\.yaml\); give one, or an evaluation"):
        report([str(scored / "real")], tmp_path / "r.html")
    with pytest.raises(VisemixError, match="cannot read"):
        report(["nothing.json"], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_things_have_names_of_their_own():
    with pytest.raises(VisemixError, match="'a' names two things; give each a name of its own, as in mine=x/a"):
        named_sources(["x/a", "y/a"])
    with pytest.raises(VisemixError, match="'recorded' names two things"):
        named_sources(["recorded=x"])
