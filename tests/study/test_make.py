import base64
import csv
import io
import json
import re

import av
import pytest
from browser import Browser
from study_maker import film, films

from visemix.study import make_study
from visemix.types import VisemixError


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    page = make_study(films(folder), folder / "out", protocol="gsmoothface", seed=4)
    return page, json.loads((folder / "out/key.json").read_text())


def items_of(page):
    return json.loads(re.search(r'id="about">(.*?)</script>', page.read_text(), re.S)[1])["items"]


def test_the_page_holds_every_video_and_no_word_about_who_made_it(study):
    page, key = study
    text, items = page.read_text(), items_of(page)
    for word in ("ours", "theirs", "recorded", "anna", "ben", key["seed"] + "\n"):
        assert not re.search(rf"\b{re.escape(word)}\b", re.sub(r"base64,[^\"]*", "", text))
    assert [item["id"] for item in items] == sorted(key["items"])
    assert len(items) == 6 and not re.search(r'(src|href)="https?:', text)


def test_the_key_names_each_video(study):
    page, key = study
    shades = {}
    for item in items_of(page):
        film = io.BytesIO(base64.b64decode(item["film"].partition(",")[2]))
        with av.open(film) as container:
            shades[item["id"]] = next(container.decode(video=0)).to_ndarray(format="rgb24").mean()
    for item, about in key["items"].items():
        assert shades[item] == pytest.approx({"recorded": 10, "ours": 70, "theirs": 130}[about["method"]], abs=4)


def test_a_seed_makes_the_same_study_again_and_without_one_nobody_can_guess_the_names(tmp_path):
    sources = films(tmp_path)
    made = [make_study(sources, tmp_path / f"out{k}", seed=seed) for k, seed in enumerate((1, 1, None, None))]
    keys = [(page.parent / "key.json").read_text() for page in made]
    assert keys[0] == keys[1] and made[0].read_bytes() == made[1].read_bytes()
    assert keys[2] != keys[3] and len(json.loads(keys[2])["seed"]) == 32


def test_a_study_is_kept(study):
    page, _ = study
    with pytest.raises(VisemixError, match=r"study\.html exists and is kept: answers belong to it"):
        make_study([], page.parent)


def test_what_cannot_be_compared_is_refused_in_a_sentence(tmp_path):
    sources, out = films(tmp_path, methods=("ours", "theirs")), tmp_path / "out"
    with pytest.raises(VisemixError, match="a study compares two methods or more"):
        make_study(sources[:1], out)
    with pytest.raises(VisemixError, match=r"no protocol 'moss'; did you mean 'mos'"):
        make_study(sources, out, protocol="moss")
    with pytest.raises(VisemixError, match="'ours' names two things"):
        make_study([sources[0], sources[0]], out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(VisemixError, match=r"empty holds no videos \(\.mp4"):
        make_study([sources[0], str(tmp_path / "empty")], out)
    with pytest.raises(VisemixError, match=r"no such folder: .*nowhere"):
        make_study([sources[0], str(tmp_path / "nowhere")], out)
    film(tmp_path / "ours/cleo.mp4")
    with pytest.raises(VisemixError, match="'ours' has a video 'cleo' and 'theirs' has none of that name"):
        make_study(sources, out)
    film(tmp_path / "theirs/cleo.mp4", frames=14)
    with pytest.raises(VisemixError, match=r"theirs/cleo\.mp4 lasts 0\.56 s and .*ours/cleo\.mp4 0\.40 s"):
        make_study(sources, out)
    (tmp_path / "theirs/cleo.mp4").unlink()
    film(tmp_path / "theirs/cleo.mp4", sound=False)
    with pytest.raises(VisemixError, match=r"theirs/cleo\.mp4 has no sound"):
        make_study(sources, out)
    (tmp_path / "theirs/cleo.mp4").write_bytes(b"no film")
    with pytest.raises(VisemixError, match=r"theirs/cleo\.mp4 is not a readable video"):
        make_study(sources, out)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text("name: x")
    with pytest.raises(VisemixError, match="was not evaluated yet"):
        make_study([sources[0], str(tmp_path / "run")], out)
    assert not out.exists()


# What a rater does to one video: watch it to its end, answer every question with what `pick` gives, go on.
RATE = """
var rate = async (pick) => {
  const film = document.getElementById("film"), next = document.getElementById("next");
  await new Promise((done) => (film.readyState > 2 ? done() : film.addEventListener("canplay", done, { once: true })));
  const before = next.disabled;
  const ended = new Promise((done) => film.addEventListener("ended", () => setTimeout(done, 20), { once: true }));
  film.muted = true;
  film.playbackRate = 4;
  await film.play();
  await ended;
  const unanswered = next.disabled;
  for (const field of document.querySelectorAll("#questions fieldset")) {
    const boxes = [...field.querySelectorAll("input")];
    boxes[pick(film, boxes)].click();
  }
  const place = document.getElementById("place").textContent;
  const shut = [before, unanswered, next.disabled];
  next.click();
  return { place, shut };
};
"""


def begin(browser, page, rater):
    browser.open(page)
    browser.run(f"document.getElementById('rater').value = {json.dumps(rater)}")
    browser.click("#welcome button")


def shade(browser):
    """The grey of the video that is shown."""
    return browser.run(
        "(() => { const c = document.createElement('canvas'), g = c.getContext('2d');"
        "g.drawImage(document.getElementById('film'), 0, 0, 9, 9); return g.getImageData(4, 4, 1, 1).data[0] })()"
    )


def test_a_rater_sees_every_video_once_and_takes_the_answers_home(study, tmp_path):
    page, key = study
    order = []
    with Browser(tmp_path) as browser:
        downloads = browser.downloads()
        begin(browser, page, 'Anna "A", x')
        for k in range(6):
            order.append(browser.run("order[here].id"))
            said = browser.run(f"rate(() => {k} % 5)", RATE)
            assert said == {"place": f"Video {k + 1} of 6", "shut": [True, True, False]}
        assert browser.run("document.getElementById('done').hidden") is False
        browser.click("#save")
        browser.run("new Promise(done => setTimeout(done, 500))")
        copied = browser.run("document.getElementById('csv').value")
    (saved,) = downloads.glob("*.csv")
    assert saved.name == f"answers-{key['study']}-Anna-A-x.csv" and saved.read_text() == copied
    rows = list(csv.reader(saved.open()))
    assert rows[0] == ["study", "rater", "item", "position", "lip_sync", "image_quality", "video_realism"]
    assert [row[2] for row in rows[1:]] == order and sorted(order) == sorted(key["items"])
    for k, row in enumerate(rows[1:]):
        assert row[:2] == [key["study"], 'Anna "A", x'] and row[3:] == [str(k + 1), *[str(k % 5 - 2)] * 3]


def test_answers_survive_a_reload_and_orders_differ_between_raters(study, tmp_path):
    page, _ = study
    with Browser(tmp_path) as browser:
        begin(browser, page, "ben")
        first = browser.run("order.map(item => item.id)")
        browser.run("rate(() => 1)", RATE)
        begin(browser, page, "ben")
        assert browser.run("document.getElementById('place').textContent") == "Video 2 of 6"
        browser.click("#back")
        assert browser.run("[...document.querySelectorAll('#questions :checked')].map(box => box.value)") == ["-1"] * 3
        assert browser.run("order.map(item => item.id)") == first
        begin(browser, page, "cleo")
        assert browser.run("document.getElementById('place').textContent") == "Video 1 of 6"
        assert browser.run("order.map(item => item.id)") != first
