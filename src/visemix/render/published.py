"""What GSmoothFace and GeneFace say of their renderers, and what their authors' code does: `Part.published`."""

from __future__ import annotations

from typing import Any

from visemix.parts import Published

_LARGER = "the generator paints, and is scored, where the face is"

TAFT = (
    Published("blend", True, "IV-C, eq. 9"),
    Published("hole", "closing", "IV-C", "a closing fills what the lips enclose only at some sizes; the mesh knows it"),
    Published("union", False, "IV-C", "a chin that rises would show the footage's beside it"),
    Published("morphology", "random", "IV-C"),
    Published("", "of masks at test nothing is said", "IV-C", "in use all presets take the authors' fixed dilation"),
    Published("soft_edge", 0.0, "IV-C", "a hard edge leaves a line at the hairline"),
    Published("keep_eyes", False, "Fig. 3", "where eyes are not driven, the footage's are better than painted ones"),
    Published("composite", False, "IV-C", _LARGER),
    Published("residual", False, "Fig. 4", "training starts near the blend instead of at grey"),
    Published("reference", "given", "IV-C"),
    Published("base", 64, "Fig. 4"),
    Published("max_channels", 256, "Fig. 4"),
    Published("levels", 3, "Fig. 4"),
    Published("photometric_weight", 1.0, "Training Details"),
    Published("perceptual_weight", 4.0, "Training Details"),
    Published("style_weight", 1000.0, "Training Details"),
    Published("vgg", ..., "IV-C, eq. 11", "nobody ships VGG-19's weights; without them two of three losses are off"),
    Published("mouth_weight", 0.0, "IV-C", "the mouth is a few hundredths of the picture"),
    Published("structure_weight", 0.0, "IV-C"),
    Published("critic_weight", 0.0, "IV-C"),
    Published("eyes", "driven", "IV-B", "eyes and brows that nothing drives are the footage's"),
    Published("train.render.optimiser", "adam", "Training Details"),
    Published("train.render.lr", 1e-4, "Training Details"),
    Published("train.render.betas", (0.9, 0.999), "Training Details", "the authors' code has 0.5"),
    Published("train.render.ema", None, "Training Details", "the authors' code keeps a running mean of the weights"),
    Published("train.render.clip_norm", None, "Training Details"),
    Published("", "training takes 15 epochs", "Training Details", "here it is counted in steps"),
    Published("hole", "closing", "data/HDTF_dataset.py", code=True),
    Published("union", False, "data/HDTF_dataset.py", code=True),
    Published("morphology", "fixed", "data/HDTF_dataset.py", code=True),
    Published("soft_edge", 0.5, "data/HDTF_dataset.py", code=True),
    Published("overflow", "wrap", "visualizer/render_utils.py", code=True),
    Published("keep_eyes", False, "data/HDTF_dataset.py", code=True),
    Published("composite", False, "generators/face_model.py", code=True),
    Published("residual", False, "generators/face_model.py", code=True),
    Published("mouth_weight", 0.0, "trainers/face_to_face_trainer.py", code=True),
    Published("vgg", ..., "loss/perceptual.py", "nobody ships VGG-19's weights", code=True),
    Published("train.render.lr", 1e-4, "config/face_to_face_HDTF.yaml", code=True),
    Published("train.render.betas", (0.5, 0.999), "config/face_to_face_HDTF.yaml", code=True),
    Published("train.render.batch", 10, "config/face_to_face_HDTF.yaml", code=True),
    Published("train.render.ema", 0.99778, "trainers/face_to_face_trainer.py", code=True),
    Published(
        "",
        "a frame may be its own reference",
        "data/HDTF_dataset.py",
        "that teaches to copy, and is left out",
        code=True,
    ),
    Published("", "what is painted is stored as JPEG", "demo.py", "here in the video that is asked for", code=True),
)

