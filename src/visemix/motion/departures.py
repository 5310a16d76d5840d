"""Where motion models depart from their papers and from the authors' code: by part and preset, an option, what stands
there, and why ours is otherwise.

Under "paper" stands what is not as the text has it, or what it leaves open; under "official" what of the authors' code
is not reproduced; under "corrected" what our default has otherwise than the paper. Options with a dot are the
experiment's. Equations, tables and sections are the papers', `file:line` the authors' code.
"""

from __future__ import annotations

Departure = tuple[str, str, str]  # option; what the paper or the code says, and where; why ours is otherwise

DEPARTURES: dict[str, dict[str, list[Departure]]] = {
    "a2ep": {
        "paper": [
            ("sigma2", "eq. 4 ends what frame i hears at min(i + σ2, T − 1)", "the last frame would hear nothing: T"),
            (
                "template",
                "eqs. 5 to 7 add the speaker's mean shape to both sides",
                "it cancels in eq. 8; none is added",
            ),
            ("unit", "eq. 8 has no unit", "decimetres, as the authors' mesh"),
            ("speakers", "IV-B: a vector for each speaker", "none until named: the names are the data's"),
            (
                "eyes",
                "IV-B: every coefficient is worn, eyes and brows too",
                "`eyes: driven` does; the default keeps the footage's",
            ),
        ],
        "official": [
            (
                "reset",
                "demo.py: chunks of 600 frames, each one's sound normalised by itself, and a frame more",
                "history is dropped as there; sound and clock are whole",
            ),
            (
                "positions",
                "pos_encoder.py:41: with several sequences each gets another vector",
                "all get the vector of frame 0, as one alone does",
            ),
            ("speakers", "a vector for each training video", "none until named: the names are the data's"),
            (
                "eyes",
                "every coefficient is worn, eyes and brows too",
                "`eyes: driven` does; the default keeps the footage's",
            ),
        ],
        "corrected": [
            (
                "random_start",
                "IV-B: positions count from the first frame",
                "trained on four seconds, it could not speak longer",
            ),
            ("context", "IV-B: attention to all of the past", "no more past than training has shown; bounded memory"),
            (
                "norm",
                "eq. 8: norms, not squared",
                "the text calls it the mean squared error, the authors' code squares",
            ),
            ("unit", "eq. 8 has no unit; the authors' mesh is in decimetres", "cm², as every model of landmarks"),
        ],
    },
    "flow_vae": {
        "paper": [
            (
                "kl_weight",
                "eq. 3 has no weights, and leaves the variance of p(l | z, a) open",
                "1 beside the mean squared error: 25.5 cm²",
            ),
            ("growth", "3.1: dilation grows with depth, exponentially; no base", "2"),
            ("rate", "nothing on how 50 rows a second become 25", "the mean of each pair"),
            ("identity", "eq. 2: the fitted shape of each frame", "that of the clip, which does not tremble"),
            (
                "sync_dim",
                "Table 4: 14 layers of a sync-expert",
                "13 convolutions a tower, as in the authors' code, and the cosine",
            ),
            ("sigma", "3.1: a Gaussian filter; no width", "1 frame"),
            ("mouth_sigma", "3.1: a Gaussian filter; no width", "1 frame"),
            ("temperature", "nothing on the spread of the noise at inference", "1"),
            ("seed", "nothing on the noise at inference", "always the same; `seed: null` draws anew"),
        ],
        "official": [
            (
                "identity",
                "fit of each frame, key points off by one (face3d_helper.py:24)",
                "that of the clip, at the right vertices",
            ),
            (
                "sync",
                "trainer.py:248: frozen nets drift into training mode, and so do their norms",
                "they stay as trained",
            ),
            ("halves", "dataset: zeros up to a multiple of 8 rows of sound", "the last row again: silence is no zero"),
            ("seed", "noise is never seeded", "always the same; `seed: null` draws anew"),
            ("sigma", "lm3d_nerf_infer.py:129: a filter across channels, off by default", "none"),
        ],
        "corrected": [
            ("growth", "3.1: dilation grows with depth", "1, as the authors' code: a latent hears 5 s without"),
            ("norm", "A.1: ReLU and layer norm around strided convolutions", "none, as the authors' code"),
            ("overlap", "A.1: a transposed convolution", "one whose latents overlap: no seam every four frames"),
            (
                "identity",
                "eq. 2: landmarks with the subject's shape",
                "shape is known; it need not be guessed from a voice",
            ),
            (
                "kl_weight",
                "eq. 3 has no weights",
                "the variance is learned (σ-VAE): an assumed one leaves the latent idle or not",
            ),
            ("continuity_weight", "eq. 3 has no such loss", "3, as the authors' code: steadier motion"),
            ("sync_weight", "eq. 3: 1", "0.01, as the authors' code"),
            ("sync_start", "eq. 3: from the first step", "once motions can be judged; kept in checkpoints"),
            (
                "temperature",
                "nothing on the spread of the noise at inference",
                "0.8: fewer motions at the edge of the prior",
            ),
            ("mouth_sigma", "3.1: a Gaussian filter", "half a frame: consonants close lips for two or three"),
        ],
    },
    "postnet": {
        "paper": [
            ("sync_weight", "eq. 5 adds D_sync, which would punish synchrony", "−log D_sync, as in eq. 3"),
            (
                "order",
                "A.3: residual convolution, ReLU, batch norm; Fig. 8 draws it",
                "norm(ReLU(conv + x)); none where the width changes",
            ),
            ("identity", "eq. 2: the fitted shape of each frame", "that of the clip, which does not tremble"),
        ],
        "official": [
            ("norm", "trainer.py:248: the frozen generator's norms drift", "base and expert stay as trained"),
            ("critic_widths", "models.py:97: frames that add up to 0 are masked", "none are: landmarks never do"),
            (
                "train.postnet.batch",
                "all of the person's frames at every step, others by length",
                "windows of both, shuffled",
            ),
            ("train.postnet.lr", "the 1e-4 of the config is overwritten by 5e-4", "as the experiment says"),
        ],
        "corrected": [
            (
                "identity",
                "eq. 2: landmarks with the subject's shape",
                "shape is known; it need not be guessed from a voice",
            ),
            ("norm", "A.3: batch norm", "of each row: a batch norm mixes both domains' statistics"),
            ("slope", "A.3: ReLU", "0.2, as the authors' code"),
            ("widths", "Table 4: 256", "128 and 256, as the authors' code"),
            ("order", "A.3: residual convolution, ReLU, norm", "the input last: a path that no activation cuts"),
            ("kernel", "Table 4: 3", "1 in the last layer, as the authors' code"),
            ("still", "nothing on the start", "starts as the identity: before it has learnt it changes nothing"),
            ("critic_widths", "Table 4: 256", "128, 256, 256, 128, as the authors' code"),
            ("adversarial_weight", "eq. 5 has no weights", "0.85, as the authors' code"),
            ("sync_weight", "eq. 5 has no weights", "0.1, as the authors' code"),
            ("mse_weight", "eq. 5 has no weights", "5: where shape is known, errors are a twentieth"),
        ],
    },
}
