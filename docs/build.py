"""Build the site: `python docs/build.py` gathers pages in out/docs/pages and leaves out/docs/site to open in a browser.

Needs the extra `docs`. A warning of the generator, a dead link, a missing anchor or picture, or anything that would be
fetched from elsewhere ends it with an error. Nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import departures
import gallery
import parts
import pictures
import reference
import yaml
from checks import faults
from formulas import written
from includes import ROOT, expand
from metrics import metric_pages
from registries import shelves

import experiments

HERE, OUT = ROOT / "docs/pages", ROOT / "out/docs"
GUIDES = ("renderer", "motion", "encoder", "metric", "data", "tracker", "trainer")
PROJECT = ("contributing", "changelog", "benchmarks", "starter", "ethics")


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    pages = gather()
    for name, text in pages.items():
        path = OUT / "pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.copytree(HERE / "assets", OUT / "pages/assets")
    pictures.draw(OUT / "pages/pictures")
    gallery.draw(OUT / "pages/gallery")
    (OUT / "mkdocs.yml").write_text(
        yaml.safe_dump(settings(pages), sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    generate()
    for page in (OUT / "site").rglob("*.html"):
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
    if found := faults(OUT / "site"):
        sys.exit("\n".join(found))
    sys.stdout.write(f"{OUT / 'site/index.html'}\n")


def gather() -> dict[str, str]:
    """Path in the site's source → text of every page."""
    own = {path.relative_to(HERE).as_posix(): path.read_text(encoding="utf-8") for path in sorted(HERE.rglob("*.md"))}
    fragments = {name: own.pop(name) for name in list(own) if name.startswith("metrics/")}
    pages = {name: expand(text, name) for name, text in own.items()}
    pages |= metric_pages(fragments)
    for shelf in shelves():
        if shelf.kind != "metric":
            pages[f"{shelf.folder}/index.md"] = parts.index(shelf)
            pages |= {f"{shelf.folder}/{name}.md": parts.page(shelf, name) for name in shelf.names}
    pages["parts/index.md"] = "# Parts\n\n" + parts.overview(shelves())
    pages["parts/papers.md"] = departures.page()
    return pages | {"experiments.md": experiments.page()} | reference.pages()


def settings(pages: dict[str, str]) -> dict[str, Any]:
    """mkdocs.yml with the order of the pages, and where the sources are."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    kinds = [{parts.title(one): inside(pages, one.folder)} for one in shelves() if one.kind != "metric"]
    nav = [
        {"Start": ["index.md", "concepts.md", "pipeline.md"]},
        {"Parts": ["parts/index.md", "parts/papers.md", *kinds]},
        {"Metrics": inside(pages, "metrics")},
        {"Experiments": "experiments.md"},
        {"Gallery": "gallery.md"},
        {"Guides": ["guides/index.md", *(f"guides/{name}.md" for name in GUIDES)]},
        {"Reference": inside(pages, "reference")},
        {"Project": [f"project/{name}.md" for name in PROJECT]},
    ]
    python = config["plugins"][-1]["mkdocstrings"]["handlers"]["python"]
    python["paths"] = [str(ROOT / "src")]
    python["options"]["extensions"] = [str(ROOT / "docs/doctests.py")]
    return config | {"docs_dir": "pages", "site_dir": "site", "nav": nav}


def inside(pages: dict[str, str], folder: str) -> list[str]:
    """The pages of a folder, its index first."""
    found = [name for name in pages if Path(name).parent.as_posix() == folder]
    return sorted(found, key=lambda name: (not name.endswith("/index.md"), name))


def generate() -> None:
    words = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(OUT / "mkdocs.yml")]
    if subprocess.run(words, env=os.environ | {"NO_COLOR": "1"}).returncode:
        sys.exit("the site was not built: see above")


if __name__ == "__main__":
    main()
