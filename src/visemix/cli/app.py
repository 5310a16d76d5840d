"""The command line. Heavy imports wait inside the commands: `visemix --help` must not load torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from visemix.cli.options import SOME_FAILED, Clips, Commands, Experiment, Overrides, Overwrite, Plugins, Tables
from visemix.cli.study import study

app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def main(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    """Audio-driven talking faces in parts that fit each other."""


@app.command()
def prepare(
    videos: Annotated[list[Path], typer.Argument(help="Video files; with --layout, the data set's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the clips, one folder each.")],
    layout: Annotated[str | None, typer.Option(help="A data set: hdtf, voxceleb, lrs3 or adnerf.")] = None,
    face: Annotated[str, typer.Option(help="Face model to fit.")] = "ict",
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 512,
    holdout: Annotated[float, typer.Option(help="Seconds at a clip's end that nothing is estimated from.")] = 2.0,
    refine: Annotated[
        str, typer.Option(help="Bring the mesh to lie on the pictures (dense), or not (none).")
    ] = "dense",
    jobs: Annotated[int, typer.Option(help="Videos at a time.")] = 1,
    scene: Annotated[
        str, typer.Option(help="Who tells head, torso and background apart: mediapipe, bisenet or none.")
    ] = "mediapipe",
    overwrite: Overwrite = False,
    plugin: Plugins = None,
) -> None:
    """Turn videos into clips: 25 frames and 16 000 samples a second, a square crop, a fitted face in every frame."""
    from visemix.config import part
    from visemix.prepare.importers import cut_out
    from visemix.prepare.videos import prepare

    broken: dict[str, str] = {}
    if layout:
        cuts = [cut_out(layout, root, out / "cuts") for root in videos]
        videos = [video for made, _ in cuts for video in made]
        broken = {name: reason for _, each in cuts for name, reason in each.items()}
    made = prepare(
        videos,
        out,
        face=part("face", face),
        size=size,
        holdout=holdout,
        fit={"name": "landmarks", "refine": refine},
        jobs=jobs,
        scene=None if scene == "none" else part("scene", scene),
        overwrite=overwrite,
        plugins=[str(path) for path in plugin or []],
    )
    raise typer.Exit(max(made.exit_code, SOME_FAILED if broken else 0))


@app.command()
def corpus(
    out: Annotated[Path, typer.Option(help="Folder for the clips, one folder each.")],
    speakers: Annotated[int, typer.Option(help="How many people.")] = 8,
    minutes: Annotated[float, typer.Option(help="Of each clip.")] = 1.0,
    size: Annotated[int, typer.Option(help="Pixels a side, a multiple of 16.")] = 128,
    language: Annotated[str, typer.Option(help="en, de, fr or zh.")] = "en",
    voice: Annotated[str | None, typer.Option(help="female, male or a name; by default in turns.")] = None,
    split: Annotated[str, typer.Option(help="train, test (other people) or ood (foreign, sung).")] = "train",
    face: Annotated[str, typer.Option(help="Face model: toy or ict.")] = "toy",
    seed: Annotated[int, typer.Option(help="Other people, other words.")] = 0,
    jobs: Annotated[int, typer.Option(help="Clips at a time.")] = 1,
    synthesiser: Annotated[str, typer.Option(help="auto, all, espeak, flite, formants, kokoro.")] = "auto",
    conditions: Annotated[str, typer.Option(help="clean, all, or some, such as room,noise.")] = "clean",
    noise: Annotated[bool, typer.Option("--noise", help="Keep expressions as a fit to video finds them.")] = False,
    manner: Annotated[str, typer.Option(help="Of speaking: drifting, or one of a few held.")] = "drifting",
    pictures: Annotated[bool, typer.Option(help="Draw them; motion is learned without.")] = True,
    overwrite: Overwrite = False,
) -> None:
    """Make talking heads whose truth is known, to train and test on. The last line printed is a page about them."""
    from visemix.config import part
    from visemix.corpus.make import corpus
    from visemix.report.corpus_page import write_page

    corpus(
        out,
        speakers=speakers,
        minutes=minutes,
        size=size,
        language=language,
        voice=voice,
        split=split,  # type: ignore[arg-type]
        face=part("face", face),
        seed=seed,
        jobs=jobs,
        synthesiser=synthesiser,  # type: ignore[arg-type]
        conditions=conditions,
        noise=noise,
        manner=manner,  # type: ignore[arg-type]
        pictures=pictures,
        overwrite=overwrite,
    )
    typer.echo(write_page(out))


@app.command()
def fit(experiment: Experiment, overrides: Overrides = None) -> None:
    """Train what an experiment needs and its run lacks. The last line printed is the run's folder."""
    from visemix.ops.device import keep_memory
    from visemix.run import fit, load_experiment

    keep_memory()
    typer.echo(fit(load_experiment(experiment, overrides or [])))


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
    size: Annotated[int, typer.Option(help="Pixels a side, where the target is a video.")] = 512,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    plugin: Plugins = None,
) -> None:
    """Make the target say what is heard."""
    from visemix.generation import generate

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
    typer.echo(made)


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
    option: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="as in fid.sha256=…")] = None,
    table: Tables = None,
    clips: Clips = None,
) -> None:
    """Score generated videos beside the real ones, or a run on what its training held out."""
    from rich.console import Console

    from visemix.evaluation import videos
    from visemix.evaluation.videos import options_of, unmet
    from visemix.report.formats import check_files
    from visemix.report.results import write_comparison

    named, required = (None if text is None else text.replace(",", " ").split() for text in (metrics, require))
    settings: dict[str, Any] = {"weights": weights, "jobs": jobs, "options": options_of(option or [])}
    check_files(table or [], overwrite)
    if fake is None:
        from visemix.evaluation.heldout import evaluate_run

        report = evaluate_run(real, named, out, clips=clips, overwrite=overwrite, **settings)
    else:
        report = videos.evaluate(real, fake, named, out, overwrite=overwrite, **settings)
    Console().print(videos.table(report))
    write_comparison(table or [], {(fake or real).stem: report})
    lacking = unmet(report, required or [])
    for sentence in lacking:
        typer.echo(f"visemix: {sentence}", err=True)
    if lacking:
        raise typer.Exit(SOME_FAILED)


