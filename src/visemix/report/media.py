"""Videos as any browser plays them, with nothing in them that tells where they are from."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import av

from visemix.data import VideoReader, VideoWriter
from visemix.data.media import open_media, picture_stream
from visemix.report.page import inline
from visemix.types import VisemixError

PLAYED = ("h264", "yuv420p")


def inline_video(path: Path) -> str:
    """A video as a data URL, for a page that needs no other file."""
    return inline(playable(path), "video/mp4")


def playable(path: Path) -> bytes:
    """An mp4 of the same pictures and sound without titles, comments or names.

    H.264 (yuv420p) is copied bit for bit; anything else is encoded anew, at 25 frames a second and so finely (crf 14)
    that nobody sees it.

    Raises:
        VisemixError: no such file, or no video.
    """
    with open_media(path) as container:
        stream = picture_stream(container)
        if stream is None:
            raise VisemixError(f"{path} holds no picture; give a video file")
        sound = container.streams.audio[0] if container.streams.audio else None
        kept = (stream.codec_context.name, stream.codec_context.pix_fmt) == PLAYED
        if kept and (sound is None or sound.codec_context.name == "aac"):
            return _copied(container, [s for s in (stream, sound) if s is not None], path)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "video.mp4"
        with VideoWriter(made, sound=path if sound is not None else None, crf=14) as writer:
            for picture in VideoReader(path):
                writer.write(picture)
        return playable(made)


def _copied(container: av.container.InputContainer, streams: list[av.stream.Stream], path: Path) -> bytes:
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as out:
            to = {stream.index: out.add_stream_from_template(stream) for stream in streams}  # type: ignore[type-var]
            for packet in container.demux(*streams):
                if packet.dts is not None:
                    packet.stream = to[packet.stream.index]
                    out.mux(packet)
    except av.FFmpegError as error:
        raise VisemixError(f"{path} is damaged ({error.strerror}); make it again, or leave it out") from error
    return file.getvalue()
