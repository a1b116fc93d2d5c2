"""The unit in which the boxes of a page are told: read in another one they land elsewhere, and models train on that."""

from collections.abc import Sequence
from dataclasses import dataclass

from preprocess.blocks import Corners
from preprocess.errors import InputError

Size = tuple[float, float]  # width and height of a page

PIXELS, PERCENT, THOUSANDTHS, SHARES = "pixels", "percent", "0..1000", "0..1"
SIDES = {SHARES: 1.0, PERCENT: 100.0, THOUSANDTHS: 1000.0}  # of a page of any size; the smallest first
UNITS = (PIXELS, *reversed(SIDES))
SLACK = 1 / 100  # of a side: so far over the edge a box may have been drawn
FEW = 10  # boxes: of fewer a single one is more than a tenth
WIDE_SLACK = 1 / 10  # where they are few, or in a unit that was declared


@dataclass(frozen=True)
class Unit:
    """What boxes are told in.

    Args:
        name: One of UNITS.
        declared: By the user; else it is the one that such files have.
        flag: What declares it.
    """

    name: str
    declared: bool = False
    flag: str = "--box_unit"

    def size(self, pixels: Size) -> Size:
        """Of a page in this unit, which is of so many pixels."""
        return pixels if self.name == PIXELS else (SIDES[self.name], SIDES[self.name])


def unit_of(declared: str, usual: str, flag: str = "--box_unit") -> Unit:
    """The unit that a flag declares; where it declares none, the usual one."""
    return Unit(declared or usual, bool(declared), flag)


def check_unit(declared: str, flag: str = "--box_unit") -> None:
    """Refuse what is no unit; empty declares none."""
    if declared and declared not in UNITS:
        raise InputError(f"{flag} {declared}: expected {', '.join(UNITS)}")


def check_boxes(boxes: Sequence[Corners], unit: Unit, pixels: Size | None, place: str) -> None:
    """Refuse the boxes of a page that are told in another unit.

    That is so where more than a tenth of them leave the page, or all lie in the unit square. Some may have been drawn
    badly: where boxes are few, it takes more than half, and farther, or a tenth that do not touch the page at all;
    where the unit was declared, more than half.

    Args:
        boxes: x0, y0, x1, y1 of each, or x1, y1, x0, y0.
        pixels: Of the page; None where they are not known, and not needed.

    Raises:
        InputError: It is; names what the boxes look like and the flag that declares it.
    """
    if not boxes:
        return
    if unit.name != SHARES and not unit.declared and all(0 <= value <= 1 for box in boxes for value in box):
        raise InputError(
            f"{place}: all boxes ({len(boxes)}) lie between 0 and 1: they look like {SHARES}, not {unit.name}; "
            f"{unit.flag} declares what they are: {SHARES} or {unit.name}"
        )
    size = unit.size((0.0, 0.0) if pixels is None else pixels)
    stray = strays(boxes, size, unit.declared)
    if stray:
        likely = looks_like(boxes, unit.name, pixels)
        declares = f"{unit.flag} {likely[0]} declares that" if likely else f"{unit.flag} declares their unit"
        told = f"they look like {' or '.join(likely)}" if likely else "they look like none of the units"
        first = [round(value, 2) for value in stray[0]]
        raise InputError(
            f"{place}: {len(stray)} of {len(boxes)} boxes lie outside the page, such as {first}, if they are "
            f"{unit.name}: {told}; {declares}"
        )


def strays(boxes: Sequence[Corners], size: Size, declared: bool) -> list[Corners]:
    """The boxes that speak against a page of this size; none where they are too few."""
    if declared or len(boxes) < FEW:
        far = [box for box in boxes if is_outside(box, size, WIDE_SLACK)]
        off = [] if declared else [box for box in boxes if is_off(box, size)]
        return far if 2 * len(far) > len(boxes) else off if 10 * len(off) > len(boxes) else []
    found = [box for box in boxes if is_outside(box, size, SLACK)]
    return found if 10 * len(found) > len(boxes) else []


def is_off(box: Corners, size: Size) -> bool:
    """Whether a box does not touch the page."""
    return any(min(box[axis::2]) > size[axis] or max(box[axis::2]) < 0 for axis in (0, 1))


def is_outside(box: Corners, size: Size, slack: float) -> bool:
    """Whether a box leaves the page by more than this part of a side."""
    sides = [(min(box[axis::2]) / size[axis], max(box[axis::2]) / size[axis]) for axis in (0, 1)]
    return any(low < -slack or high > 1 + slack for low, high in sides)


def looks_like(boxes: Sequence[Corners], other_than: str, pixels: Size | None) -> list[str]:
    """The units in which at most a tenth of the boxes leave the page: the smallest such, and pixels."""
    sizes = {name: (side, side) for name, side in SIDES.items()} | ({PIXELS: pixels} if pixels else {})
    fitting = [name for name, size in sizes.items() if name != other_than and fits(boxes, size)]
    found = fitting[:1] + [name for name in fitting[1:] if name == PIXELS]
    if not found and other_than != PIXELS and pixels is None:
        return [PIXELS]  # of an image that is larger than 1000
    return found


def fits(boxes: Sequence[Corners], size: Size) -> bool:
    return sum(is_outside(box, size, SLACK) for box in boxes) <= len(boxes) / 10
