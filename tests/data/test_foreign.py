from dataclasses import replace

import pytest
import torch
from conftest import make_clip

from visemix.data import write_example
from visemix.types import VisemixError


def test_an_example_is_written_as_a_clip_that_reads_back(tmp_path, face):
    clip = make_clip(face, batch=1)
    folder = write_example(tmp_path / "ann", clip, face)
    torch.testing.assert_close(folder.subject(range(10)).expression, clip.subject.expression)


def test_coefficients_of_another_face_model_are_refused(tmp_path, face):
    clip = make_clip(face, batch=1)
    other = replace(clip, subject=replace(clip.subject, identity=torch.zeros(1, 5)))
    with pytest.raises(VisemixError, match=r"speaker0 has 5 identity coefficients, face model 'toy' has 16"):
        write_example(tmp_path / "ann", other, face)


def test_a_head_behind_the_camera_is_refused(tmp_path, face):
    clip = make_clip(face, batch=1)
    pose = clip.subject.pose.clone()
    pose[..., 5] = 10
    behind = replace(clip, subject=replace(clip.subject, pose=pose))
    with pytest.raises(VisemixError, match=r"moved to z = 10 dm, behind the camera"):
        write_example(tmp_path / "ann", behind, face)


def test_one_that_is_there_is_kept_and_how_it_is_replaced_is_said_for_python_too(tmp_path, face):
    clip = make_clip(face, batch=1)
    write_example(tmp_path / "ann", clip, face)
    with pytest.raises(VisemixError, match=r"ann exists and is kept; .* --overwrite \(overwrite=True from Python\)"):
        write_example(tmp_path / "ann", clip, face)
    write_example(tmp_path / "ann", clip, face, overwrite=True)
