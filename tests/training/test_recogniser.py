"""The stage that teaches the audio encoder `ctc` to name speech sounds: learning, through `fit`, refused."""

import csv
from dataclasses import replace

import pytest
import standins  # noqa: F401 – registers its parts
import torch
from clip_maker import make

from visemix import audio
from visemix.audio import AUDIO
from visemix.data import DATA
from visemix.data.phonemes import VOCABULARY, Phone, write_phonemes
from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.run import complete_config, fit, folder_of
from visemix.training.modules import RecogniserModule
from visemix.types import Speech, VisemixError

CTC = {"name": "ctc", "weights": "random", "characters": 58, "dim": 16, "layers": 1, "heads": 2, "conv_dim": 8}
SHORT = {"steps": 6, "batch": 2, "window": 10, "val_every": 3, "save_every": 2, "log_every": 1, "lr": 1e-3}
PARTS = {"face": {"name": "toy"}, "audio": CTC, "motion": {"name": "gru"}, "render": {"name": "still"}}
TABLE = [("_", 0.0, 0.5), ("a", 0.5, 0.7), ("m", 0.7, 0.8), ("a", 0.8, 1.0), ("_", 1.0, 1.2), ("s", 1.2, 1.6)]


def write_table(folder):
    write_phonemes(folder / "phonemes.csv", [Phone(symbol, start, stop, 1.0) for symbol, start, stop in TABLE])


@pytest.fixture(scope="module")
def root(tmp_path_factory, face):
    folder = tmp_path_factory.mktemp("clips")
    for name in ("anna_000", "bert_000"):
        make(folder / name, face, frames=40)
        write_table(folder / name)
    return folder


def config(root, out, **changes):
    return {
        **PARTS,
        "data": {"name": "clips", "root": str(root), "holdout": 0.6},
        "train": {"name": "cpu", "recogniser": SHORT, "motion": SHORT},
        "fit": ["recogniser", "motion"],
        "out": str(out),
        "device": "cpu",
    } | changes


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    return fit(config(root, tmp_path_factory.mktemp("runs")))


def weights(folder, part):
    return {name: value for name, value in read_checkpoint(folder)[0].items() if name.startswith(part)}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_windows_sounds_are_those_whose_middle_lies_in_it(root, face):
    data = DATA.build({"name": "clips", "root": str(root), "holdout": 0.6}, face)
    data.window, data.frames, data.sounds = 10, False, True
    data.setup("fit")
    for batch in data.train_dataloader():
        for start, row in zip(batch.subject.pose[:, 0, 0].tolist(), batch.sounds.tolist(), strict=True):
            middles = {15: "a", 18.75: "m", 22.5: "a", 35: "s"}  # in frames
            said = [symbol for middle, symbol in middles.items() if start <= middle < start + 10]
            assert row == [VOCABULARY.index(symbol) for symbol in said] + [0] * (20 - len(said))
    clip = data.val_spans[0].clip
    assert clip.sounds(15, 10).tolist() == [
        [VOCABULARY.index("a"), VOCABULARY.index("m"), VOCABULARY.index("a")] + [0] * 17
    ]
    assert clip.sounds(0, 15).tolist() == [[0] * 30]  # a pause is no sound


def test_a_net_learns_to_name_two_tones():
    """Stretches of a low and of a high tone, with silence between: guessing gets more than half of them wrong."""
    torch.manual_seed(0)
    encoder = AUDIO.build(CTC | {"characters": 3})
    encoder.recogniser.requires_grad_(True)
    encoder.train()
    optimiser = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    losses = []
    for _ in range(120):
        loss = encoder.training_loss(*tones(8))["ctc"]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.1 * sum(losses[:10])
    speech, said = tones(16)
    recognised = encoder.eval().recognise(speech)
    assert sum(one == other for one, other in zip(recognised, said.tolist(), strict=True)) >= 12  # by chance: 2 of 16


def tones(batch):
    said = torch.randint(1, 3, (batch, 3))
    time = torch.arange(1920) / 16000
    pieces = torch.sin(2 * torch.pi * time * torch.where(said == 1, 300.0, 1500.0)[..., None])
    wave = torch.nn.functional.pad(pieces, (960, 960)).flatten(1)
    return Speech(wave + 1e-3 * torch.randn_like(wave)), said


def test_the_loss_is_that_of_the_sounds_before_the_padding():
    encoder = AUDIO.build(CTC).eval()
    speech = Speech(torch.randn(2, 10 * 640, generator=torch.Generator().manual_seed(0)))
    said = torch.tensor([[3, 4, 4, 0, 0], [7, 0, 0, 0, 0]])
    rows = encoder.log_probs(speech)
    assert rows.shape == (2, 20, 58)
    alone = [torch.nn.functional.ctc_loss(rows[k], said[k, :n], (20,), (n,)) for k, n in enumerate((3, 1))]
    torch.testing.assert_close(encoder.training_loss(speech, said)["ctc"], sum(alone) / 2)


def test_what_is_recognised_has_no_repetitions_and_no_blanks(monkeypatch):
    encoder = AUDIO.build(CTC | {"characters": 4})
    best = torch.tensor([[0, 2, 2, 0, 2, 3, 3, 0], [0, 0, 0, 0, 0, 0, 0, 1]])
    monkeypatch.setattr(encoder, "log_probs", lambda speech: torch.nn.functional.one_hot(best, 4).float())
    assert encoder.recognise(Speech(torch.zeros(2, 4 * 640))) == [[2, 2, 3], [1]]


