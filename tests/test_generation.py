import shutil

import av
import numpy as np
import pytest
import soundfile
import standins  # noqa: F401 – registers its parts
import torch

from visemix.data import write_clip
from visemix.face import FACE
from visemix.generation import LoopedFootage, generate, load_target, set_seed, warn_of_untrained
from visemix.ops.camera import square_camera
from visemix.pipeline import TalkingFace
from visemix.prepare.videos import PrepareResult
from visemix.types import SAMPLES_PER_FRAME, VisemixError

PARTS = {"face": {"name": "toy"}, "audio": {"name": "spectrum"}, "motion": {"name": "gru"}, "render": {"name": "dots"}}
FRAMES, SIZE = 6, 64


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    TalkingFace.from_config(PARTS).save(folder / "model.safetensors", trained=["motion", "render"])
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Six frames, each brighter than the one before."""
    face = FACE.build({"name": "toy"})
    tensors = {
        "wave": torch.zeros(FRAMES * SAMPLES_PER_FRAME),
        "identity": torch.zeros(face.identity.shape[-1]),
        "expression": torch.zeros(FRAMES, face.expression.shape[-1]),
        "pose": torch.zeros(FRAMES, 6),
        "camera": square_camera(SIZE),
        "light": torch.zeros(FRAMES, 27),
        "albedo": face.albedo,
        "landmarks": torch.zeros(FRAMES, 68, 2),
        "error": torch.zeros(FRAMES),
    }
    pictures = [torch.full((3, SIZE, SIZE), 20 + 30 * k, dtype=torch.uint8) for k in range(FRAMES)]
    return write_clip(tmp_path_factory.mktemp("clips") / "anna_000", tensors, pictures, {}, face=face)


def speech(folder, samples, rate=16_000):
    path = folder / "speech.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(samples), rate)
    return path


def test_driving_sound_that_is_silence_is_said_aloud(run, clip, tmp_path, caplog):
    soundfile.write(tmp_path / "mute.wav", np.zeros(3200), 16_000)
    generate(run, tmp_path / "mute.wav", clip.path, tmp_path / "out.mp4", progress=False)
    assert "mute.wav is silence" in caplog.text
    caplog.clear()
    generate(run, speech(tmp_path, 3200), clip.path, tmp_path / "other.mp4", progress=False)
    assert "silence" not in caplog.text


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def brightness(path):
    """Of each frame's corner, where no dot is drawn: which of the footage's frames it is."""
    return [round((float(frame[:4, :4].mean()) - 20) / 30) for frame in decoded(path)]


@pytest.mark.parametrize(
    ("samples", "rate", "frames"), [(16_000, 16_000, 25), (9_300, 16_000, 15), (48_000, 48_000, 25)]
)
def test_there_are_25_frames_a_second_and_the_last_part_frame_counts_when_it_is_more_than_half(
    run, clip, tmp_path, samples, rate, frames
):
    out = generate(run, speech(tmp_path, samples, rate), clip.path, tmp_path / "out.mp4", progress=False)
    assert len(decoded(out)) == frames
    with av.open(str(out)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert abs(float(sound.duration * sound.time_base) - frames / 25) < 0.04


def test_footage_that_is_too_short_is_gone_through_there_and_back(run, clip, tmp_path):
    out = generate(run, speech(tmp_path, 12 * 640), clip.path, tmp_path / "out.mp4", progress=False)
    assert brightness(out) == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1]


def test_the_footage_begins_where_it_is_told_to(run, clip, tmp_path):
    out = generate(run, speech(tmp_path, 4 * 640), clip.path, tmp_path / "out.mp4", start=0.12, progress=False)
    assert brightness(out) == [3, 4, 5, 4]


def test_footage_stays_where_the_face_is_seen_and_it_is_said(run, clip, tmp_path, caplog):
    away = tmp_path / "anna_001"
    shutil.copytree(clip.path, away)
    (away / "meta.yaml").write_text((away / "meta.yaml").read_text() + "away: [[1, 3]]\n")
    out = generate(run, speech(tmp_path, 6 * 640), away, tmp_path / "out.mp4", progress=False)
    assert brightness(out) == [3, 4, 5, 4, 3, 4]
    assert "the face leaves the picture" in caplog.text and "only 0.12 s to 0.24 s" in caplog.text


def test_the_same_command_writes_the_same_bytes_however_many_frames_are_painted_at_a_time(run, clip, tmp_path):
    sound = speech(tmp_path, 7 * 640)
    videos = [
        generate(run, sound, clip.path, tmp_path / f"{k}.mp4", batch=batch, progress=False)
        for k, batch in enumerate((3, 3, 7))
    ]
    assert videos[0].read_bytes() == videos[1].read_bytes()
    for one, other in zip(decoded(videos[0]), decoded(videos[2]), strict=True):
        assert np.array_equal(one, other)


def test_streamed_is_the_same_as_all_at_once(run, clip):
    from visemix.types import Speech

    model, frames = TalkingFace.from_checkpoint(run), 9
    words = Speech(torch.rand(1, frames * SAMPLES_PER_FRAME, generator=torch.Generator().manual_seed(0)) - 0.5)
    footage = LoopedFootage(clip, frames)
    with torch.inference_mode():
        whole = model(words, footage.subject(torch.arange(frames))).frames
    pieces = [video.frames for video in model.stream(words, footage, batch=4)]
    assert [piece.shape[1] for piece in pieces] == [4, 4, 1]
    torch.testing.assert_close(torch.cat(pieces, 1), whole)


def test_a_renderer_that_chooses_among_pictures_gets_the_same_ones_streamed(clip):
    from visemix.data import ClipFolder
    from visemix.data.windows import gallery_of
    from visemix.types import Speech

    options = {"base": 4, "max_channels": 8, "perceptual_weight": 0.0, "style_weight": 0.0, "precision": "float32"}
    render = {"name": "taft", "reference": "nearest"} | options
    model, folder = TalkingFace.from_config(PARTS | {"render": render}).eval(), ClipFolder(clip.path)
    words = Speech(torch.zeros(1, 5 * SAMPLES_PER_FRAME))
    gallery = gallery_of(folder, model.render.gallery)
    assert gallery.pictures.shape == (1, 32, 3, SIZE, SIZE)
    with torch.inference_mode():
        whole = model(words, clip.path).frames
    pieces = model.stream(words, LoopedFootage(folder, 5, gallery=gallery), batch=2)
    torch.testing.assert_close(torch.cat([video.frames for video in pieces], 1), whole, atol=1e-4, rtol=0)


def test_only_a_batch_of_frames_is_asked_for_at_a_time(run, clip):
    from visemix.types import Speech

    class Watched(LoopedFootage):
        asked = ()

        def subject(self, frames, *, footage=True):
            if footage:
                self.asked += (len(frames),)
            return super().subject(frames, footage=footage)

    loop = Watched(clip, 10)
    for done, _ in enumerate(TalkingFace.from_checkpoint(run).stream(Speech(torch.zeros(1, 6400)), loop, batch=2), 1):
        assert loop.asked == (2,) * done


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style": "bob"}, "no style 'bob'"),
        ({"seed": 3}, "motion model 'gru' knows one motion for a sound"),
        ({"start": 3.0}, r"lasts 0.24 s; --start 3 lies outside"),
        ({"start": float("nan")}, r"lasts 0.24 s; --start nan lies outside"),
        ({"start": float("inf")}, r"lasts 0.24 s; --start inf lies outside"),
        ({"target": "/dev/zero"}, r"/dev/zero is no ordinary file"),
        ({"target": "nobody"}, "no such target: nobody"),
        ({"run": "nowhere"}, "no trained model at nowhere"),
        ({"audio": "silence.wav"}, "no such file: silence.wav"),
        ({"device": "gpu0"}, "no device 'gpu0'"),
        ({"out": "talk.avi"}, "should end in .mp4"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(run, clip, tmp_path, change, message):
    given = {"run": run, "audio": speech(tmp_path, 3200), "target": clip.path, "out": tmp_path / "out.mp4"} | change
    with pytest.raises(VisemixError, match=message):
        generate(**given, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["speech.wav"]


def test_an_existing_video_is_kept_unless_told_otherwise(run, clip, tmp_path):
    out, sound = tmp_path / "out.mp4", speech(tmp_path, 3200)
    out.write_text("mine")
    with pytest.raises(VisemixError, match=r"out\.mp4 exists and is kept; .*--overwrite"):
        generate(run, sound, clip.path, out, progress=False)
    assert out.read_text() == "mine"
    generate(run, sound, clip.path, out, overwrite=True, progress=False)
    assert len(decoded(out)) == 5


def test_a_clip_of_another_face_model_is_refused(run, clip, tmp_path):
    meta = (clip.path / "meta.yaml").read_text()
    other = tmp_path / "clip"
    other.mkdir()
    for file in clip.path.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    (other / "meta.yaml").write_text(meta.replace("name: toy", "name: bfm"))
    with pytest.raises(VisemixError, match=r"fitted with the face model 'bfm'"):
        generate(run, speech(tmp_path, 3200), other, tmp_path / "out.mp4", progress=False)


def test_only_stages_that_the_parts_have_are_called_untrained(run, caplog):
    model = TalkingFace.from_checkpoint(run)
    warn_of_untrained(model)
    assert not caplog.text
    model.notes = {"trained": ["motion"]}
    warn_of_untrained(model)
    assert [record.args for record in caplog.records] == [("render",)]


def test_a_seed_chooses_among_the_motions_inside_a_wrapper_too():
    inner = {"name": "flow_vae", "channels": 8, "sync": False}
    config = PARTS | {"motion": {"name": "postnet", "base": inner, "sync_weight": 0.0}}
    model = TalkingFace.from_config(config)
    set_seed(model, 5)
    assert model.motion.base.seed == 5
    set_seed(model, None)
    assert model.motion.base.seed == 5


def test_a_face_over_a_still_one_blinks_or_does_as_it_is_told(run, clip, tmp_path):
    sound = speech(tmp_path, 60 * 640)
    videos = {
        eyes: np.stack(decoded(generate(run, sound, clip.path, tmp_path / f"{eyes}.mp4", eyes=eyes, progress=False)))
        for eyes in (None, "blinking", "footage", "driven")
    }
    assert np.array_equal(videos[None], videos["blinking"])
    assert not np.array_equal(videos["footage"], videos["blinking"])
    assert not np.array_equal(videos["footage"], videos["driven"])
    with pytest.raises(VisemixError, match=r"eyes=drive is nobody's; did you mean 'driven'\?"):
        generate(run, sound, clip.path, tmp_path / "out.mp4", eyes="drive", progress=False)


def test_a_target_that_an_older_version_prepared_is_prepared_again(run, clip, tmp_path, monkeypatch):
    model, video = TalkingFace.from_checkpoint(run), tmp_path / "anna_000.mp4"
    video.write_bytes(b"frames")
    asked = []

    def prepare(videos, out, *, overwrite=False, **options):
        asked.append(overwrite)
        there = out / "anna_000"
        if there.exists() and not overwrite:
            return PrepareResult(failed={"anna_000.mp4": f"{there} exists with refine none; pass --overwrite"})
        shutil.copytree(clip.path, there, dirs_exist_ok=True)
        return PrepareResult(done=["anna_000"])

    monkeypatch.setattr("visemix.prepare.videos.prepare", prepare)
    for _ in range(2):
        assert load_target(video, model, tmp_path, SIZE).frames == FRAMES
    assert asked == [False, False, True]
