import json

import pytest
import torch
from browser import Browser

from visemix.data import VideoWriter
from visemix.report import chart, page
from visemix.report.player import SCRIPT, player

PLACES = "[...document.querySelectorAll('video')].map(v => v.currentTime)"


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A browser that shows three videos of 60, 50 and 60 frames, with a chart in time below."""
    folder = tmp_path_factory.mktemp("player")
    videos = {}
    for name, frames in (("recorded", 60), ("ours", 50), ("theirs", 60)):
        videos[name] = folder / f"{name}.mp4"
        with VideoWriter(videos[name], sound=torch.zeros(frames * 640), preset="ultrafast") as writer:
            for k in range(frames):
                writer.write(torch.full((3, 64, 64), 4 * k, dtype=torch.uint8))
    drawn = chart({"mouth": [(k / 25, k % 7) for k in range(50)]}, "seconds", "mm", clock=True)
    file = folder / "page.html"
    file.write_text(page("Player", [f"<section>{player(videos)}{drawn}</section>"], script=SCRIPT))
    with Browser(folder) as browser:
        browser.open(file)
        browser.run("new Promise(done => setTimeout(done, 300))")
        yield browser


def test_one_slider_moves_all_videos_to_the_same_frame(shown):
    shown.run("Object.assign(document.querySelector('.time'), { value: 1.2 }).dispatchEvent(new Event('input'))")
    shown.run("new Promise(done => setTimeout(done, 500))")
    assert shown.run(PLACES) == pytest.approx([1.22] * 3, abs=1e-3)  # the middle of frame 30
    assert shown.run("document.querySelector('.shown').textContent") == "1.22 s, frame 30"


def test_single_frames_go_both_ways_by_button_and_by_key(shown):
    shown.run("document.querySelector('.player').player.seek(0.5)")
    shown.click(".on")
    shown.run("new Promise(done => setTimeout(done, 300))")
    assert shown.run(PLACES) == pytest.approx([0.54] * 3, abs=1e-3)
    press = "new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true })"
    shown.run(f"document.querySelector('.player').dispatchEvent({press})")
    shown.run("new Promise(done => setTimeout(done, 300))")
    assert shown.run(PLACES) == pytest.approx([0.50] * 3, abs=1e-3)


def test_the_shortest_video_ends_all(shown):
    shown.run("document.querySelector('.player').player.seek(99)")
    assert shown.run(PLACES) == pytest.approx([49.5 / 25] * 3, abs=1e-3)


def test_a_click_on_a_chart_goes_to_its_second_and_a_line_shows_where_the_videos_are(shown):
    shown.run("document.querySelector('.player').player.seek(0)")
    click = "svg.dispatchEvent(new MouseEvent('click', { clientX: box.left + box.width * (64 + 320) / 720 }))"
    shown.run(
        f"(() => {{ const svg = document.querySelector('svg.clock'), box = svg.getBoundingClientRect(); {click} }})()"
    )
    shown.run("new Promise(done => setTimeout(done, 400))")
    assert shown.run(PLACES) == pytest.approx([0.98] * 3, abs=0.021)  # half of 1.96 s
    assert float(shown.run("document.querySelector('.now').getAttribute('x1')")) == pytest.approx(64 + 320, abs=14)


def test_playing_keeps_videos_in_step_even_when_one_is_pushed_away(shown):
    shown.run("document.querySelector('.player').player.seek(0)")
    shown.click(".play")
    shown.run("new Promise(done => setTimeout(done, 200))")
    shown.run("void (document.querySelectorAll('video')[2].currentTime += 0.5)")
    seen = json.loads(
        shown.run(
            "new Promise(done => { const seen = []; const look = () => { seen.push(" + PLACES + ");"
            "seen.length < 8 ? setTimeout(look, 100) : done(JSON.stringify(seen)) }; setTimeout(look, 400) })"
        )
    )
    assert seen[-1] != seen[0]  # time goes on
    gaps = [max(abs(times[0] - other) for other in times[1:]) for times in seen]
    assert sorted(gaps)[len(gaps) // 2] < 0.1  # a frame is 0.04 s, and a jump back at the end may fall between
    shown.click(".play")
    shown.run("new Promise(done => setTimeout(done, 400))")
    stopped = shown.run(PLACES)
    assert max(stopped) - min(stopped) < 1e-3
    assert shown.run("[...document.querySelectorAll('video')].every(v => v.paused)")


def test_one_video_is_heard_and_any_can_be_chosen(shown):
    muted = "[...document.querySelectorAll('video')].map(v => v.muted)"
    assert shown.run(muted) == [False, True, True]
    shown.run("Object.assign(document.querySelector('.heard'), { value: 1 }).dispatchEvent(new Event('change'))")
    assert shown.run(muted) == [True, False, True]


def test_slow_motion_slows_all(shown):
    shown.run("Object.assign(document.querySelector('.speed'), { value: 0.25 }).dispatchEvent(new Event('change'))")
    assert shown.run("[...document.querySelectorAll('video')].map(v => v.playbackRate)") == [0.25] * 3
