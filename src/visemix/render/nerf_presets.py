"""What each preset of the landmark NeRF decides, and where it departs from its source all the same."""

from __future__ import annotations

from typing import Any

# The paper's equation 10 is one loss, the squared error.
ALONE = {"mask_weight": 0.0, "surface_weight": 0.0, "entropy_weight": 0.0, "ambient_weight": 0.0}
PRESETS: dict[str, dict[str, Any]] = {
    "corrected": {
        "field": "grid", "window": 3, "convolutions": False, "attention_from": 0, "colour_widths": (16, 32),
        "released": False, "mask_weight": 0.1, "surface_weight": 0.1, "entropy_weight": 1e-4, "ambient_weight": 1e-2,
    },
    "paper": ALONE | {
        "field": "vanilla", "window": 3, "convolutions": False, "attention_from": 0, "colour_widths": (128, 128),
        "released": False,
    },
    "official": ALONE | {
        "field": "vanilla", "window": 5, "convolutions": True, "attention_from": 200_000, "colour_widths": (16, 32),
        "released": True,
    },
}  # fmt: skip

_BOTH = (
    (
        "field",
        "a density starts by chance (no equation says how; the authors' docs/train_models advise to start again)",
        "one that starts at 0 everywhere never learns: all of space starts with the same thin fog",
    ),
    (
        "learn",
        "first the head is trained, then a torso for it (section 3.3; 400 000 steps each)",
        "both learn at once, so that one training makes a person; learn=head and then learn=torso is the paper's order",
    ),
    (
        "condition",
        "landmarks are normalised point by point (section 3.3; binarizer.py:107-111: by all frames, no ε)",
        "by the running moments of training frames alone, and 0.01 cm more: what stands still is noise",
    ),
    (
        "rays",
        "the loss is summed over rays (equation 10)",
        "the mean of rays and channels: a rate of learning holds for any number of them, and Adam sees no difference",
    ),
)
Departure = tuple[str, str, str]  # the option that has to do with it, what the source says and where, why we depart
DEPARTURES: dict[str, tuple[Departure, ...]] = {
    "paper": (
        *_BOTH,
        (
            "field",
            "the NeRF is vanilla (appendix D), whose density is a ReLU",
            "a softplus: a ReLU's torso is pushed out of the picture in the first hundred steps and never comes back",
        ),
        (
            "window",
            "the condition is the landmarks of three frames side by side, l ∈ R^{3×204} (section 3.3)",
            "each is encoded by itself and the three are weighed by the authors' attention, which forgives jitter",
        ),
        (
            "head_aware",
            "the torso is told the head's pose as a matrix, Π ∈ R^{3×4} (equation 9)",
            "three angles and a translation, as waves, which is what the authors' code does",
        ),
    ),
    "official": (
        *_BOTH,
        (
            "samples",
            "samples along a ray are drawn at random in use, too (volume_rendering.py:105,155,180)",
            "no frame could be made twice, and videos flicker",
        ),
        (
            "fine",
            "the second samples are drawn between the middles of the first (volume_rendering.py:147-188)",
            "from equal parts of the ray, as for the grid",
        ),
        (
            "field",
            "rays reach from 0.3 m to 0.9 m (egs_bases/nerf/base.yaml:57-58)",
            "from where they enter a box around the head to where they leave it: cameras stand anywhere",
        ),
        (
            "rays",
            "1 600 a picture, 95 % of them in the face's box or the picture's lower half (base.yaml:46,59)",
            "one sample teaches head and torso, most of it on the head and a fifth around the mouth",
        ),
        (
            "rays",
            "a pixel's ray goes through its corner (ray_samplers.py:38-43)",
            "through its centre, as everywhere in this library",
        ),
        (
            "head_aware",
            "the torso hears DeepSpeech's features (adnerf_torso.py:38-41)",
            "it sees the landmarks, as in equation 9; DeepSpeech needs TensorFlow",
        ),
        (
            "head_aware",
            "the torso is seen from the first frame's camera (lm3d_nerf_torso.py:170-174)",
            "from that of the mean pose, which no single frame spoils",
        ),
        (
            "window",
            "beyond a clip's ends the landmarks are 0 in training (binarizer.py:145-146,169-170)",
            "the first and last frames stand still, in training as in use",
        ),
        (
            "attention_from",
            "the attention learns at five times the rate (egs_bases/nerf/base.yaml:35-41)",
            "at the rate of all",
        ),
        (
            "steady",
            "landmarks in use are cut at 2 to 3 standard deviations (lm3d_nerf_infer.py:60-130)",
            "at the range that training has shown",
        ),
    ),
}
