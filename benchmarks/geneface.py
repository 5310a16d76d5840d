"""What GeneFace's motion costs beside the sound it is made for, and what it needs of memory.

python benchmarks/geneface.py [--rounds 5]
"""

from __future__ import annotations

import resource
from collections.abc import Iterator

import torch
from _motion import nobody, read_rounds
from _report import measure, report
from torch import nn

from visemix.face import FACE
from visemix.motion import MOTION, stream
from visemix.types import FPS, AudioFeatures

AUDIO_DIM = 1024
SECONDS = 20
LONG = 600  # seconds of sound in the memory test
PIECE = 500  # frames that the encoder gives at a time
MODELS = {
    "flow_vae, corrected": {"name": "flow_vae", "sync": False},
    "flow_vae, official": {"name": "flow_vae", "compat": "official", "sync": False},
    "flow_vae with post-net": {"name": "postnet", "base": {"name": "flow_vae", "sync": False}, "sync_weight": 0.0},
}


def main() -> None:
    rounds, face = read_rounds(__doc__), FACE.build({"name": "toy"})
    subject = nobody(face)
    torch.manual_seed(0)
    sound = AudioFeatures(torch.randn(1, SECONDS * FPS, AUDIO_DIM))
    models = {name: MOTION.build(config, AUDIO_DIM, face).eval() for name, config in MODELS.items()}
    for model in models.values():
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.05)

    def pieces(seconds: int) -> Iterator[AudioFeatures]:
        for _ in range(seconds * FPS // PIECE):
            yield AudioFeatures(torch.randn(1, PIECE, AUDIO_DIM))

    agreement = {}
    with torch.inference_mode():
        for name, model in models.items():
            whole = model(sound, subject).values
            parts = stream(model, [AudioFeatures(v) for v in sound.values.split(37, 1)], subject)
            streamed = torch.cat([piece.values for piece in parts], 1)
            agreement[f"{name}: streamed less one pass, largest"] = (streamed - whole).abs().max().item()
        samples = measure({name: lambda m=m: m(sound, subject) for name, m in models.items()}, rounds=rounds)
        for _ in stream(models["flow_vae with post-net"], pieces(60), subject):
            pass
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        frames = sum(m.values.shape[1] for m in stream(models["flow_vae with post-net"], pieces(LONG), subject))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = [
        {"model": name, **s.row(), "× real time": SECONDS / s.median, "× real time (processor)": SECONDS / min(s.cpu)}
        for name, s in samples.items()
    ]
    memory = {"peak MiB after 60 s": before / 1024, f"peak MiB after {LONG} s more": after / 1024, "frames": frames}
    report("geneface", rows, seed=0, seconds=SECONDS, audio_dim=AUDIO_DIM, rounds=rounds, **memory, **agreement)


if __name__ == "__main__":
    main()
