import io

import av
import numpy as np
import pytest
import torch
from tiny_videos import MIRRORED, QUARTER, turn

from visemix.data import VideoReader, VideoWriter
from visemix.report.media import playable
from visemix.types import VisemixError


def decoded(source):
    with av.open(source) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def named_film(path, codec):
    """Ten frames with a title and a comment that tell who made it."""
    with av.open(str(path), "w", format="mp4") as container:
        container.metadata["title"] = "our method"
        container.metadata["comment"] = "our method"
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(10):
            picture = np.full((48, 64, 3), 20 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_titles_and_comments_are_gone_and_the_pictures_stay(tmp_path, codec):
    path = named_film(tmp_path / "a.mp4", codec)
    made = playable(path)
    assert b"our method" in path.read_bytes() and b"our method" not in made
    with av.open(io.BytesIO(made)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    apart = np.abs(decoded(io.BytesIO(made)).astype(int) - decoded(str(path)))
    assert apart.max() <= (0 if codec == "libx264" else 4)


@pytest.mark.parametrize("matrix", [QUARTER, MIRRORED])
def test_what_is_stored_turned_is_upright_for_every_browser(tmp_path, matrix):
    side = torch.full((10, 3, 48, 64), 40, dtype=torch.uint8)
    side[:, :, :16, :24] = 200
    with VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(side)
    path = turn(tmp_path / "a.mp4", matrix)
    shown = np.stack([picture.permute(1, 2, 0).numpy() for picture in VideoReader(path)])
    made = decoded(io.BytesIO(playable(path)))
    assert made.shape == shown.shape and np.abs(made.astype(int) - shown).mean() < 3


def test_sound_stays_in_its_place(tmp_path):
    wave = torch.zeros(16_000)
    wave[8000:8200] = 0.5
    with VideoWriter(tmp_path / "a.mp4", sound=wave) as writer:
        writer.write(torch.zeros(25, 3, 32, 32))
    (tmp_path / "b.mp4").write_bytes(playable(tmp_path / "a.mp4"))
    from visemix.data import read_sound

    before, after = (read_sound(tmp_path / f"{name}.mp4") for name in "ab")
    assert torch.equal(before, after)


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(VisemixError, match=r"a\.mp4 is not a readable video"):
        playable(tmp_path / "a.mp4")
