"""Imports point down this list: never up, and never sideways between two folders of one line."""

import ast
from pathlib import Path

LAYERS = [
    {"types"},
    {"registry"},
    {"config"},
    {"ops"},
    {"face", "nn"},
    {"losses"},
    {"audio", "motion", "render", "data", "metrics"},
    {"pipeline"},
    {"training", "scoring"},
    {"run", "generation", "evaluation", "engines"},
    {"heldout"},
    {"report"},
    {"plan"},
    {"sweep", "compare"},
    {"study"},
    {"demo", "catalogue", "corpus_page"},
    {"cli_options"},
    {"cli_study"},
    {"cli"},
    {"__init__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
PACKAGE = Path(__file__).parents[1] / "src/visemix"


def test_imports_point_down():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("visemix."):
                there = node.module.split(".")[1]
                if here != there and LEVEL[there] >= LEVEL[here]:  # a folder nobody placed is a KeyError
                    wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno} imports {there}")
    assert not wrong
