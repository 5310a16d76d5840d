import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from visemix.cli.app import app
from visemix.data import ClipFolder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus")
    args = ["corpus", "--out", str(out), "--speakers", "1", "--minutes", "0.034", "--size", "48"]
    return out, CliRunner().invoke(app, [*args, "--synthesiser", "formants", "--noise"])


def test_the_command_prints_a_page_that_shows_everything_on_one_axis(made):
    out, result = made
    assert result.exit_code == 0 and result.stdout.splitlines()[-1] == str(out / "corpus.html")
    page = (out / "corpus.html").read_text(encoding="utf-8")
    assert page.count("<image ") == 12 and 'class="wave"' in page and 'class="open"' in page
    assert page.count('class="sound"') > 3 and "1 s</text>" in page and "ada" in page


def test_expressions_with_noise_keep_the_exact_ones_beside_them(made):
    clip = ClipFolder(made[0] / "ada_000")
    truth = load_file(clip.path / "truth.safetensors")["expression"]
    assert 0.005 < (clip.tensor("expression") - truth).square().mean().sqrt() < 0.1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--language", "tlh"], "zh"),
        (["--voice", "robot"], "female, male"),
        (["--size", "100"], "multiple of 16"),
        (["--speakers", "0"], "--speakers 0"),
    ],
)
def test_bad_wishes_are_one_sentence_and_exit_2(tmp_path, args, words):
    result = CliRunner().invoke(app, ["corpus", "--out", str(tmp_path / "c"), *args])
    assert result.exit_code == 2
    assert words in result.stderr and result.stderr.count("\n") == 1
