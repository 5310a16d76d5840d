"""What a frame of A2EP costs, against the authors' way of running it (the whole prefix anew at every frame).

python benchmarks/a2ep.py [--rounds 5]
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from _motion import nobody, read_rounds
from _report import measure, report
from torch import Tensor, nn

from visemix.face import FACE
from visemix.motion import A2EP
from visemix.nn.transformer import attend_all
from visemix.ops.sequence import causal_mask
from visemix.types import AudioFeatures

AUDIO_DIM = 768
SHORT, LONG = 250, 1500
OFFICIAL = (100, SHORT)  # frames: the second is compared, both tell how the cost grows


def main() -> None:
    rounds, face = read_rounds(__doc__), FACE.build({"name": "toy"})
    subject = nobody(face)
    torch.manual_seed(0)
    sound = AudioFeatures(torch.randn(1, LONG, AUDIO_DIM))
    models = {"all of its past": A2EP(AUDIO_DIM, face, compat="paper"), "100 frames": A2EP(AUDIO_DIM, face)}
    for model in models.values():
        nn.init.normal_(model.head.weight, std=0.02)
        model.eval()

    def speak(model: A2EP, frames: int, precision: str) -> Tensor:
        model.precision = precision  # type: ignore[assignment]
        return model(AudioFeatures(sound.values[:, :frames]), subject).values

    with torch.inference_mode():
        full = models["all of its past"]
        exact = official(full, sound.values[:, : OFFICIAL[0]])
        cached, rough = (speak(full, OFFICIAL[0], precision) for precision in ("float32", "bfloat16"))
        agreement = {
            "cached less official, largest": (cached - exact).abs().max().item(),
            "bfloat16 less float32, mean over spread": ((rough - cached).abs().mean() / cached.std()).item(),
        }
        variants: dict[str, Callable[[], object]] = {
            f"official, {t} frames": lambda t=t: official(full, sound.values[:, :t]) for t in OFFICIAL
        }
        for context, model in models.items():
            for precision in ("float32", "bfloat16"):
                for frames in (SHORT, LONG):
                    variants[f"{precision}, {frames} frames, sees {context}"] = lambda m=model, f=frames, p=precision: (
                        speak(m, f, p)
                    )
        samples = measure(variants, rounds=rounds, warmup=1)

    rows = []
    peer = samples[f"official, {SHORT} frames"]
    for name, sample in samples.items():
        frames = int(name.split(" frames")[0].split()[-1])
        row = {"form": name, **sample.row(), "ms/frame": 1e3 * sample.median / frames}
        if frames == LONG:
            short = samples[name.replace(f"{LONG} frames", f"{SHORT} frames")]
            row[f"frame over frame at {SHORT}"] = sample.over(short) * SHORT / LONG
        if frames == SHORT:
            row["official over it"] = peer.over(sample)
        rows.append(row)
    growth = math.log(peer.over(samples[f"official, {OFFICIAL[0]} frames"])) / math.log(SHORT / OFFICIAL[0])
    guess = 1e3 * peer.median * (LONG / SHORT) ** growth / LONG
    rows.append({"form": f"official, {LONG} frames, extrapolated (cost ~ T^{growth:.2f})", "ms/frame": guess})
    report("a2ep", rows, seed=0, dim=1024, batch=1, rounds=rounds, expressions=face.expression.shape[-1], **agreement)


def official(model: A2EP, audio: Tensor) -> Tensor:
    """Every frame runs the decoder over all frames so far and keeps the last row, without a cache."""
    style = torch.zeros(1, model.dim)
    memory = model.audio_map(audio)
    frames = memory.shape[1]
    entries = model._entries(style, 0, frames)
    spoken = torch.zeros(1, 0, model.head.out_features)
    near = torch.eye(frames, dtype=torch.bool)
    (layer,) = model.decoder.layers
    cross = layer.multihead_attn
    for i in range(frames):
        before = nn.functional.pad(spoken, (0, 0, 1, 0))
        x = entries[:, : i + 1] + nn.functional.linear(before, model.expression_map.weight)
        _, keys, values = cross.split(cross.project(memory), 3)

        def listen(rows: Tensor, i: int = i, keys: Tensor = keys, values: Tensor = values) -> Tensor:
            (queries,) = cross.split(cross.project(rows, 0, 1), 1)
            attended = nn.functional.scaled_dot_product_attention(queries, keys, values, near[: i + 1])
            return cross.merge(attended)

        x = layer(x, attend_all(causal_mask(i + 1, None)), listen)
        spoken = torch.cat([spoken, model.head(x[:, -1:])], 1)
    return spoken


if __name__ == "__main__":
    main()
