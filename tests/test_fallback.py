import pytest

from visemix.run import load_experiment


@pytest.fixture
def with_fallback(tmp_path):
    path = tmp_path / "voice.yaml"
    path.write_text(
        "# What does it hear?\n"
        "use: {face: toy, audio: concat, motion: a2ep, render: mesh, data: clips}\n"
        "fallback: {audio: mel}\n"
        "audio: {parts: {moonshine: {chunk: 5}, mel: {dim: 8}}}\n"
        "data: {root: x}\n"
    )
    return path


def test_an_encoder_that_is_not_installed_gives_way_aloud_and_the_config_says_so(with_fallback, monkeypatch, caplog):
    monkeypatch.setattr("visemix.ops.extras.find_spec", lambda package: None)
    cfg = load_experiment(with_fallback)
    assert cfg.audio.name == "mel" and "fallback" not in cfg
    assert "pip install 'visemix[speech]'" in caplog.text and "this run hears audio=mel instead" in caplog.text


def test_the_encoder_that_comes_instead_may_have_options(with_fallback, monkeypatch):
    monkeypatch.setattr("visemix.ops.extras.find_spec", lambda package: None)
    with_fallback.write_text(with_fallback.read_text().replace("audio: mel}", "audio: {name: mel, learned: false}}"))
    cfg = load_experiment(with_fallback)
    assert cfg.audio.name == "mel" and cfg.audio.learned is False and "parts" not in cfg.audio


def test_an_encoder_that_was_asked_for_gives_way_to_none(with_fallback, monkeypatch):
    monkeypatch.setattr("visemix.ops.extras.find_spec", lambda package: None)
    assert load_experiment(with_fallback, ["audio=moonshine"]).audio.name == "moonshine"


def test_an_encoder_that_is_installed_stays(with_fallback, monkeypatch, caplog):
    monkeypatch.setattr("visemix.experiment.AUDIO.build", lambda config: None)
    cfg = load_experiment(with_fallback, ["audio.parts.moonshine.look_back=7"])
    assert cfg.audio.name == "concat" and cfg.audio.parts.moonshine == {"chunk": 5, "look_back": 7}
    assert not caplog.text