def test_errors_are_edits_over_all_sounds_of_validation(clip, monkeypatch):
    module = RecogniserModule(TalkingFace.from_config(PARTS))
    answers = iter([[[1, 2, 3, 4]], [[5]]])
    monkeypatch.setattr(module.stage, "recognise", lambda speech: next(answers))
    module.measures(replace(clip, sounds=torch.tensor([[1, 2, 4, 0, 0, 0]])))  # one too many
    rate = module.measures(replace(clip, sounds=torch.tensor([[0, 0, 0, 0, 0, 0]])))  # one where nothing is said
    assert rate["phoneme_error_rate"].compute().item() == pytest.approx(2 / 3)


def test_the_stage_runs_where_it_is_asked_for_and_reports_its_errors(trained):
    assert read_checkpoint(trained)[1]["trained"] == ["recogniser", "motion"]
    with (trained / "metrics.csv").open(newline="") as file:
        measured = {(row["stage"], row["name"]): float(row["value"]) for row in csv.DictReader(file)}
    assert measured["recogniser", "val/phoneme_error_rate"] > 0 and ("recogniser", "train/ctc") in measured
    assert {p.name for p in (trained / "samples").iterdir()} >= {"recogniser_000003.png", "recogniser_000006.png"}
    assert "recogniser" not in complete_config({k: v for k, v in config("a", "b").items() if k != "fit"}).fit


def test_the_encoder_is_frozen_but_for_its_own_stage(trained, root, tmp_path):
    alone = fit(config(root, tmp_path, fit=["recogniser"]))
    recognised = weights(alone, "audio.")
    assert same(recognised, weights(trained, "audio."))  # the motion stage after it has moved nothing
    torch.manual_seed(0)
    fresh = TalkingFace.from_config(PARTS)
    assert not any(parameter.requires_grad for parameter in fresh.audio.parameters())
    module = RecogniserModule(fresh)
    with module.training_alone():
        assert {name for name, p in fresh.named_parameters() if p.requires_grad} == {*recognised}
        assert module.stage.recogniser.training
    assert not any(parameter.requires_grad for parameter in fresh.audio.parameters())


def test_a_killed_run_goes_on_as_if_nothing_had_happened(trained, root, tmp_path, monkeypatch):
    cfg, learn, calls = config(root, tmp_path), audio.CTC.training_loss, []

    def killed(self, *inputs):
        calls.append(1)
        if len(calls) > 8:
            raise KeyboardInterrupt
        return learn(self, *inputs)

    monkeypatch.setattr(audio.CTC, "training_loss", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(cfg)
    monkeypatch.undo()
    folder = folder_of(complete_config(cfg))
    assert (folder / "resume" / "recogniser.safetensors").is_file()
    assert fit(cfg) == folder and same(weights(folder, ""), weights(trained, ""))


def test_motion_that_is_loaded_brings_the_ears_it_was_learnt_with(trained, root, tmp_path):
    for stages in (["motion"], ["recogniser", "motion"]):
        folder = fit(config(root, tmp_path, fit=[], seed=5, load={stage: str(trained) for stage in stages}))
        assert same(weights(folder, "audio."), weights(trained, "audio."))


def test_a_cached_recogniser_is_trained_too(root, tmp_path):
    cached = {"name": "cached", "base": CTC, "folder": str(tmp_path / "features")}
    folder = fit(config(root, tmp_path, audio=cached))
    assert read_checkpoint(folder)[1]["trained"] == ["recogniser", "motion"]


def test_clips_that_do_not_say_what_is_spoken_are_refused_with_the_way_out(root, face, tmp_path, caplog):
    make(tmp_path / "old_000", face, frames=40)
    with pytest.raises(VisemixError, match=r"old_000 has no phonemes\.csv: .*; take clips of visemix corpus"):
        fit(config(tmp_path / "old_000", tmp_path))
    fit(config(tmp_path / "old_000", tmp_path, fit=["motion"]))  # good for all else
    (root / "cara_000").symlink_to(tmp_path / "old_000")
    try:
        assert fit(config(root, tmp_path / "runs")).is_dir()
        assert "cara_000 is left out: it has no phonemes.csv" in caplog.text
    finally:
        (root / "cara_000").unlink()


@pytest.mark.parametrize("text", ["start,end\n0,1\n", "start,end,symbol\n0,x,a\n", "start,end,symbol\n0,1,qq\n"])
def test_a_table_that_is_damaged_is_refused(text, face, tmp_path):
    clip = make(tmp_path / "anna_000", face, frames=20)
    (clip.path / "phonemes.csv").write_text(text)
    with pytest.raises(VisemixError, match=r"phonemes\.csv .*make the clip again with"):
        type(clip)(clip.path).phonemes()


def test_an_encoder_with_another_alphabet_is_refused():
    with pytest.raises(VisemixError, match=r"this one has 29; set audio\.weights=random audio\.characters=58"):
        RecogniserModule(TalkingFace.from_config(PARTS | {"audio": CTC | {"characters": 29}}))
