"""The command line's `prepare` and `corpus`: where clips come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from visemix.cli.options import SOME_FAILED, Options, Overwrite, Plugins, echo


def prepare(
    videos: Annotated[list[Path], typer.Argument(help="Video files; with --layout, the data set's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the clips, one folder each.")],
    layout: Annotated[str | None, typer.Option(help="A data set: hdtf, voxceleb, lrs3 or adnerf.")] = None,
    face: Annotated[str, typer.Option(help="Face model to fit.")] = "ict",
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 512,
    holdout: Annotated[float, typer.Option(help="Seconds at a clip's end that nothing is estimated from.")] = 2.0,
    tracker: Annotated[str, typer.Option(help="Who finds faces and their landmarks.")] = "mediapipe",
    fit: Annotated[
        str, typer.Option(help="Who fits them: landmarks, or rnet (with --face bfm --option fit.weights=FILE).")
    ] = "landmarks",
    refine: Annotated[
        str | None, typer.Option(help="Bring the mesh to lie on the pictures (dense, as without), or not (none).")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Videos at a time.")] = 1,
    scene: Annotated[
        str, typer.Option(help="Who tells head, torso and background apart: mediapipe, bisenet or none.")
    ] = "mediapipe",
    option: Options = None,
    overwrite: Overwrite = False,
    plugin: Plugins = None,
) -> None:
    """Turn videos into clips: 25 frames and 16 000 samples a second, a square crop, a fitted face in every frame."""
    from visemix.prepare.importers import export_clips
    from visemix.prepare.videos import prepare

    parts = {"face": face, "tracker": tracker, "fit": fit} | ({} if scene == "none" else {"scene": scene})
    configs = _configs(parts, option or [])
    if refine is not None:
        configs["fit"]["refine"] = refine
    broken: dict[str, str] = {}
    if layout:
        cuts = [export_clips(layout, root, out / "cuts") for root in videos]
        videos = [video for made, _ in cuts for video in made]
        broken = {name: reason for _, each in cuts for name, reason in each.items()}
    made = prepare(
        videos,
        out,
        **({"scene": None} | configs),
        size=size,
        holdout=holdout,
        jobs=jobs,
        overwrite=overwrite,
        plugins=[str(path) for path in plugin or []],
    )
    raise typer.Exit(max(made.exit_code, SOME_FAILED if broken else 0))


def _configs(parts: Mapping[str, str], option: Sequence[str]) -> dict[str, Any]:
    """Config of each part: its file, with the options of the command line over it."""
    from visemix.config import load_part
    from visemix.evaluation.videos import options_of
    from visemix.types import VisemixError
    from visemix.values import did_you_mean

    given = options_of(option, "part", "fit.weights=epoch_20.pth")
    for group in given:
        if group not in parts:
            raise VisemixError(
                f"--option {group}.…: no part '{group}'{did_you_mean(group, parts)} (has: {', '.join(parts)})"
            )
    return {group: dict(load_part(group, name)) | given.get(group, {}) for group, name in parts.items()}


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
    from visemix.config import load_part
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
        face=load_part("face", face),
        seed=seed,
        jobs=jobs,
        synthesiser=synthesiser,  # type: ignore[arg-type]
        conditions=conditions,
        noise=noise,
        manner=manner,  # type: ignore[arg-type]
        pictures=pictures,
        overwrite=overwrite,
    )
    echo(write_page(out))
