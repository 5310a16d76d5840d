import math

import pytest

from visemix.report import quoted
from visemix.report.quoted import Quoted

TABLES = [value for value in vars(quoted).values() if isinstance(value, Quoted)]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.paper[:8]} {table.table} {table.about}")
def test_every_quoted_row_fills_its_columns(table):
    assert all(len(row) == len(table.columns) for row in table.rows.values())
    assert all(len(row) == len(table.columns) for row in (table.margins or {}).values())
    group = table.group(table.columns)
    assert group.title == f"quoted: {table.paper}, {table.table}, {table.about}"
    assert [row.competes for row in group.rows] == [row.name != "Ground truth" for row in group.rows]


def test_quoted_rows_have_only_the_columns_that_were_asked_for():
    group = quoted.HDTF.group(["psnr", "lmd", "jitter"])
    assert {row.name: {key: cell.value for key, cell in row.cells.items()} for row in group.rows} == {
        "ATVG": {"lmd": 1.670, "psnr": 22.205},
        "Wav2Lip": {"lmd": 1.790, "psnr": 32.165},
        "MakeItTalk": {"lmd": 1.750, "psnr": 24.221},
        "PC-AVS": {"lmd": 2.440, "psnr": 13.405},
        "Ground truth": {"lmd": 0.0, "psnr": math.inf},
        "GSmoothFace": {"lmd": 0.820, "psnr": 43.292},
    }
    assert quoted.PEOPLE.group(["psnr", "ssim"]) is None


def test_what_the_paper_prints_as_a_dash_is_no_cell():
    rows = {row.name: row.cells for row in quoted.ABLATIONS.group(["lmd", "ssim"]).rows}
    assert set(rows["w/o MAFB"]) == {"ssim"}


def test_opinions_come_with_their_margins():
    rows = {row.name: row.cells for row in quoted.ATTENDEES.group(["lip_sync"]).rows}
    assert rows["GeneFace"]["lip_sync"].interval == pytest.approx((3.58, 4.06))
