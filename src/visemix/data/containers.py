"""Files of sound and pictures as FFmpeg opens them, and the packets in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from visemix.types import VisemixError

# What is recognised by its content as one of these is opened, and nothing else: FFmpeg also knows playlists, lists of
# files and descriptions of streams, by which a stranger's file would open other files or connections.
FILMS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,nut,mxf,gxf,dv,rm,wtv,m4v,h264,hevc,obu,ivf,mjpeg,gif"
SOUNDS = "wav,w64,aiff,caf,flac,mp3,aac,ac3,eac3,dts,truehd,amr,au,voc,wv,ape,tta,tak,spx"
STILLS = "apng,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe"
ONLY = {"protocol_whitelist": "file", "format_whitelist": f"{FILMS},{SOUNDS},{STILLS}"}
PIXELS = 1 << 25  # of a coded picture, 8K: a header may ask for any amount of memory


def open_media(path: str | Path) -> Any:
    """A PyAV container to read from: this file and no other, whatever stands in it.

    Raises:
        VisemixError: no such file, or one of a kind that is not opened.
    """
    path = Path(path)
    if path.is_dir():
        raise VisemixError(f"{path} is a folder; give the videos or sounds in it")
    if not path.is_file():
        raise VisemixError(f"no such file: {path}")
    try:
        container = av.open(f"file:{path}", format=_kind(path), options=ONLY, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VisemixError(
            f"{path} is not a readable video or sound file ({getattr(error, 'strerror', error)}): it may be cut off or "
            "of another kind; play it, or convert it again from its source"
        ) from error
    for stream in container.streams.video:
        if stream.codec_context is None:  # there is no decoder for it
            continue
        width, height = stream.width, stream.height
        if width * height > PIXELS:
            container.close()
            raise VisemixError(f"the pictures of {path} are {width}×{height}, larger than 8K; make them smaller")
        stream.codec_context.options = {"max_pixels": str(PIXELS)}
    return container


def _kind(path: Path) -> str | None:
    """The format of a photograph, which FFmpeg would tell by its name, as one of a numbered series; None of others."""
    with path.open("rb") as file:
        return "jpeg_pipe" if file.read(3) == b"\xff\xd8\xff" else None


def picture_stream(container: Any) -> Any | None:
    """The stream of pictures that a player shows, None where there is none: cover art does not count."""
    return _chosen([s for s in container.streams.video if not s.disposition & Disposition.attached_pic])


def sound_stream(container: Any) -> Any | None:
    """The sound track that a player plays, None where there is none."""
    return _chosen(container.streams.audio)


def counted_twice(container: Any, sound: Any) -> float:
    """Seconds by which a sound track's times are too early: the pre-skip of Opus, in Matroska by an older FFmpeg.

    Up to libavformat 59.30 its muxer took pictures back by that time, and wrote down that players are to take the sound
    back by it too (https://github.com/LadybirdBrowser/ladybird/pull/6685); most WebM files are such.
    """
    muxer = re.match(r"Lavf(\d+)\.(\d+)", container.metadata.get("ENCODER", ""))
    head = sound.codec_context.extradata or b""
    if container.format.name != "matroska,webm" or sound.codec_context.name != "opus" or not muxer or len(head) < 12:
        return 0.0
    return int.from_bytes(head[10:12], "little") / 48_000 if tuple(map(int, muxer.groups())) <= (59, 30) else 0.0


def _chosen(streams: Sequence[Any]) -> Any | None:
    """The first that can be decoded of those marked as default, rather one that describes nothing to deaf or blind."""
    impaired = Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.comment

    def rank(stream: Any) -> tuple[bool, bool]:
        return not stream.disposition & impaired, bool(stream.disposition & Disposition.default)

    return max((stream for stream in streams if stream.codec_context is not None), key=rank, default=None)


def packets(container: Any, *streams: Any) -> Iterator[Any]:
    """The packets of some streams, up to where the file ends or breaks; the last ones, empty, flush the decoders."""
    found = container.demux(*streams)
    while True:
        try:
            packet = next(found, None)
        except (av.FFmpegError, EOFError, IndexError):  # PyAV does not know a stream that begins midway
            packet = None
        if packet is None:
            return
        yield packet


def decode(packet: Any) -> list[Any] | None:
    """The frames that a packet completes; None where it is damaged."""
    try:
        return packet.decode()  # type: ignore[no-any-return]
    except EOFError:
        return []
    except (av.FFmpegError, ValueError):
        return None
