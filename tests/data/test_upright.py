"""Pictures as players show them, and files that are not what their names say."""

import av
import numpy as np
import pytest
import torch
from numbered_clips import make_clip, number, picture

from visemix.data import VideoReader, read_sound
from visemix.types import VisemixError


def turned(path, matrix):
    """The display matrix in the track header, 16.16 fixed point (2.30 in the last column)."""
    body = path.read_bytes()
    here = body.index(b"tkhd") + 4 + 40
    a, b, c, d = (v << 16 for v in matrix)
    entries = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    path.write_bytes(body[:here] + b"".join(v.to_bytes(4, "big", signed=True) for v in entries) + body[here + 36 :])


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((-1, 0, 0, 1), lambda p: p.flip(2)),
        ((1, 0, 0, -1), lambda p: p.flip(1)),
        ((-1, 0, 0, -1), lambda p: p.rot90(2, (1, 2))),
        ((0, 1, -1, 0), lambda p: p.rot90(-1, (1, 2))),  # a quarter turn clockwise
        ((0, -1, 1, 0), lambda p: p.rot90(1, (1, 2))),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 2)),
        ((0, -1, -1, 0), lambda p: p.transpose(1, 2).flip(1, 2)),
    ],
)
def test_all_eight_ways_to_turn_and_mirror_a_picture(tmp_path, matrix, shown):
    path = make_clip(tmp_path / "a.mp4", seconds=0.2, sound=None)
    stored = next(iter(VideoReader(path)))
    turned(path, matrix)
    reader = VideoReader(path)
    assert torch.equal(next(iter(reader)), shown(stored))
    assert (reader.height, reader.width) == tuple(shown(stored).shape[1:])


def test_sound_that_lasts_longer_than_the_pictures_is_nothing_that_breaks_off(tmp_path):
    path = make_clip(tmp_path / "a.mp4", seconds=2, sound=None)
    longer = tmp_path / "b.mkv"
    with av.open(str(path)) as source, av.open(str(longer), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        audio = out.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 16_000, 0
        sound = [*audio.encode(frame), *audio.encode(None)]
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
        for packet in sound:
            out.mux(packet)
    reader = VideoReader(longer)
    assert len(list(reader)) == 50 and reader.notes == []


def test_pictures_that_change_size_midway_are_brought_to_the_first_ones(tmp_path):
    parts = []
    for k, (width, height) in enumerate(((192, 128), (96, 64))):
        path = tmp_path / f"{k}.h264"
        with av.open(str(path), "w", format="h264") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for n in range(5):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(5 * k + n, width, height), "rgb24")))
            out.mux(stream.encode(None))
        parts.append(path.read_bytes())
    (tmp_path / "both.h264").write_bytes(b"".join(parts))
    reader = VideoReader(tmp_path / "both.h264")
    frames = list(reader)
    assert {frame.shape for frame in frames} == {(3, 128, 192)}
    assert [number(frame) for frame in frames] == list(range(10))
    assert reader.notes == ["its pictures change size midway; all are brought to the first one's"]


@pytest.mark.parametrize(("transfer", "name", "grey"), [(18, "HLG", 192), (16, "PQ", 148)])
def test_hdr_is_tone_mapped_and_said(tmp_path, transfer, name, grey):
    """White paper, 203 cd/m² (75 % of HLG, 58 % of PQ), is bright on an ordinary screen, and black is black."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, 9, 9, 1
        flat = np.zeros((64, 64, 3), np.uint8)
        flat[:, 32:] = grey
        yuv = av.VideoFrame.from_ndarray(flat, "rgb24").reformat(format="yuv420p10le", dst_colorspace=9)
        out.mux(stream.encode(yuv))
        out.mux(stream.encode(None))
    reader = VideoReader(path)
    frame = next(iter(reader)).float()
    assert frame[:, :, :28].max() < 3 and 215 < frame[:, :, 36:].mean() < 250
    assert frame[:, 20, 50].max() - frame[:, 20, 50].min() < 4  # grey stays grey
    assert reader.notes == [f"its pictures are HDR ({name}); they are tone-mapped for an ordinary screen"]


def test_pictures_for_which_there_is_no_decoder_are_none(tmp_path):
    path = make_clip(tmp_path / "a.mp4", seconds=1)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"xyz1"))
    with pytest.raises(VisemixError, match=r"a\.mp4 holds no picture"):
        VideoReader(path)
    assert len(read_sound(path)) >= 15_000


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_picture_is_a_clip_of_one_frame(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    av.VideoFrame.from_ndarray(picture(37), "rgb24").to_image().save(path)
    (frame,) = VideoReader(path)
    assert number(frame) == 37


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile '{}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nfile://{}\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        '<Representation id="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.txt", "a.ffconcat"])
def test_lists_of_other_files_open_none(tmp_path, text, name):
    other = make_clip(tmp_path / "other.ts", seconds=1)
    (tmp_path / name).write_text(text.format(other))
    (tmp_path / f"relative_{name}").write_text(text.format("other.ts"))
    for path in (tmp_path / name, tmp_path / f"relative_{name}"):
        for use in (VideoReader, read_sound):
            with pytest.raises(VisemixError, match="is not a readable video or sound file"):
                use(path)


@pytest.mark.parametrize("name", ["10:30.mp4", "http:a.mp4", "concat:b.mp4", "50%.mp4", "a b|c.mp4", "%03d.mp4"])
def test_no_name_is_a_protocol(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "plain.mp4", seconds=1).rename(tmp_path / name)
    assert len(list(VideoReader(name))) == 25
    assert len(read_sound(name)) >= 15_000
