import torch
from clip_maker import make

from visemix.data import DATA


def first_frames(batches):
    """The number of the first frame of every window: the clips' poses say it."""
    return [[int(k) for k in batch.subject.pose[:, 0, 0]] for batch in batches]


def test_sound_is_moved_by_the_clips_lag_and_brings_what_the_encoder_hears_around_it(face, tmp_path):
    make(tmp_path / "anna_000", face, frames=30, lip_sync={"follows": True, "lag": 3})
    for align, moved in ((True, 3), (False, 0)):
        built = DATA.build({"name": "clips", "root": str(tmp_path), "window": 4, "holdout": 0.4, "align": align}, face)
        built.context = (2, 1)
        built.setup("fit")
        batch = next(iter(built.train_dataloader()))
        for k, start in enumerate(first_frames([batch])[0]):
            speech = batch.speech.map(lambda t, k=k: t[k : k + 1])
            expected = built.train_spans[0].clip.speech(start, 4, around=(2, 1), lag=moved)
            for name in ("before", "wave", "after"):
                assert torch.equal(getattr(speech, name), getattr(expected, name))
