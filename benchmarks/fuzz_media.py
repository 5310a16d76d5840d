"""What strangers' damaged media files do to the readers: nothing but frames, sound or a sentence.

    python benchmarks/fuzz_media.py [--files 2000] [--seed 0] [--keep FOLDER]

Small clips of many containers and codecs are mutated (bits flipped, ends cut off, bytes of header fields made extreme,
stretches removed, doubled or zeroed) and read as `prepare` and `evaluate` do, each in a process of its own: probed,
decoded to the end, sought into, heard. Counted are processes that died of a signal, used more than 20 s of processor
(or 30 s by the clock), grew by more than 1 GB, or raised anything but a `VisemixError`. `--keep` keeps those files.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from itertools import islice
from pathlib import Path

import av
import numpy as np
from _report import report

from visemix.data import VideoReader, probe, read_sound
from visemix.types import VisemixError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from numbered_clips import make_clip

PCM, OPUS = {"sound": "pcm_s16le"}, {"sound": "libopus"}
MPEG2 = {"codec": "mpeg2video", "sound": "mp2", "options": {"bf": "2"}}
CLIPS = {
    "a.mp4": {"layout": "stereo"},
    "fragments.mp4": {"mux": {"movflags": "frag_keyframe+empty_moov"}},
    "index_first.mp4": {"mux": {"movflags": "faststart"}},
    "pcm.mov": {**PCM, "layout": "7.1"},
    "a.mkv": {"sound": "flac"},
    "vp9.webm": {**OPUS, "codec": "libvpx-vp9"},
    "vp8.webm": {**OPUS, "codec": "libvpx"},
    "h264.avi": {"sound": "mp3"},
    "mpeg4.avi": {**PCM, "codec": "mpeg4"},
    "mjpeg.avi": {**PCM, "codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "a.mpg": MPEG2,
    "a.ts": {},
    "a.flv": {},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "ffv1.nut": {**PCM, "codec": "ffv1"},
}
SOUNDS = {"a.wav": "pcm_s16le", "a.flac": "flac", "a.mp3": "mp3", "a.ogg": "libopus", "a.m4a": "aac", "a.aac": "aac"}
SECONDS, WALL, BYTES = 20, 30, 1 << 30
EXTREMES = (b"\0", b"\xff", b"\x7f", b"\x80")
OUTCOMES = {0: "read", 3: "refused", 4: "exception"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        make_originals(args.make)
        return
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        # apart, as a fork of a process with a codec's threads would wait for them
        subprocess.run([sys.executable, __file__, "--make", folder], check=True)
        originals = [Path(folder) / name for name in (*CLIPS, *SOUNDS)]
        counts = {path.name: Counter() for path in originals}
        worst = {path.name: [0.0, 0.0] for path in originals}
        for k in range(args.files):
            original = originals[k % len(originals)]
            path = Path(folder) / f"{k}_{original.name}"
            path.write_bytes(mutated(original.read_bytes(), rng))
            outcome, seconds, grown = read_apart(path)
            counts[original.name][outcome] += 1
            worst[original.name] = [max(a, b) for a, b in zip(worst[original.name], (seconds, grown), strict=True)]
            if outcome not in ("read", "refused"):
                sys.stderr.write(f"{path.name}: {outcome}\n")
                if args.keep:
                    args.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, args.keep)
            path.unlink()
    names = sorted({outcome for count in counts.values() for outcome in count} | {"read", "refused", "crash", "hang"})
    rows = [
        {"file": name, "mutants": sum(count.values()), **{outcome: count[outcome] for outcome in names}}
        | {"most s": round(worst[name][0], 1), "most MB": round(worst[name][1] / 1e6)}
        for name, count in counts.items()
    ]
    total = {key: sum(row[key] for row in rows) for key in ("mutants", *names)}
    rows.append({"file": "all", **total, **{key: max(row[key] for row in rows) for key in ("most s", "most MB")}})
    report("fuzz_media", rows, seed=args.seed, files=args.files)


def make_originals(folder: Path) -> None:
    for name, recipe in CLIPS.items():
        make_clip(folder / name, seconds=1, **recipe)
    for name, codec in SOUNDS.items():
        with av.open(str(folder / name), "w") as out:
            stream = out.add_stream(codec, rate=48_000, layout="stereo")
            tone = 0.1 * np.sin(np.arange(2 * 96_000) / 20).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], "flt", "stereo")
            frame.sample_rate, frame.pts = 48_000, 0
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))


def mutated(body: bytes, rng: np.random.Generator) -> bytes:
    """One to three faults; half of them in the first or last 2 kB, where headers and indexes are."""
    data = bytearray(body)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(data)))
        if rng.random() < 0.5:
            at = int(rng.integers(min(2048, len(data)))) if rng.random() < 0.5 else len(data) - 1 - at % 2048
        at = max(0, at)
        length = int(rng.choice([1, 2, 4, 8]))
        match rng.integers(7):
            case 0 | 1:
                for _ in range(rng.integers(1, 33)):
                    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
            case 2 | 3:
                data[at : at + length] = EXTREMES[rng.integers(4)] * length
            case 4:
                data[at : at + length] = rng.bytes(length)
            case 5:
                del data[max(16, at) :]
            case 6:
                stretch = int(rng.integers(1, max(2, len(data) // 4)))
                fill = (b"", bytes(stretch), bytes(data[at : at + stretch]) * 2)[rng.integers(3)]
                data[at : at + stretch] = fill
        data = data or bytearray(b"\0")
    return bytes(data)


def read_apart(path: Path) -> tuple[str, float, float]:
    """What came of reading a file in another process, the processor's seconds and by how many bytes it grew."""
    before = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()
    child = os.fork()
    if not child:
        os._exit(read(path))
    end = time.monotonic() + WALL
    while time.monotonic() < end:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.005)
    else:
        os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
        return "hang", float(WALL), 0.0
    seconds, grown = used.ru_utime + used.ru_stime, max(0, used.ru_maxrss * 1024 - before)
    if os.WIFSIGNALED(status):
        return "hang" if os.WTERMSIG(status) == signal.SIGXCPU else "crash", seconds, grown
    return "memory" if grown > BYTES else OUTCOMES[os.WEXITSTATUS(status)], seconds, grown


def read(path: Path) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (16 * BYTES, 16 * BYTES))
    refused = 0
    for use in (probe, look, read_sound):
        try:
            use(path)
        except VisemixError:
            refused = 3
        except BaseException:  # noqa: BLE001 — that is what is counted
            traceback.print_exc()
            return 4
    return refused


def look(path: Path) -> None:
    if not probe(path).width:
        return
    reader = VideoReader(path)
    frames = sum(1 for _ in reader)
    for start in {1, frames // 2, frames - 1} - {0}:
        list(islice(reader.between(start, start + 2), 2))


if __name__ == "__main__":  # with av.logging.set_level PyAV waits for itself as soon as a decoder's thread complains
    main()
