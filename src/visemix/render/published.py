"""What GSmoothFace and GeneFace say of their renderers, and their authors' code: `Part.published`."""

from __future__ import annotations

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
