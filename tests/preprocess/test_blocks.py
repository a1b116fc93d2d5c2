"""Cells -> lines -> text of a block, against the definition as a slow loop and against pages with known lines."""

from fractions import Fraction

import numpy as np
import pytest

from preprocess.blocks import Cell, lines_of, on_page, page_blocks, scale


def slow_lines(cells: list[Cell]) -> list[list[str]]:
    """The definition in exact arithmetic, without optimizations."""
    kept: list[Cell] = []
    for cell in cells:
        if cell.text.strip() and all((cell.text, cell.box) != (other.text, other.box) for other in kept):
            kept.append(cell)
    if not kept:
        return []
    heights = sorted(Fraction(cell.box[3]) for cell in kept)
    half = len(heights) // 2
    middle = heights[half] if len(heights) % 2 else (heights[half - 1] + heights[half]) / 2
    centres = [Fraction(cell.box[1]) + Fraction(cell.box[3]) / 2 for cell in kept]
    lines: list[list[int]] = []

    def mean(line: list[int]) -> Fraction:
        return sum(centres[place] for place in line) / len(line)

    for place in sorted(range(len(kept)), key=lambda place: (centres[place], kept[place].box[0])):
        best = None
        for line in lines:
            distance = abs(centres[place] - mean(line))
            if distance <= middle / 2 and (best is None or distance < abs(centres[place] - mean(best))):
                best = line
        if best is None:
            lines.append([place])
        else:
            best.append(place)
    in_order = sorted(lines, key=mean)
    return [[kept[place].text for place in sorted(line, key=lambda place: kept[place].box[0])] for line in in_order]


def random_cells(generator: np.random.Generator) -> list[Cell]:
    """Crowded cells of many heights on fine and coarse grids, so that ties and exact halves occur."""
    cells = []
    for number in range(int(generator.integers(0, 14))):
        x, y, width, height = (int(value) / 2 for value in generator.integers(0, 40, 4))
        cells.append(Cell(str(generator.choice(["", " ", f"t{number}", "same"])), (x, y, width + 1, height + 1)))
    return cells + cells[: int(generator.integers(0, 3))]


def test_lines_are_those_of_the_definition():
    generator = np.random.default_rng(0)
    several = 0
    for _ in range(500):
        cells = random_cells(generator)
        found = [[cell.text for cell in line] for line in lines_of(cells)]
        assert found == slow_lines(cells), cells
        several += len(found) > 1 and max(map(len, found)) > 1
    assert several > 100, "most trials have to be of some difficulty"


def test_known_lines_are_recovered_in_any_order():
    """Lines at distances of 1.5 heights, cells shifted by up to a quarter of a height, shuffled."""
    generator = np.random.default_rng(1)
    for _ in range(100):
        height, lines, cells = float(generator.uniform(5, 30)), [], []
        for row in range(int(generator.integers(1, 8))):
            words = [f"{row}.{column}" for column in range(int(generator.integers(1, 6)))]
            for column, word in enumerate(words):
                y = 100 + 1.5 * height * row + float(generator.uniform(-0.24, 0.24)) * height
                cells.append(Cell(f" {word} ", (50.0 * column, y, 40.0, height)))
            lines.append(" ".join(words))
        shuffled = [cells[place] for place in generator.permutation(len(cells))]
        (block,) = page_blocks([((0, 0, 500, 500), "Text", shuffled)], "page", "", (1000, 1000))
        assert (block.text, block.n_lines) == (" ".join(lines), len(lines))


@pytest.mark.parametrize(
    ("offset", "lines"),
    [(5.0, [["a", "b"]]), (5.001, [["a"], ["b"]]), (-5.0, [["a", "b"]]), (-5.001, [["b"], ["a"]])],
)
def test_half_the_median_height_is_still_the_same_line(offset: float, lines: list[list[str]]):
    cells = [Cell("b", (50, 100 + offset, 9, 10)), Cell("a", (0, 100, 9, 10))]
    assert [[cell.text for cell in line] for line in lines_of(cells)] == lines


def test_exact_duplicates_and_empty_cells_are_left_out_and_nothing_else():
    twice = Cell("fi", (0, 0, 10, 10))
    cells = [twice, Cell("fi", (20, 0, 10, 10)), twice, Cell("fl", (0, 0, 10, 10)), Cell(" \n", (5, 0, 10, 90))]
    (block,) = page_blocks([((0, 0, 50, 10), "Text", cells)], "page", "", (1000, 1000))
    assert sorted(block.text.split()) == ["fi", "fi", "fl"]
    assert block.n_lines == 1


