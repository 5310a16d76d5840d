"""Actions of a face (jaw, lips, lids …), and the expressions by which each face model does them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from visemix.face import FaceModel
from visemix.face.layout import LOWER_LIP, UPPER_LIP
from visemix.types import VisemixError

Layout = dict[str, dict[str, float]]
# For each layout of names the expressions of every action, at 1. An end of "_*" stands for both sides.
TOY: Layout = {
    "jaw": {"jaw_drop": 0.62},
    "close": {"lips_close": 1.0},
    "press": {"lips_press": 0.7},
    "pucker": {"pucker": 1.0},
    "funnel": {"funnel": 0.8},
    "smile": {"smile_*": 0.8},
    "spread": {"stretch_*": 0.7},
    "upper": {"upper_lip_raise": 0.7},
    "lower": {"lower_lip_down": 0.7},
    "bite": {"lower_lip_in": 0.75},
    "puff": {"cheek_puff": 1.0},
    "brow": {"brow_*": 0.8},
    "blink": {"blink_*": 1.0},
}
ARKIT: Layout = {
    "jaw": {"jawOpen": 0.5},
    "close": {"mouthClose": 1.0},
    "press": {"mouthPress_*": 0.7},
    "pucker": {"mouthPucker": 1.0},
    "funnel": {"mouthFunnel": 0.8},
    "smile": {"mouthSmile_*": 0.8},
    "spread": {"mouthStretch_*": 0.7},
    "upper": {"mouthUpperUp_*": 0.6},
    "lower": {"mouthLowerDown_*": 0.7},
    "bite": {"mouthRollLower": 0.25},
    "puff": {"cheekPuff_*": 0.5},
    "brow": {"browInnerUp_*": 0.6, "browOuterUp_*": 0.6},
    "blink": {"eyeBlink_*": 1.0},
}
TONGUE = {"tongueOut": 0.35}  # by the faces that can
SIDES = {"_left": 0, "_right": 1, "_L": 0, "_R": 1}


class Rig:
    """How a face model does each action: weights of its expressions, left and right.

    Raises:
        VisemixError: the model has no layout of expressions that is known here.
    """

    def __init__(self, face: FaceModel) -> None:
        self.width = face.expression.shape[-1]
        self.moves: dict[str, Float[np.ndarray, "2 E"]] = {}
        for action, weights in rig_layout(face).items():
            move = np.zeros((2, self.width))
            for pattern, weight in weights.items():
                for column, name in enumerate(face.expression_names):
                    side = next((s for s in SIDES if pattern == f"{name.removesuffix(s)}_*" and name.endswith(s)), None)
                    if side:
                        move[SIDES[side], column] = weight
                    elif name == pattern:
                        move[:, column] = weight
            self.moves[action] = move
        points = face.expression[face.landmark_ids, 1].double().numpy()
        apart = points[list(UPPER_LIP)] - points[list(LOWER_LIP)]
        self.parting = apart.mean(0)  # (E,) decimetres by which each parts the lips
        self.low, self.high = face.expression_range.double().numpy().T

    def perform(self, curves: dict[str, Float[np.ndarray, " T"]], balance: float = 0.0) -> Float[np.ndarray, "T E"]:
        """Expression coefficients (T, E) for curves of actions; a positive balance does more on the left than on the
        right."""
        expression = np.zeros((len(next(iter(curves.values()))), self.width))
        sides = np.array([1 + balance, 1 - balance])
        for action, curve in curves.items():
            if action in self.moves:
                left, right = self.moves[action]
                both = np.where((left > 0) & (right > 0), left, left * sides[0] + right * sides[1])
                expression += curve[:, None] * both
        return expression

    def seal(self, expression: Float[np.ndarray, "T E"], share: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T E"]:
        """The expression with that share of the gap between the lips closed, by as much of the closing expression as
        this face needs."""
        move = self.moves["close"].mean(0)
        needed = (expression @ self.parting).clip(min=0) / -(move @ self.parting)
        return np.clip(expression + (share * needed)[:, None] * move, self.low, self.high)


def rig_layout(face: FaceModel) -> Layout:
    """Action → weights of this face's expressions, named as the toy face's or ARKit's (ICT-FaceKit).

    Raises:
        VisemixError: its expressions are neither.
    """
    names = {name for full in face.expression_names for name in (full, *_sideless(full))}
    lacking = {}
    for title, layout in (("the toy face", TOY), ("ARKit", ARKIT)):
        missing = sorted({name for weights in layout.values() for name in weights} - names)
        if not missing:
            return layout | ({"tongue": TONGUE} if "tongueOut" in names else {})
        lacking[title] = missing[0]
    told = " and ".join(f"no expression '{name}' of {title}" for title, name in lacking.items())
    raise VisemixError(f"face '{face.name}' cannot act: it has {told}; use the toy face or ict")


def _sideless(name: str) -> list[str]:
    return [f"{name.removesuffix(side)}_*" for side in SIDES if name.endswith(side)]
