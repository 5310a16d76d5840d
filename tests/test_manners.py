"""What a repository says to those who come to it holds, too."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


def test_the_hooks_are_the_tools_that_ci_runs_and_nothing_is_downloaded():
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local" and all(hook["language"] == "system" for hook in repository["hooks"])
    commands = [
        " ".join(shlex.split(hook["entry"])[:2]).removesuffix(" --force-exclude") for hook in repository["hooks"]
    ]
    ci = (ROOT / ".ci/run").read_text()
    assert commands == ["ruff check", "ruff format", "mypy"] and all(
        re.search(rf"^{one}", ci, re.M) for one in commands
    )


def test_the_citation_says_what_the_package_says():
    cited, project = read("CITATION.cff"), (ROOT / "pyproject.toml").read_text()
    assert cited["cff-version"] == "1.2.0" and cited["message"] and cited["title"] and cited["authors"]
    assert f'license = "{cited["license"]}"' in project  # no tomllib before Python 3.11
    assert all(f'"{word}"' in project for word in cited["keywords"])
    assert [one["url"].rpartition("/")[2] for one in cited["references"]] == ["2312.07385", "2301.13430"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one_that_can_be_shown(path):
    form = yaml.safe_load(path.read_text())
    assert form["name"] and form["description"]
    fields = [one for one in form["body"] if one["type"] != "markdown"]
    assert len({one["id"] for one in fields}) == len(fields) and len(
        {one["attributes"]["label"] for one in fields}
    ) == len(fields)
    assert all(one["type"] in ("input", "textarea") for one in fields)
    assert any((one.get("validations") or {}).get("required") for one in fields)


def test_no_file_of_code_is_longer_than_three_hundred_lines():
    code = [
        path
        for folder in ("src", "tests", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".js", ".css", ".html")
    ]
    assert ROOT / "src/visemix/pipeline.py" in code
    assert {str(p.relative_to(ROOT)): n for p in code if (n := len(p.read_text("utf-8").splitlines())) > 300} == {}


def test_there_is_a_form_for_what_breaks_what_is_new_and_what_is_wrong():
    assert [path.stem for path in FORMS] == ["bug", "new_part", "wrong_number"]


def members():
    """Class → what it holds, with what its bases of ours hold: methods, annotations, and what methods set on self."""
    held, bases = {}, {}
    for node in (n for path in (ROOT / "src").rglob("*.py") for n in ast.walk(ast.parse(path.read_text()))):
        if isinstance(node, ast.ClassDef):
            inside = list(ast.walk(node))
            names = {n.name for n in inside if isinstance(n, ast.FunctionDef)}
            names |= {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            names |= {n.attr for n in inside if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
            held.setdefault(node.name, set()).update(names)
            bases.setdefault(node.name, set()).update(ast.unparse(b).split("[")[0].split(".")[-1] for b in node.bases)
    for _ in range(4):  # generations
        for name, above in bases.items():
            held[name] = held[name].union(*(held.get(base, set()) for base in above))
    return held, {name for name, above in bases.items() if all(base in held or base in PLAIN for base in above)}


PLAIN = {"ABC", "Protocol", "object", "Part", "Generic"}
TEXTS = [ROOT / "CONTRIBUTING.md", ROOT / "README.md", *sorted((ROOT / "src/visemix").rglob("*.py"))]


def test_what_a_text_calls_by_name_is_there():
    held, whole = members()
    gone = [
        f"{path.relative_to(ROOT)}: `{name}.{attribute}`"
        for path in TEXTS
        for name, attribute in re.findall(r"`(?:\w+\.)*([A-Z]\w+)\.(\w+)", path.read_text())
        if name in whole and attribute not in held[name]
    ]
    assert not gone


def text_without_encoding(tree):
    """Lines that read or write a text, or a program's output as text, in whatever encoding a machine has."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        owner, _, name = ast.unparse(call.func).rpartition(".")
        said = {word.arg for word in call.keywords}
        values = [ast.unparse(each) for each in call.args]
        if "encoding" in said or owner in ("av", "os", "self"):  # not texts, but containers, bytes and parts
            continue
        if name == "open" and "b" not in (*values[0 if owner else 1 :], "r")[0]:
            yield call.lineno
        if owner and ((name == "read_text" and not values) or (name == "write_text" and len(values) == 1)):
            yield call.lineno
        if said & {"text", "universal_newlines"}:
            yield call.lineno


@pytest.mark.parametrize("folder", ["src", "benchmarks", "docs", "experiments"])
def test_every_text_is_utf_8_whatever_the_machine_takes_for_granted(folder):
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / folder).rglob("*.py")
        for line in text_without_encoding(ast.parse(path.read_text("utf-8")))
    }
    assert not found


def test_what_opens_a_text_in_the_machines_encoding_is_found():
    lines = 'p.read_text()\np.write_text(x)\np.open("w")\nopen("a.txt")\np.open()\nrun(x, text=True)\n'
    fine = 'p.read_text("utf-8")\np.write_text(x, encoding="utf-8")\np.open("wb")\nopen(p, "rb")\nav.open(p)\n'
    assert list(text_without_encoding(ast.parse(lines))) == [1, 2, 3, 4, 5, 6]
    assert list(text_without_encoding(ast.parse(fine))) == []
