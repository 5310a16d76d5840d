"""Videos as any browser plays them, with nothing in them that tells where they are from."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from visemix.data import VideoReader, VideoWriter
from visemix.data.containers import open_media, picture_stream, sound_stream
from visemix.data.upright import EXACT
from visemix.report.page import inline
from visemix.types import VisemixError

PLAYED = ("h264", "yuv420p")


def inline_video(path: Path) -> str:
    """A video as a data URL, for a page that needs no other file."""
    return inline(playable(path), "video/mp4")


def playable(path: Path) -> bytes:
    """An mp4 of the same pictures and sound without titles, comments or names.

    H.264 (yuv420p) is copied bit for bit; anything else, and what is stored turned, is encoded anew as `VideoReader`
    shows it, at 25 frames a second and so finely (crf 14) that nobody sees it.

    Raises:
        VisemixError: no such file, or no video.
    """
    with open_media(path) as container:
        stream = picture_stream(container)
        if stream is None:
            raise VisemixError(f"{path} holds no picture; give a video file")
        sound = sound_stream(container)
        kept = (stream.codec_context.name, stream.codec_context.pix_fmt) == PLAYED
        kept = kept and (sound is None or sound.codec_context.name == "aac")
    if kept and _stored_as_shown(path):
        return _copied(path)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "video.mp4"
        with VideoWriter(made, sound=path if sound is not None else None, crf=14) as writer:
            for picture in VideoReader(path):
                writer.write(picture)
        return _copied(made)


def _stored_as_shown(path: Path) -> bool:
    """Whether the first picture lies in the file as the reader shows it: browsers turn some that do not, others not."""
    shown = next(iter(VideoReader(path))).permute(1, 2, 0).numpy()
    try:
        with open_media(path) as container:
            first = next(container.decode(picture_stream(container)))
            return np.array_equal(VideoReformatter().reformat(first, format="rgb24", **EXACT).to_ndarray(), shown)
    except av.FFmpegError:
        return False


def _copied(path: Path) -> bytes:
    file = io.BytesIO()
    try:
        with open_media(path) as container, av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as out:
            streams = [s for s in (picture_stream(container), sound_stream(container)) if s is not None]
            to = {stream.index: out.add_stream_from_template(stream) for stream in streams}
            for packet in container.demux(*streams):
                if packet.dts is not None:
                    packet.stream = to[packet.stream.index]
                    out.mux(packet)
    except av.FFmpegError as error:
        raise VisemixError(f"{path} is damaged ({error.strerror}); make it again, or leave it out") from error
    return file.getvalue()
