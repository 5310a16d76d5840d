import numpy as np

from visemix.face.topology import boundary_loops, close_holes, close_loop


def grid(rows=6, columns=8, without=()):
    """A sheet of squares, each two triangles counter-clockwise, some squares left out."""
    triangles = []
    for r in range(rows):
        for c in range(columns):
            if (r, c) not in without:
                a, b = r * (columns + 1) + c, (r + 1) * (columns + 1) + c
                triangles += [(a, b, b + 1), (a, b + 1, a + 1)]
    y, x = np.mgrid[0 : rows + 1, 0 : columns + 1]
    points = np.stack([x.ravel(), -y.ravel(), 0 * x.ravel()], -1).astype(float)
    return np.array(triangles), points


def area(triangles, points):
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)[:, 2] / 2


def test_a_sheet_has_its_outline_as_the_only_loop():
    triangles, points = grid()
    (loop,) = boundary_loops(triangles)
    assert len(loop) == 2 * (6 + 8)
    assert len(close_holes(triangles, points)) == 0


def test_a_slit_shaped_hole_is_found_and_closed_to_the_last_bit():
    triangles, points = grid(without=[(2, 2), (2, 3), (2, 4), (2, 5)])
    outline, hole = boundary_loops(triangles)
    assert (len(outline), len(hole)) == (28, 10)
    closing = close_loop(hole, points)
    assert len(closing) == 8
    assert (area(triangles, points) > 0).all()
    assert (area(closing, points) > -1e-12).all()
    assert abs(area(closing, points).sum() - 4) < 1e-12
    (left,) = boundary_loops(np.concatenate([triangles, closing]))
    assert sorted(left) == sorted(outline)


def test_two_holes_that_touch_in_a_point_are_two():
    triangles, points = grid(without=[(2, 2), (3, 3)])
    assert [len(loop) for loop in boundary_loops(triangles)] == [28, 4, 4]
    closing = close_holes(triangles, points)
    assert abs(area(closing, points).sum() - 2) < 1e-12


def test_an_almond_is_closed_without_overlap():
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = np.stack([np.cos(t), 0.3 * np.sin(t) * np.abs(np.sin(t)), 0 * t], -1)
    loop = np.arange(40)[::-1]  # the direction of the triangles around it
    closing = close_loop(loop, points)
    x, y = points[:, 0], points[:, 1]
    exact = 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))
    assert len(closing) == 38
    assert abs(np.abs(area(closing, points)).sum() - exact) < 1e-9
    assert (area(closing, points) > -1e-12).all()


def test_the_toy_head_has_an_outline_a_mouth_and_two_eyes(face):
    loops = boundary_loops(face.triangles[face.skin].numpy())
    assert len(loops) == 4
    assert len(boundary_loops(face.closed_skin.numpy())) == 1
