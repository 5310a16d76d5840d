"""Imports point down this list: never up, never sideways between two folders of one line, never in a ring."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

LAYERS = [
    {"terminal"},
    {"types"},
    {"values"},
    {"options"},
    {"parts", "plugins"},
    {"registry"},
    {"config"},
    {"ops"},
    {"face", "nn"},
    {"losses"},
    {"audio", "motion", "render", "data", "metrics"},
    {"prepare", "corpus"},
    {"pipeline"},
    {"training"},
    {"experiment"},
    {"run", "generation"},
    {"evaluation"},
    {"report"},
    {"sweep", "study"},
    {"demo"},
    {"cli"},
    {"visemix"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
PACKAGE = Path(__file__).parents[1] / "src/visemix"
MODULES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


def imported(source, here, modules):
    """The modules of ours that a module imports: `import a.b`, `from a import b`, `from . import b`, also inside it."""
    package = here if f"{here}.__init__" in modules else here.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name for name in names if name in modules or f"{name}.__init__" in modules} or {base}
    ours = {name for name in found if name.split(".")[0] == "visemix"}
    return {f"{name}.__init__" if f"{name}.__init__" in modules else name for name in ours}


def layer(module):
    """
    The unit that a module belongs to: `visemix.data.clips` to `data`, `visemix.run` to `run`, `visemix` to itself.
    """
    parts = [part for part in module.split(".") if part != "__init__"]
    return parts[1] if len(parts) > 1 else parts[0]


def upward(modules):
    return [
        f"{module} imports {there}"
        for module, source in modules.items()
        for there in imported(source, module.removesuffix(".__init__"), modules)
        if layer(there) != layer(module) and LEVEL[layer(there)] >= LEVEL[layer(module)]
    ]


def test_imports_point_down():
    modules = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
    assert not [line for line in upward(modules) if not line.endswith("imports visemix.__init__")]  # for its version


def test_contributing_names_every_package_in_this_order():
    text = (PACKAGE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    line = re.search(r"Imports point down.*?`(cli → [^`]*)`", text, re.DOTALL)[1]
    named = [set(step.replace(",", " ").split()) for step in line.split("→")]
    assert named == [layer for layer in reversed(LAYERS) if layer != {"visemix"}]
    assert {layer(name) for name in MODULES} == {name for names in LAYERS for name in names}


def test_no_module_imports_itself_by_way_of_others():
    modules = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
    graph = {name: imported(source, name, modules) & modules.keys() for name, source in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as ring:
        raise AssertionError(" → ".join(ring.args[1])) from None


def test_every_form_of_import_is_seen():
    modules = {"visemix.ops.raster": "", "visemix.run": "", "visemix.face.__init__": "", "visemix.face.toy": ""}
    for source in (
        "import visemix.run",
        "import visemix.run as elsewhere",
        "from visemix import run",
        "from visemix.run import fit",
        "def later():\n    from .. import run",
        "from ..run import fit",
    ):
        assert upward(modules | {"visemix.ops.raster": source}) == ["visemix.ops.raster imports visemix.run"]
    assert imported("from . import toy", "visemix.face", modules) == {"visemix.face.toy"}
    assert imported("from .toy import toy", "visemix.face.ict", modules) == {"visemix.face.toy"}
