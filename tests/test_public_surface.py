"""What others may rely on: the names that packages, and modules meant for others, declare in `__all__`.

They are pinned in `public_surface.txt`. To change them on purpose: a name that leaves or moves goes on to work for a
version by `visemix.ops.deprecation`; then `python tests/test_public_surface.py` writes the list anew, and the changelog
says so.
"""

import ast
import sys
import types
import warnings
from importlib import import_module
from pathlib import Path

import pytest

import visemix
from visemix.ops.deprecation import deprecated, moved, renamed

SOURCE = Path(__file__).parents[1] / "src/visemix"
PINNED = Path(__file__).with_name("public_surface.txt")
MARKS = {"deprecated", "renamed", "moved"}


def modules():
    """Every module by its name and its file."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ("visemix", *path.relative_to(SOURCE).with_suffix("").parts)
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def declared(path):
    """Whether a file sets `__all__`; seen in its text, so that nothing is imported for want of it."""
    bodies = (node for node in ast.parse(path.read_text()).body if isinstance(node, (ast.Assign, ast.AnnAssign)))
    return any(
        getattr(target, "id", "") == "__all__"
        for node in bodies
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    )


def surface():
    """Every public name, with its module before it."""
    return sorted(f"{name}.{one}" for name, path in modules() if declared(path) for one in import_module(name).__all__)


def overdue(source, version):
    """Deprecated names in a text that this version should not have any more, or that say no literal version."""
    late = []
    for node in (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)):
        name = ast.unparse(node.func).rpartition(".")[2]
        given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        if name in MARKS and "removed_in" in given:
            end = given["removed_in"]
            if not isinstance(end, str) or _numbers(end) <= _numbers(version):
                late.append(f"{node.lineno}: removed_in={end}")
    return late


def _numbers(version):
    return [int(part) for part in version.split(".")]


def test_every_package_says_what_others_may_rely_on():
    assert not [name for name, path in modules() if path.name == "__init__.py" and not declared(path)]


def test_the_public_surface_is_the_one_that_is_pinned():
    now, pinned = set(surface()), set(PINNED.read_text().split())
    gone, new = sorted(pinned - now), sorted(now - pinned)
    assert not gone and not new, f"gone: {gone}, new: {new}. {__doc__}"


@pytest.mark.parametrize("name", PINNED.read_text().split())
def test_every_public_name_is_there(name):
    module, _, own = name.rpartition(".")
    assert getattr(import_module(module), own) is not None


def test_what_is_deprecated_leaves_with_the_version_that_it_named():
    late = [f"{path.name}:{one}" for _, path in modules() for one in overdue(path.read_text(), visemix.__version__)]
    assert not late, "take these names out: their time is over"


@pytest.mark.parametrize(
    ("removed_in", "late"), [('"0.9.1"', True), ('"0.10"', True), ('"0.11"', False), ('"1.0"', False), ("NEXT", True)]
)
def test_a_name_is_overdue_from_the_version_on_that_it_named(removed_in, late):
    text = f'__getattr__ = moved(__name__, "a.b", since="0.1", removed_in={removed_in})'
    assert bool(overdue(text, "0.10.0")) is late


def test_a_deprecated_function_works_and_says_once_a_call_what_to_use():
    @deprecated(since="0.1", removed_in="9.0", instead="visemix.new")
    def old(a, *, b=1):
        """Says what."""
        return a + b

    with pytest.warns(
        DeprecationWarning, match=r"old is deprecated since 0\.1 and goes with 9\.0; use visemix\.new"
    ) as said:
        assert old(1, b=2) == 3
    assert len(said) == 1
    assert old.__doc__ == "Says what."


@pytest.fixture
def old_module(monkeypatch):
    module = types.ModuleType("visemix.old")
    monkeypatch.setitem(sys.modules, "visemix.old", module)
    monkeypatch.setattr(visemix, "old", module, raising=False)
    return module


def test_a_name_that_moved_is_found_at_its_old_place(old_module):
    names = {"clip_error": "visemix.types.VisemixError"}
    old_module.__getattr__ = renamed("visemix.old", names, since="0.1", removed_in="9.0", surface=lambda name: [name])
    with pytest.warns(DeprecationWarning, match=r"visemix\.old\.clip_error .*; use visemix\.types\.VisemixError"):
        from visemix.old import clip_error
    assert clip_error is visemix.types.VisemixError
    assert old_module.other == ["other"]
    old_module.__getattr__ = renamed("visemix.old", names, since="0.1", removed_in="9.0")
    with pytest.raises(AttributeError, match=r"module 'visemix\.old' has no attribute 'other'"):
        _ = old_module.other


def test_a_module_that_moved_is_found_at_its_old_place(old_module):
    old_module.__getattr__ = moved("visemix.old", "visemix.types", since="0.1", removed_in="9.0")
    with pytest.warns(DeprecationWarning, match=r"visemix\.old\.FPS .*; use visemix\.types\.FPS"):
        assert old_module.FPS == 25
    with warnings.catch_warnings(), pytest.raises(AttributeError):
        warnings.simplefilter("error")  # what is nowhere is an error, and no advice
        _ = old_module.nonsense


if __name__ == "__main__":
    PINNED.write_text("".join(f"{name}\n" for name in surface()))
