from visemix.training.logs import Table, read_table


def rows(path):
    return [(r["stage"], int(r["step"]), r["name"], r["value"]) for r in read_table(path)]


def test_a_table_grows_by_a_row_for_every_number(tmp_path):
    table = Table(tmp_path / "metrics.csv", "motion")
    table.log_metrics({"train/total": 0.123456789, "epoch": 0}, 3)
    table.log_metrics({"val/total": 2.0}, 4)
    assert (tmp_path / "metrics.csv").read_text() == (
        "stage,step,name,value\nmotion,3,train/total,0.123457\nmotion,4,val/total,2\n"
    )


def test_a_stage_that_resumes_drops_what_it_will_say_again_and_nothing_else(tmp_path):
    path = tmp_path / "metrics.csv"
    for stage in ("motion", "render"):
        table = Table(path, stage)
        for step in range(4):
            table.log_metrics({"loss": float(step)}, step)
    Table(path, "render", 2)
    assert rows(path) == [
        *[("motion", k, "loss", str(k)) for k in range(4)],
        *[("render", k, "loss", str(k)) for k in (0, 1)],
    ]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path):
    path = tmp_path / "metrics.csv"
    Table(path, "motion").log_metrics({"loss": 0.125}, 0)
    with path.open("a") as file:
        file.write("motion,1,loss,0.12")
    assert rows(path) == [("motion", 0, "loss", "0.125")]
