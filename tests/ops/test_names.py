import json
import os

import pytest

from visemix.ops.names import one_spelling, within_limit, writable
from visemix.ops.store import write_text

BAD = os.fsdecode(b"caf\xe9")  # a name whose bytes are no UTF-8


def test_a_name_that_is_no_text_is_spelled_out_and_json_holds_it_as_it_is(tmp_path):
    assert one_spelling(BAD) == "caf\\udce9"
    path = write_text(tmp_path / "a.json", writable(json.dumps({"path": BAD}, ensure_ascii=False)))
    assert json.loads(path.read_text(encoding="utf-8")) == {"path": BAD}


@pytest.mark.parametrize("name", ["n" * 255, "你" * 85, "é" * 127])
def test_a_file_of_the_longest_name_is_written_and_leaves_nothing_beside_it(tmp_path, name):
    write_text(tmp_path / name, "here")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_short_names_stay_whole():
    assert within_limit("n" * 250, ".part") == "n" * 250 + ".part"
    assert len(within_limit("n" * 251, ".part")) == 255
