"""The command line. Heavy imports wait inside the commands: `visemix --help` must not load torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from visemix.cli.data import corpus, prepare
from visemix.cli.migrate import migrate
from visemix.cli.options import (
    SOME_FAILED,
    Clips,
    Commands,
    Experiment,
    Options,
    Overrides,
    Overwrite,
    Plugins,
    Tables,
    echo,
    of_one_run,
    say,
)
from visemix.cli.study import study

app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def main(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    """Audio-driven talking faces in parts that fit each other."""


app.command()(prepare)
app.command()(corpus)


@app.command()
def fit(experiment: Experiment, overrides: Overrides = None) -> None:
    """Train what an experiment needs and its run lacks. The last line printed is the run's folder."""
    from visemix.ops.device import keep_memory
    from visemix.run import fit, load_experiment

    keep_memory()
    echo(fit(load_experiment(experiment, of_one_run(overrides))))


@app.command()
def generate(
    run: Annotated[Path, typer.Argument(help="Run folder that fit printed, its model.safetensors, or starter.")],
    audio: Annotated[Path, typer.Option(help="Speech: any sound or video file.")],
    target: Annotated[Path, typer.Option(help="Who says it: a prepared clip, or a video.")],
    out: Annotated[Path, typer.Option(help="The video to write, .mp4.")],
    overwrite: Overwrite = False,
    style: Annotated[str | None, typer.Option(help="Speak in the manner of this training speaker.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another of the motions that fit the sound.")] = None,
    eyes: Annotated[str | None, typer.Option(help="blinking, footage or driven: whose eyes and brows.")] = None,
    start: Annotated[float, typer.Option(help="Seconds into the target to begin at.")] = 0.0,
    batch: Annotated[int, typer.Option(help="Frames painted at a time.", min=1)] = 4,
    size: Annotated[int | None, typer.Option(help="Pixels a side, where the target is a video; 512.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    plugin: Plugins = None,
) -> None:
    """Write a video in which the person of the target says what is heard."""
    from visemix.generation import generate
    from visemix.ops.device import keep_memory

    keep_memory()
    made = generate(
        run,
        audio,
        target,
        out,
        overwrite=overwrite,
        style=style,
        seed=seed,
        eyes=eyes,
        start=start,
        batch=batch,
        size=size,
        device=device,
        plugins=plugin or [],
    )
    echo(made)


@app.command()
def evaluate(
    real: Annotated[Path, typer.Argument(metavar="REAL|RUN", help="Video, clip, or folder of them; or a run.")],
    fake: Annotated[Path | None, typer.Argument(help="The same, generated; none for a run.")] = None,
    metrics: Annotated[str | None, typer.Option(help="Names with commas between; by default all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write everything as JSON.")] = None,
    overwrite: Overwrite = False,
    weights: Annotated[Path | None, typer.Option(help="Folder with weights you brought, as released.")] = None,
    require: Annotated[str | None, typer.Option(help="Names that must have a number; else the exit is 1.")] = None,
    jobs: Annotated[int, typer.Option(help="Pairs of videos at a time.", min=1)] = 1,
    option: Options = None,
    table: Tables = None,
    clips: Clips = None,
    plugin: Plugins = None,
) -> None:
    """Score generated videos beside the real ones, or a run on what its training held out."""
    from visemix.evaluation import videos
    from visemix.evaluation.videos import options_of
    from visemix.ops.progress import Console
    from visemix.report import console
    from visemix.report.formats import check_files
    from visemix.report.results import write_comparison

    named, required = (None if text is None else text.replace(",", " ").split() for text in (metrics, require))
    settings: dict[str, Any] = {"weights": weights, "jobs": jobs, "plugins": plugin or []}
    settings["options"] = options_of(option or [])
    check_files(table or [], overwrite)
    if fake is None:
        from visemix.evaluation.heldout import evaluate_run
        from visemix.ops.device import keep_memory

        keep_memory()
        report = evaluate_run(real, named, out, clips=clips, overwrite=overwrite, **settings)
    elif clips is not None:
        from visemix.types import VisemixError

        raise VisemixError("--clips says where the clips of a run are; videos beside videos need none, leave it out")
    else:
        report = videos.evaluate(real, fake, named, out, overwrite=overwrite, **settings)
    Console().print(console.table(report))
    write_comparison(table or [], {(fake or real).stem: report})
    lacking = report.unmet(required or [])
    for sentence in lacking:
        say(sentence)
    if lacking:
        raise typer.Exit(SOME_FAILED)


@app.command()
def compare(
    experiment: Experiment,
    out: Annotated[Path, typer.Option(help="Folder for the tables and scores.")] = Path("comparison"),
    weights: Annotated[Path | None, typer.Option(help="Folder with weights you brought, as released.")] = None,
    jobs: Annotated[int, typer.Option(help="Pairs of videos at a time.", min=1)] = 1,
    overwrite: Overwrite = False,
    plugin: Plugins = None,
) -> None:
    """Score folders of anyone's videos into the papers' tables. The last line printed is the first table."""
    from visemix.report.compare import compare

    files = compare(experiment, out, overwrite=overwrite, weights=weights, jobs=jobs, plugins=plugin or [])
    echo(files[0])


@app.command()
def report(
    runs: Annotated[list[str], typer.Argument(metavar="[NAME=]RUN...", help="Runs, or what evaluate --out wrote.")],
    out: Annotated[Path, typer.Option(help="The page to write, .html.")] = Path("report.html"),
    table: Tables = None,
    clips: Clips = None,
    overwrite: Overwrite = False,
    plugin: Plugins = None,
) -> None:
    """Set runs beside what was recorded and what the papers print, on one page. The last line printed is its path."""
    from visemix.report.make import report

    echo(report(runs, out, tables=table or [], clips=clips, overwrite=overwrite, plugins=plugin or []))


app.command()(migrate)
app.add_typer(study, name="study", help="Ask people: `study NAME=FOLDER…` makes the page, `study score` the table.")


@app.command()
def sweep(
    experiment: Experiment,
    overrides: Overrides = None,
    jobs: Annotated[int, typer.Option(help="Runs at a time; they share the cores.", min=1)] = 1,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    only_plan: Annotated[bool, typer.Option("--plan", help="Only list what would be trained.")] = False,
    plugin: Plugins = None,
) -> None:
    """Train and score every point of a sweep that is missing. The last line printed is the table, a page beside it."""
    from visemix.ops.progress import Console
    from visemix.plugins import load_plugin_file
    from visemix.sweep.plan import listing, plan
    from visemix.sweep.runner import sweep, write_sweep

    for path in plugin or []:
        load_plugin_file(path)
    if only_plan:
        echo(listing(plan(experiment, overrides or [], progress=True)))
        return
    outcomes = sweep(experiment, overrides or [], jobs=jobs, engine=engine, plugins=plugin or [])
    for outcome in outcomes:
        said = f": {outcome.reason}" if outcome.reason else ""
        echo(f"{outcome.folder or '-'}  {outcome.cell.row}, seed {outcome.cell.seed}{said}", err=bool(said))
    with Console(stderr=True).status("writing the table and the page"):
        files, counts = write_sweep(experiment, outcomes)
    echo("\n".join([*counts, str(files[0])]))
    raise typer.Exit(SOME_FAILED if any(outcome.reason for outcome in outcomes) else 0)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for demo.mp4 and report.html.")] = Path("out/demo"),
    seed: Annotated[int, typer.Option(help="Other speakers, other training.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """See it work: a few minutes, nothing to download. The last line printed is the page to open."""
    from visemix.demo import demo
    from visemix.ops.device import keep_memory

    keep_memory()
    echo(demo(out, seed=seed, overwrite=overwrite))


@app.command()
def parts(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False, plugin: Plugins = None
) -> None:
    """Every part that can be picked, and its options with their defaults."""
    import json

    from visemix.cli.catalogue import catalogue, pages
    from visemix.plugins import load_plugin_file

    for path in plugin or []:
        load_plugin_file(path)
    echo(json.dumps(catalogue(), indent=1) if as_json else pages(catalogue()))


@app.command()
def show(experiment: Experiment, overrides: Overrides = None) -> None:
    """The complete config of an experiment, under `#` the folder of its run, and in what it departs from the papers."""
    from omegaconf import OmegaConf

    from visemix.run import folder_of, load_experiment
    from visemix.training.departures import report

    cfg = load_experiment(experiment, of_one_run(overrides))
    told = "".join(f"# {line}\n" for line in report(cfg))
    echo(f"# {folder_of(cfg)}\n{OmegaConf.to_yaml(cfg)}{told}", nl=False)


@app.command()
def doctor() -> None:
    """What is installed, and what is missing for what."""
    from visemix.cli.catalogue import checks

    for good, line in checks():
        echo(f"{'ok' if good else '--':3} {line}")


if __name__ == "__main__":
    sys.exit(app())