def test_blocks_are_sorted_by_y_then_x_and_numbered():
    boxes = [(30, 20, 5, 5), (10.5, 20, 5, 5), (0, 20.5, 5, 5), (90, 1, 5, 5)]
    regions = [(box, "Text", [Cell(f"t{number}", box)] if number != 1 else []) for number, box in enumerate(boxes)]
    blocks = page_blocks(regions, "page", "kind", (100, 100))
    assert [(block.id, block.text) for block in blocks] == [
        ("page-0", "t3"),
        ("page-1", ""),  # dropped later, but it keeps its number
        ("page-2", "t0"),
        ("page-3", "t2"),
    ]
    assert [(block.page, block.doc_category) for block in blocks] == [("page", "kind")] * 4
    assert (blocks[0].example().id, blocks[0].example().group) == ("page-0", "page")


@pytest.mark.parametrize(
    ("box", "size", "expected"),
    [
        ((0, 0, 1025, 1025), (1025, 1025), (0, 0, 1000, 1000)),
        ((-3.5, -1, 10, 2000), (1000, 500), (0, 0, 6, 1000)),
        ((990, 490, 50, 50), (1000, 500), (990, 980, 1000, 1000)),
        ((2000, 10, 5, 5), (1000, 1000), (1000, 10, 1000, 15)),
        ((102.5, 512.5, 102.5, 205), (1025, 1025), (100, 500, 200, 700)),
        ((900, 900, -300, -200), (1025, 1025), (585, 683, 878, 878)),
    ],
)
def test_boxes_are_scaled_to_the_page_and_clamped_to_it(box, size, expected):
    (block,) = page_blocks([(box, "Text", [])], "page", "", size)
    assert block.box == expected


def test_a_box_is_the_same_from_whichever_corner_it_is_written():
    """Against clipping and rounding by numpy. A negative width or height does not move a block."""
    generator = np.random.default_rng(2)
    for _ in range(300):
        (x0, x1), (y0, y1) = np.sort(generator.uniform(-300, 1400, (2, 2))).tolist()
        size = tuple(generator.uniform(400, 1200, 2).tolist())
        expected = tuple(np.rint(np.array([x0, y0, x1, y1]).clip(0, size * 2) / (size * 2) * 1000).astype(int).tolist())
        for x, y, right, bottom in ((x0, y0, x1, y1), (x1, y0, x0, y1), (x0, y1, x1, y0), (x1, y1, x0, y0)):
            corners, inverted, outside = on_page((x, y, right, bottom), size)
            assert scale(corners, size) == expected
            assert inverted == ((x, y) != (x0, y0))
            (block,) = page_blocks([((x, y, right - x, bottom - y), "Text", [])], "page", "", size)
            assert np.abs(np.subtract(block.box, expected)).max() <= 1  # widths of floats are not exact
            assert (block.inverted, block.outside) == (inverted, outside)
    regions = [((50, 90, -40, -80), "Text", []), ((10, 20, 5, 5), "Title", [])]
    assert [block.label_word for block in page_blocks(regions, "page", "", (100, 100))] == ["Title", "Text"]


@pytest.mark.parametrize("unit, size", [(1, (1000, 1000)), (0.1, (100, 100)), (2, (2000, 2000))])
def test_what_is_out_by_rounding_is_not_outside(unit, size):
    """Beyond any edge, by slightly less than a unit of 0..1000 and by slightly more; a distant box counts too."""
    side = size[0]
    for off, expected in ((0, False), (0.99, False), (1.01, True), (1e99, True)):
        for place in range(4):
            box = [0, 0, side, side]
            box[place] += off * unit if place > 1 else -off * unit
            assert on_page(tuple(box), size) == ((0, 0, side, side), False, expected)
    assert all(
        on_page(box, (1000, 1000))[2] for box in ((0, 0, 1001, 5), (0, 0, 5, 1001), (-1, 0, 5, 5), (0, -1, 5, 5))
    )
    assert on_page((2 * side, 0, 3 * side, 1), size) == ((side, 0, side, 1), False, True)
