"""Files that somebody broke, or built to break us: one sentence, or a right result."""

import io
import logging
import math
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from visemix.cli.options import PrintableFormatter
from visemix.data import ClipFolder
from visemix.ops.border import read_json, read_yaml
from visemix.ops.progress import Console
from visemix.report.console import table
from visemix.types import VisemixError

FUZZ = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks/fuzz_files.py"), run_name="fuzz_files")


@pytest.mark.parametrize("kind", FUZZ["KINDS"])
def test_a_mutated_file_ends_in_a_sentence_or_a_right_result(kind, tmp_path):
    ended, longest, wrong = FUZZ["run"](kind, 60, 7, tmp_path)
    assert not wrong
    assert ended["refused"] > 20 and longest < 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: ${oc.env:HOME}", "refers to something outside it"),
        ("${x}: 1", "refers to something outside it"),
        ("a: [" * 60 + "]" * 60, "deeper than 40"),
        ("[" * 5000, "is damaged"),
        ("\n".join(["a0: &a0 [x, x]", *(f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]" for k in range(1, 40))]), "more values"),
        ("a: &a [*a]", "deeper than 40"),
        ("a: !!python/object/apply:os.system [id]", "is damaged"),
        ("a: 2001-99-99", "is damaged"),
        ("a: 2001-01-01", "a date, which is no plain value"),
        (f"a: {'9' * 10_000}", "is damaged"),
        ("a: b: c", "is damaged"),
        ("x" * (3 << 20), "larger than any such file"),
    ],
    ids=range(12),
)
def test_yaml_of_strangers_is_plain_bounded_data(text, said, tmp_path):
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(VisemixError, match=f"a.yaml .*{said}.*; do this"):
        read_yaml(tmp_path / "a.yaml", "do this")


@pytest.mark.parametrize("text", ["[NaN]", "[-Infinity]", "[" * 100_000, '{"a": "${b}"}', "[1", "\ud83d"])
def test_json_of_strangers_is_plain_bounded_data(text, tmp_path):
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(VisemixError, match=r"a\.json .*; do this"):
        read_json(tmp_path / "a.json", "do this")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"frames": -3}, "'frames'"),
        ({"frames": 1e9}, "'frames'"),
        ({"size": 10**6}, "'size'"),
        ({"audio": "loud"}, "'audio'"),
        ({"holdout": math.nan}, "'holdout'"),
        ({"away": [[5, 3]]}, "away"),
        ({"away": [[0, 10**6]]}, "away"),
        ({"lip_sync": {"lag": 10**9}}, "lip_sync 'lag'"),
        ({"face": "toy"}, "'face'"),
        ({"speaker": ["anna"]}, "'speaker'"),
    ],
)
def test_what_a_clip_says_of_itself_is_checked_once_and_named(change, said, footage, tmp_path):
    clip = copied(footage, tmp_path)
    meta = FUZZ["yaml"].safe_load((clip / "meta.yaml").read_text(encoding="utf-8"))
    (clip / "meta.yaml").write_text(FUZZ["yaml"].safe_dump(meta | change), encoding="utf-8")
    with pytest.raises(VisemixError, match=f"meta.yaml is damaged .*{said}.*prepare the clip again"):
        ClipFolder(clip)


@pytest.mark.parametrize(
    ("name", "change"),
    [("expression", lambda x: x[:5]), ("pose", lambda x: x[:, :3]), ("camera", lambda x: x.long()), ("albedo", None)],
)
def test_tensors_of_a_clip_are_those_that_it_says(name, change, footage, face, tmp_path):
    clip = copied(footage, tmp_path)
    tensors = load_file(clip / "clip.safetensors")
    held = tensors.pop(name)
    save_file(tensors | ({name: change(held).contiguous()} if change else {}), clip / "clip.safetensors")
    with pytest.raises(VisemixError, match=r"clip\.safetensors is damaged"):
        ClipFolder(clip, face).subject([0, 7])


def copied(footage, tmp_path):
    FUZZ["shutil"].copytree(footage.path, tmp_path / "anna")
    return tmp_path / "anna"


def test_control_characters_of_files_are_spelt_out_where_they_come_in(tmp_path):
    (tmp_path / "a.json").write_text('{"n\\u001b[31m": ["a\\u009b2J", "b\\nc\\t\\u202e"]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json", "") == {"n\\x1b[31m": ["a\\x9b2J", "b\nc\t\\u202e"]}
    assert str(VisemixError("no \x1b[31mred")) == "no \\x1b[31mred"


def test_a_log_line_does_nothing_to_the_terminal():
    record = logging.LogRecord("visemix", logging.WARNING, "", 0, "%s is gone", ("\x1b]0;title\x07",), None)
    assert PrintableFormatter("%(message)s").format(record) == "\\x1b]0;title\\x07 is gone"


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/../b", ""])
def test_scores_name_no_file_outside_the_folder_of_their_run(name, tmp_path):
    scores = FUZZ["Scores"](tmp_path)
    found = FUZZ["json"].loads(scores.good.read_text(encoding="utf-8"))
    found["clips"] = {name: found["clips"]["anna"]}
    scores.good.write_text(FUZZ["json"].dumps(found), encoding="utf-8")
    with pytest.raises(VisemixError, match="is no name of a clip"):
        FUZZ["read_result"](scores.good)


def test_names_of_clips_are_no_markup_and_no_control_on_the_console(tmp_path):
    result = FUZZ["read_result"](FUZZ["Scores"](tmp_path).good)
    (clip,) = result.clips.values()
    shown = Console(record=True, width=200, file=io.StringIO())
    shown.print(table(replace(result, clips={"a[/b]\x1b[31m": clip}, notes=["[/c]\x1b"])))
    text = shown.export_text()
    assert "a[/b]" in text and "[/c]" in text and "\x1b" not in text
