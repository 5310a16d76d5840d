"""The site has a page for whatever is registered, and what would be wrong in it is found before a visitor does."""

from pathlib import Path

import pytest

from visemix.metrics import METRICS

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))


def test_every_metric_of_the_library_has_a_page_with_formula_source_and_pitfalls():
    pages = {path.stem: path.read_text() for path in (DOCS / "pages/metrics").glob("*.md")}
    assert set(pages) == {name for name in METRICS.names() if METRICS[name].__module__.startswith("visemix.")}
    headings = {name: [line for line in text.splitlines() if line.startswith("#")] for name, text in pages.items()}
    assert {tuple(found) for found in headings.values()} == {("## Formula", "## Source", "## Pitfalls")}


def test_a_page_may_lead_to_what_is_there_only(tmp_path):
    from checks import faults

    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/other.html").write_text('<a id="here"></a><a href="../index.html">back</a>')
    sound = '<a href="sub/other.html#here"></a><a href="https://example.org"></a><img src="data:image/png;base64,">'
    (tmp_path / "index.html").write_text(sound)
    assert faults(tmp_path) == []
    (tmp_path / "index.html").write_text(
        '<a href="gone.html"></a><a href="sub/other.html#nowhere"></a><img src="no.png">'
        '<script src="//cdn.org/x.js"></script>'
    )
    assert faults(tmp_path) == [
        "index.html: a leads to gone.html, which is not there",
        "index.html: a leads to sub/other.html#nowhere, which has no such anchor",
        "index.html: img leads to no.png, which is not there",
        "index.html: fetches //cdn.org/x.js",
    ]


@pytest.mark.parametrize(
    ("head", "asked"),
    [
        (
            '# Table 3, "w. fine-tune": is it better\n# than a post-net? Perhaps.',
            'Table 3, "w. fine-tune": is it better than a post-net?',
        ),
        ("# The head first. Then the torso.", "The head first."),
    ],
)
def test_an_experiment_is_listed_by_its_question(head, asked):
    from experiments import question

    assert question(f"{head}\nuse: {{face: toy}}\n") == asked


def test_a_part_inside_another_is_among_those_that_an_experiment_uses():
    from experiments import named

    parts = {"name": "concat", "parts": {"moonshine": {"name": "cached", "base": {"name": "moonshine"}}, "mel": None}}
    assert list(named(parts)) == ["concat", "cached", "moonshine", "mel"]


def test_a_guide_shows_the_plug_ins_that_register_what_it_is_about():
    from includes import expand, registered

    lights = next((DOCS.parent / "experiments/third_party").rglob("visemix_lights.py"))
    assert registered(lights) == {"RENDER"}
    assert '@RENDER.register("lights")' in expand("{{ plugins renderer }}", "guides/renderer.md")
    assert expand("{{ plugins logger }}", "guides/renderer.md") == "None is there yet."
    assert 'lights = "visemix_lights"' in expand("{{ package lights }}", "guides/index.md")


def test_what_cannot_be_included_is_named():
    from includes import expand

    with pytest.raises(ValueError, match="the README has no section 'Nothing'"):
        expand("{{ readme Nothing }}", "index.md")
    with pytest.raises(ValueError, match="nothing is included by 'nonsense'"):
        expand("{{ nonsense it }}", "index.md")


def test_links_between_files_are_links_between_pages():
    from includes import linked

    text = "[how](CONTRIBUTING.md#taste), [who](https://example.org)"
    assert (
        linked(text, "README.md", "guides/index.md")
        == "[how](../project/contributing.md#taste), [who](https://example.org)"
    )
    with pytest.raises(ValueError, match=r"links to secret\.md, which is no page"):
        linked("[this](secret.md)", "README.md", "index.md")


def test_a_page_has_what_was_published_of_every_part():
    import departures

    page = departures.page()
    assert "## taft" in page and "## wav2vec2" in page
    assert "| <code>union</code> | <code>false</code> | IV-C | <code>true</code> |" in page