@app.command()
def compare(
    experiment: Experiment,
    out: Annotated[Path, typer.Option(help="Folder for the tables and scores.")] = Path("comparison"),
    weights: Annotated[Path | None, typer.Option(help="Folder with weights you brought, as released.")] = None,
    jobs: Annotated[int, typer.Option(help="Pairs of videos at a time.", min=1)] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Score folders of anyone's videos into the papers' tables. The last line printed is the first table."""
    from visemix.report.compare import compare

    typer.echo(compare(experiment, out, overwrite=overwrite, weights=weights, jobs=jobs)[0])


@app.command()
def report(
    runs: Annotated[list[str], typer.Argument(metavar="[NAME=]RUN...", help="Runs, or what evaluate --out wrote.")],
    out: Annotated[Path, typer.Option(help="The page to write, .html.")] = Path("report.html"),
    table: Tables = None,
    clips: Clips = None,
    overwrite: Overwrite = False,
) -> None:
    """Set runs beside what was recorded and what the papers print, on one page. The last line printed is its path."""
    from visemix.report.make import report

    typer.echo(report(runs, out, tables=table or [], clips=clips, overwrite=overwrite))


app.add_typer(study, name="study", help="Ask people: `study NAME=FOLDER…` makes the page, `study score` the table.")


@app.command()
def sweep(
    experiment: Experiment,
    overrides: Overrides = None,
    jobs: Annotated[int, typer.Option(help="Runs at a time; they share the cores.", min=1)] = 1,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    only_plan: Annotated[bool, typer.Option("--plan", help="Only list what would be trained.")] = False,
) -> None:
    """Train and score every point of a sweep that is missing. The last line printed is the table, a page beside it."""
    from rich.console import Console

    from visemix.sweep.plan import listing, plan
    from visemix.sweep.runner import sweep, write_sweep

    if only_plan:
        typer.echo(listing(plan(experiment, overrides or [], progress=True)))
        return
    outcomes = sweep(experiment, overrides or [], jobs=jobs, engine=engine)
    for outcome in outcomes:
        said = f": {outcome.reason}" if outcome.reason else ""
        typer.echo(f"{outcome.folder or '-'}  {outcome.cell.row}, seed {outcome.cell.seed}{said}", err=bool(said))
    with Console(stderr=True).status("writing the table and the page"):
        files = write_sweep(experiment, outcomes)
    typer.echo(files[0])
    raise typer.Exit(SOME_FAILED if any(outcome.reason for outcome in outcomes) else 0)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for demo.mp4 and report.html.")] = Path("out/demo"),
    seed: Annotated[int, typer.Option(help="Other speakers, other training.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """See it work: a few minutes, nothing to download. The last line printed is the page to open."""
    from visemix.demo import demo

    typer.echo(demo(out, seed=seed, overwrite=overwrite))


@app.command()
def parts(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False, plugin: Plugins = None
) -> None:
    """Every part that can be picked, and its options with their defaults."""
    import json

    from visemix.cli.catalogue import catalogue, pages
    from visemix.registry import load_file

    for path in plugin or []:
        load_file(path)
    typer.echo(json.dumps(catalogue(), indent=1) if as_json else pages(catalogue()))


@app.command()
def show(experiment: Experiment, overrides: Overrides = None) -> None:
    """The complete config of an experiment, and under `#` the folder of its run."""
    from omegaconf import OmegaConf

    from visemix.run import folder_of, load_experiment

    cfg = load_experiment(experiment, overrides or [])
    typer.echo(f"# {folder_of(cfg)}\n{OmegaConf.to_yaml(cfg)}", nl=False)


@app.command()
def doctor() -> None:
    """What is installed, and what is missing for what."""
    from visemix.cli.catalogue import checks

    for good, line in checks():
        typer.echo(f"{'ok' if good else '--':3} {line}")


if __name__ == "__main__":
    sys.exit(app())
