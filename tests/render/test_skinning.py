import torch

from visemix.ops.camera import similarity_transform
from visemix.ops.rotation import pose_points
from visemix.render.skinning import blend_skinning, undo_torso_motion

POSE, REST = torch.tensor([0.1, -0.2, 0.05, 0.1, 0.2, -1.0]), torch.tensor([0.0, 0.1, 0.0, 0.0, 0.1, -1.2])
TORSO = torch.tensor([0.05, 0.1, 0.02, -0.03])


def moved(share, pose=POSE, torso=TORSO):
    g = torch.Generator().manual_seed(0)
    places, local = torch.randn(3, 5, generator=g), torch.randn(3, 3, 5, generator=g)
    return places, local, *blend_skinning(places, local, torch.full((5,), share), 3, pose, REST, torso)


def test_hair_goes_with_the_head_and_cloth_with_the_torso():
    places, local, head, turned = moved(1.0)
    torch.testing.assert_close(head[:, :3].mT, pose_points(places[:, :3].mT, POSE))
    torch.testing.assert_close(
        turned[:, :, 0].mT, pose_points(local[:, :, 0].mT, POSE * torch.tensor([1, 1, 1, 0, 0, 0]))
    )
    places, local, torso, turned = moved(0.0)
    bend, slid = similarity_transform(TORSO)
    torch.testing.assert_close(torso[:, 3:], bend @ places[:, 3:] + slid)
    torch.testing.assert_close(turned[:, :, 4], bend @ local[:, :, 4])


def test_what_hangs_between_them_is_between_them():
    ends = [moved(share)[2] for share in (0.0, 1.0)]
    torch.testing.assert_close(moved(0.25)[2], 0.75 * ends[0] + 0.25 * ends[1])


def test_at_rest_it_is_all_the_same_what_anything_goes_with():
    for share in (0.0, 0.5, 1.0):
        torch.testing.assert_close(moved(share, REST, torch.zeros(4))[2], moved(0.2, REST, torch.zeros(4))[2])


def test_places_of_a_moved_torso_come_back_to_rest():
    places = moved(0.0)[0]
    bend, slid = similarity_transform(TORSO)
    torch.testing.assert_close(undo_torso_motion(bend @ places + slid, TORSO), places)
