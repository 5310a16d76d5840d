"""A picture is a clip of one frame: somebody to speak in it."""

import io

import av
import numpy as np
import pytest
from prepare_maker import meta, run, scene, video

from visemix.data import ClipFolder
from visemix.data.footage import paste_into_source
from visemix.generation import LoopedFootage
from visemix.ops.progress import Console


def still(path, codec, pixels):
    """A picture of `scene`'s face with a darker mouth."""
    picture = scene(1)[0].permute(1, 2, 0).numpy().copy()
    with av.open(str(path), "w", format="image2") as out:
        stream = out.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], pixels
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixels)))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("anna.png", "png", "rgb24"), ("anna.png", "png", "gray"), ("IMG_001.jpg", "mjpeg", "yuvj420p")],
)
@pytest.mark.parametrize("fit", ["still", "landmarks"])
def test_a_picture_becomes_a_clip_of_one_frame_and_its_notes_say_so(tmp_path, face, name, codec, pixels, fit):
    path, said = still(tmp_path / name, codec, pixels), io.StringIO()
    console = Console(file=said, width=200)
    assert run([path], tmp_path / "out", fit=fit, holdout=2.0, console=console).failed == {}
    about = meta(tmp_path / "out", path.stem)
    assert (about["frames"], about["audio"], about["source"]["first"]) == (1, "none", 0)
    assert about["notes"] == ["a still picture: somebody to speak in it, with nothing to learn from"]
    assert "a still picture" in said.getvalue()
    clip = ClipFolder(tmp_path / "out" / path.stem, face)
    footage = LoopedFootage(clip, 7)
    assert footage.order == [0] * 7
    pictures = list(paste_into_source(clip, footage.order, [clip.footage([0])[0]] * 7))
    original = scene(1)[0].numpy().astype(int)
    assert len(pictures) == 7 and all(np.abs(each.numpy() - original).mean() < 4 for each in pictures)


def test_a_film_of_few_frames_is_still_refused(tmp_path):
    result = run([video(tmp_path / "a.mp4", frames=3, sound=None)], tmp_path / "out")
    assert "is seen for 3 frames only; 5 are needed" in result.failed["a"]
