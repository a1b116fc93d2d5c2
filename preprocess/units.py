"""Units of page boxes, and a check against boxes in the wrong unit, which would be placed wrongly in training."""

from collections.abc import Sequence
from dataclasses import dataclass

from preprocess.blocks import Corners
from preprocess.errors import InputError

Size = tuple[float, float]  # width and height of a page

PIXELS, PERCENT, THOUSANDTHS, SHARES = "pixels", "percent", "0..1000", "0..1"
SIDES = {SHARES: 1.0, PERCENT: 100.0, THOUSANDTHS: 1000.0}  # length of a page's sides in each unit, ascending
UNITS = (PIXELS, *reversed(SIDES))
SLACK = 1 / 100  # of a side: tolerance for boxes beyond the edge
FEW = 10  # boxes: with fewer, a single one is more than a tenth
WIDE_SLACK = 1 / 10  # tolerance if boxes are few, or their unit was declared


@dataclass(frozen=True)
class Unit:
    """The unit of boxes.

    Args:
        name: One of UNITS.
        declared: Whether the user declared it; otherwise it is the default of the format.
        flag: The flag that declares it.
    """

    name: str
    declared: bool = False
    flag: str = "--box_unit"

    def size(self, pixels: Size) -> Size:
        """The size of a page in this unit, given its size in pixels."""
        return pixels if self.name == PIXELS else (SIDES[self.name], SIDES[self.name])


def unit_of(declared: str, usual: str, flag: str = "--box_unit") -> Unit:
    """The unit that a flag declares, or the usual one if it is unset."""
    return Unit(declared or usual, bool(declared), flag)


def check_unit(declared: str, flag: str = "--box_unit") -> None:
    """Raises InputError unless `declared` is a unit or empty."""
    if declared and declared not in UNITS:
        raise InputError(f"{flag} {declared}: expected {', '.join(UNITS)}")


def check_boxes(boxes: Sequence[Corners], unit: Unit, pixels: Size | None, place: str) -> None:
    """Check that the boxes of a page are in the given unit.

    They are not if all are in the unit square, or if more than a tenth extend beyond the page. Because single boxes may
    be drawn badly, few boxes must extend farther beyond it, and more than half of them, or more than a tenth must be
    entirely outside. If the unit was declared, more than half must extend farther beyond it.

    Args:
        boxes: x0, y0, x1, y1 of each box, with corners in any order.
        pixels: Size of the page; None if it is unknown and not needed.

    Raises:
        InputError: The unit is wrong; the message names the likely unit and the flag that declares it.
    """
    if not boxes:
        return
    if unit.name != SHARES and not unit.declared and all(0 <= value <= 1 for box in boxes for value in box):
        raise InputError(
            f"{place}: all boxes ({len(boxes)}) are between 0 and 1: they look like {SHARES}, not {unit.name}; "
            f"declare their unit with {unit.flag} {SHARES} or {unit.flag} {unit.name}"
        )
    size = unit.size((0.0, 0.0) if pixels is None else pixels)
    stray = strays(boxes, size, unit.declared)
    if stray:
        likely = looks_like(boxes, unit.name, pixels)
        advice = f"declare that with {unit.flag} {likely[0]}" if likely else f"declare their unit with {unit.flag}"
        guess = f"they look like {' or '.join(likely)}" if likely else "they fit no other unit"
        first = [round(value, 2) for value in stray[0]]
        raise InputError(
            f"{place}: {len(stray)} of {len(boxes)} boxes are outside the page, such as {first}, in {unit.name}: "
            f"{guess}; {advice}"
        )


def strays(boxes: Sequence[Corners], size: Size, declared: bool) -> list[Corners]:
    """The boxes that contradict a page of this size; empty if they are too few to decide."""
    if declared or len(boxes) < FEW:
        far = [box for box in boxes if is_outside(box, size, WIDE_SLACK)]
        off = [] if declared else [box for box in boxes if is_off(box, size)]
        return far if 2 * len(far) > len(boxes) else off if 10 * len(off) > len(boxes) else []
    outside = [box for box in boxes if is_outside(box, size, SLACK)]
    return outside if 10 * len(outside) > len(boxes) else []


def is_off(box: Corners, size: Size) -> bool:
    """Whether a box is entirely outside the page."""
    return any(min(box[axis::2]) > size[axis] or max(box[axis::2]) < 0 for axis in (0, 1))


def is_outside(box: Corners, size: Size, slack: float) -> bool:
    """Whether a box extends beyond the page by more than `slack` of a side."""
    sides = [(min(box[axis::2]) / size[axis], max(box[axis::2]) / size[axis]) for axis in (0, 1)]
    return any(low < -slack or high > 1 + slack for low, high in sides)


def looks_like(boxes: Sequence[Corners], other_than: str, pixels: Size | None) -> list[str]:
    """The smallest unit in which at most a tenth of the boxes extend beyond the page, and pixels if they fit too."""
    sizes = {name: (side, side) for name, side in SIDES.items()} | ({PIXELS: pixels} if pixels else {})
    fitting = [name for name, size in sizes.items() if name != other_than and fits(boxes, size)]
    likely = fitting[:1] + [name for name in fitting[1:] if name == PIXELS]
    if not likely and other_than != PIXELS and pixels is None:
        return [PIXELS]  # of an image that is larger than 1000
    return likely


def fits(boxes: Sequence[Corners], size: Size) -> bool:
    """Whether at most a tenth of the boxes extend beyond a page of this size."""
    return sum(is_outside(box, size, SLACK) for box in boxes) <= len(boxes) / 10