# The paper's equation 10 is one loss, the squared error.
ALONE = {"mask_weight": 0.0, "surface_weight": 0.0, "entropy_weight": 0.0, "ambient_weight": 0.0}
NERF_PRESETS: dict[str, dict[str, Any]] = {
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

_THIN = "one that starts at 0 everywhere never learns: all of space starts with the same thin fog"
_ORDER = "both learn at once, unless learn=head, and then learn=torso, is asked for"
_MOMENTS = "here by the running moments of training frames alone, and 0.01 cm more: what stands still is noise"
_MEAN = "here the mean of rays and channels: a rate holds for any number of them, and Adam sees no difference"

LANDMARK_NERF = (
    Published("field", "vanilla", "appendix D", "a grid learns in minutes"),
    Published("window", 3, "3.3"),
    Published("convolutions", False, "Table 4", "of one frame, most of their taps would look at nothing"),
    Published("attention_from", 0, "3.3"),
    Published("colour_widths", (128, 128), "Table 4", "the authors' code has 16 and 32"),
    Published("released", False, "3.3"),
    Published("mask_weight", 0.0, "eq. 10", "labels keep head and torso apart"),
    Published("surface_weight", 0.0, "eq. 10", "a frontal video says little about depth"),
    Published("entropy_weight", 0.0, "eq. 10", "against fog"),
    Published("ambient_weight", 0.0, "eq. 10", "motion belongs to the face"),
    Published("head_aware", True, "3.3, eq. 9"),
    Published("condition", "landmarks", "3.3"),
    Published("vanilla_width", 256, "Table 4"),
    Published("", "how a density starts no equation says", "3.3", _THIN),
    Published("", "the density is a ReLU", "appendix D", "here a softplus: a ReLU's torso is soon lost for good"),
    Published("", "first the head is trained, then a torso for it, 400 000 steps each", "4.1", _ORDER),
    Published("", "landmarks are normalised point by point", "3.3", _MOMENTS),
    Published("", "the loss is summed over rays", "eq. 10", _MEAN),
    Published("", "three frames of landmarks lie side by side", "3.3", "here each is encoded, then weighed"),
    Published("", "the torso is told the head's pose as a matrix", "eq. 9", "here as angles and translation"),
    Published("field", "vanilla", "modules/nerfs", code=True),
    Published("window", 5, "lm3d_nerf.yaml", code=True),
    Published("convolutions", True, "cond_encoder.py", code=True),
    Published("attention_from", 200_000, "lm3d_nerf.yaml", code=True),
    Published("colour_widths", (16, 32), "adnerf_torso.py", code=True),
    Published("released", True, "volume_rendering.py", code=True),
    Published("mask_weight", 0.0, "adnerf.py", code=True),
    Published("surface_weight", 0.0, "adnerf.py", code=True),
    Published("entropy_weight", 0.0, "adnerf.py", code=True),
    Published("ambient_weight", 0.0, "adnerf.py", code=True),
    Published("", "a density starts by chance, and a training may have to be begun again", "docs", _THIN, code=True),
    Published("", "first the head is trained, then a torso for it", "docs", _ORDER, code=True),
    Published("", "landmarks are normalised by all frames", "binarizer.py", _MOMENTS, code=True),
    Published("", "the loss is summed over rays", "adnerf.py", _MEAN, code=True),
    Published(
        "",
        "samples are drawn at random in use, too",
        "volume_rendering.py",
        "here never",
        code=True,
    ),
    Published("", "second samples lie between the first", "volume_rendering.py", "here in equal parts", code=True),
    Published("", "rays reach from 0.3 to 0.9 m", "base.yaml", "here through a box around the head", code=True),
    Published(
        "",
        "1 600 rays, 95 % of them in the face's box",
        "base.yaml",
        "here one sample for both",
        code=True,
    ),
    Published("", "a ray goes through its pixel's corner", "ray_samplers.py", "here through its centre", code=True),
    Published("", "the torso hears DeepSpeech", "adnerf_torso.py", "here it sees landmarks, as in eq. 9", code=True),
    Published("", "the torso's camera is the first frame's", "lm3d_nerf_torso.py", "here the mean pose's", code=True),
    Published("", "beyond a clip's ends landmarks are 0 in training", "binarizer.py", "here they rest", code=True),
    Published("", "attention learns at five times the rate", "base.yaml", "here at the rate of all", code=True),
    Published("", "landmarks are cut at 2 to 3 deviations", "lm3d_nerf_infer.py", "here at what was shown", code=True),
)
