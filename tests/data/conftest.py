import pytest
from tiny_videos import beeps, grey

from visemix.data import VideoWriter


@pytest.fixture
def speaking(tmp_path):
    """Twenty grey frames with a burst of sound on every fifth."""
    path = tmp_path / "speaking.mp4"
    with VideoWriter(path, sound=beeps(20)) as out:
        out.write(grey(20))
    return path
