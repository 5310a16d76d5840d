"""Configs of registered parts that keep tests fast: what a part cannot do without, and small sizes."""

TINY = {"weights": "random", "dim": 16, "layers": 1, "heads": 2, "conv_dim": 8}
OPTIONS = {
    "wav2vec2": TINY,
    "hubert": TINY,
    "ctc": TINY,
    "ssl": TINY,
    "concat": {"parts": {"wav2vec2": {"trainable": False} | TINY, "spectrum": {}}},
    "cached": {"base": {"name": "wav2vec2", "trainable": False} | TINY},
    "a2ep": {"dim": 16, "heads": 2, "feedforward": 16},
    "smooth": {"base": {"name": "gru"}},
    "flow_vae": {"channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync_dim": 16, "sync_windows": 16},
    "closure": {"base": {"name": "gru"}},
    "calibrated": {"base": {"name": "gru"}},
    "postnet": {"base": {"name": "gru"}, "sync_dim": 16, "sync_windows": 16},
    "taft": {"base": 4, "max_channels": 8, "levels": 2},
    "gaussians": {"count": 60, "components": 2},
    "landmark_nerf": {"samples": 2, "cells": 8, "steps": 8, "levels": [4], "width": 8, "torso_levels": [4], "rays": 32},
}


def config(name):
    return {"name": name} | OPTIONS.get(name, {})
