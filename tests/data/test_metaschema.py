"""What a stranger's `meta.yaml` may not say."""

import pytest

from visemix.data.metaschema import check_meta
from visemix.types import VisemixError

META = {
    "format": 2,
    "frames": 10,
    "size": 64,
    "speaker": "anna",
    "audio": "speech",
    "face": {"name": "toy", "identity": 1, "expression": 1, "vertices": 3},
}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"crop": {"x": 0, "y": 0, "side": 10**6}}, "crop 'side'"),  # terabytes, where it is pasted back
        ({"away": [[0, 10]]}, "the face is in no frame at all"),
        ({"away": [[0, 4], [4, 10]]}, "the face is in no frame at all"),
    ],
)
def test_squares_of_any_size_and_clips_without_a_face_are_refused(said, message):
    check_meta(META, "meta.yaml")
    with pytest.raises(VisemixError, match=message):
        check_meta(META | said, "meta.yaml")
