"""Boxes of exports: rotated, of other shapes, in another unit."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from preprocess.errors import InputError
from preprocess.units import Unit
from tests.finetune.annotations.exports import REGION, annotation, plain, results, sized, task


@pytest.mark.parametrize(
    ("size", "box", "rotation", "expected"),
    [
        ((1000, 1000), [80, 20, 30, 4], 90, [760, 200, 800, 500]),
        ((1000, 500), [20, 20, 30, 20], 90, [100, 200, 200, 800]),  # 300 x 100 pixels at (200, 100)
        ((1000, 500), [20, 60, 30, 20], 270, [200, 0, 300, 600]),
        ((1000, 500), [20, 60, 30, 20], -90, [200, 0, 300, 600]),
        ((1000, 500), [60, 60, 30, 20], 180, [300, 400, 600, 600]),
        ((1000, 500), [20, 20, 30, 20], 360, [200, 200, 500, 400]),
        ((600, 800), [50, 50, 20, 10], 45, [406, 500, 641, 677]),
        ((600, 800), [50, 50, 20, 10], 30.5, [432, 500, 672, 662]),
    ],
)
def test_rotated_rectangles(size, box, rotation, expected, read):
    """Rotated clockwise about the top left corner, in pixels; then the bounding box. The oracle rotates the corners."""
    made = sized(results("q", box, ["x"], "TTC", rotation=rotation), *size)
    (page,), _ = read([task(annotation(made))])
    assert page.bboxes == [expected]
    x, y, width, height = (value * side / 100 for value, side in zip(box, size * 2, strict=True))
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]])
    angle = np.deg2rad(rotation)
    spun = corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + [x, y]
    around = np.concatenate([spun.min(0), spun.max(0)]) * 1000 / np.array(size * 2)
    assert np.abs(around - expected).max() <= 0.5 + 1e-9
    bare = sized(made, None, None)
    if rotation % 360:
        with pytest.raises(InputError, match=r"region q: rotated by .*, but original_width and original_height"):
            read([task(annotation(bare))])
        (page,), _ = read([task(annotation(bare))], size=size)
        assert page.bboxes == [expected]


def test_polygons_and_ellipses_become_bounding_boxes(read):
    def shaped(name: str, label: str, **value: Any) -> list[dict[str, Any]]:
        shape = {"id": name, "type": f"{label}labels", "value": value | {f"{label}labels": ["TTC"]}}
        return sized([shape, shape | {"type": "textarea", "value": value | {"text": ["x"]}}], 1000, 500)

    polygon = shaped("p", "polygon", points=[[10, 20], [30.5, 15], [25, 40]])
    ellipse = shaped("e", "ellipse", x=50, y=50, radiusX=10, radiusY=5, rotation=0)
    turned = shaped("t", "ellipse", x=50, y=50, radiusX=10, radiusY=4, rotation=90)  # 100 x 20 pixels
    (page,), notes = read([task(annotation(polygon, ellipse, turned))])
    assert page.bboxes == [[100, 150, 305, 400], [400, 450, 600, 550], [480, 300, 520, 700]]
    assert not notes
    for points in ([], [[1]], 7, [[1, "2"]]):
        with pytest.raises(InputError, match=r"region p: points .*, expected a list of \[x, y\] in percent"):
            read([task(annotation(shaped("p", "polygon", points=points)))])
    with pytest.raises(InputError, match=r"region q: rotation 'x', expected degrees"):
        read([task(annotation(results("q", [1, 2, 3, 4], ["x"], "TTC", rotation="x")))])


SCALED = {"0..1000": 10, "0..1": 0.01, "pixels": 2}


@pytest.mark.parametrize("unit", SCALED)
def test_boxes_in_another_unit(unit, read):
    """Refused unless declared, on a page of 200 x 200 pixels."""
    regions = [REGION | {"box": [value * SCALED[unit] for value in (10, y, 90, y + 2)]} for y in range(2, 90, 8)]
    rows = [plain(*regions, width=200, height=200)]
    with pytest.raises(InputError, match=f"row 0: .*they look like .*{unit}.*--box_unit"):
        read(rows)
    (page,), _ = read(rows, unit=Unit(unit, declared=True))
    assert page.bboxes[0] == [100, 20, 900, 40]
    with pytest.raises(InputError, match="width and height"):
        read([plain(*regions, width=None)], unit=Unit("pixels", declared=True))


def test_boxes_are_rounded_put_in_order_and_clamped(read):
    boxes = [[9.96, 0, 20.04, 100.0000001], [20, 40, 10, 30], [-3, 50, 50, 170], [1e99, 0, 0, 0]]
    (page,), notes = read([plain(*({"box": box, "text": "x", "label": 0} for box in boxes))])
    assert page.bboxes == [[100, 0, 200, 1000], [100, 300, 200, 400], [0, 500, 500, 1000], [0, 0, 1000, 0]]
    found = {what.partition(",")[0]: [place[-1] for place in places] for what, places in notes.items()}
    assert found == {"boxes that exceed the page": ["2", "3"], "boxes with swapped corners": ["1", "3"]}
