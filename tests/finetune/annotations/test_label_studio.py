"""Tasks of Label Studio as pages: results are joined by id, and missing ones do not shift others."""

import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from preprocess.errors import InputError
from tests.finetune.annotations.exports import ALL, DATE, NUMBER, TOTAL, annotation, content, results, task


def test_a_task(read):
    (page,), notes = read([task(annotation(NUMBER, DATE, TOTAL))])
    assert content(page) == ALL
    assert (page.file_name, page.size) == ("/data/upload/1/0a1b2c3d-Ex1.png", (200, 100))
    assert not notes


def test_results_in_any_order_are_joined_by_their_ids(read):
    mixed = [NUMBER[2], DATE[1], TOTAL[0], DATE[2], NUMBER[0], TOTAL[1], TOTAL[2], DATE[0], NUMBER[1]]
    (page,), _ = read([task(annotation(mixed))])
    assert sorted(content(page)) == sorted(ALL)


def test_rectangles_that_are_labels_and_relations(read):
    """RectangleLabels writes no separate rectangle; a relation has no id, and a choice for the image no box."""
    made = [result for result in NUMBER if result["type"] != "rectangle"]
    value = {key: value for key, value in made[0]["value"].items() if key != "labels"}
    made[0] = made[0] | {"type": "rectanglelabels", "value": value | {"rectanglelabels": ["InvNum"]}}
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    choice = {"type": "choices", "id": "z", "value": {"choices": ["invoice"]}}
    (page,), notes = read([task(annotation(made, [relation, choice]))])
    assert content(page) == ALL[:1]
    assert not notes


def test_a_region_without_label_or_text_shifts_no_others(read):
    bare = results("b", [50, 20, 20, 5], ["1 May"], None)
    (page,), notes = read([task(annotation(NUMBER, bare, TOTAL))])
    assert content(page) == [ALL[0], ALL[2]]
    ((what, places),) = notes.items()
    assert what.startswith("regions without a label, left out")
    assert places[0].endswith("export.json: row 0: region b")
    (page,), notes = read([task(annotation(NUMBER, bare, TOTAL))], unlabelled="Autre")
    assert content(page) == [ALL[0], ("1 May", "Autre", ALL[1][2]), ALL[2]]
    assert list(notes) == ["regions without a label, read as Autre"]
    for text in (None, [], [" \n"], ""):
        (page,), notes = read([task(annotation(NUMBER, results("b", [50, 20, 20, 5], text, "InvDate"), TOTAL))])
        assert content(page) == [ALL[0], ALL[2]]
        assert {what: len(places) for what, places in notes.items()} == {"regions without text, left out": 1}


@pytest.mark.parametrize("text", ["F-17", ["F-17"], " F-17\n"])
def test_a_single_region_whose_text_is_a_string(read, text):
    (page,), _ = read([task(annotation(results("a", [10, 20, 30, 5.5], text, "InvNum")))])
    assert content(page) == ALL[:1]


def test_lines_of_one_region_are_one_text(read):
    (page,), _ = read([task(annotation(results("a", [10, 20, 30, 5.5], ["F", "17"], "InvNum")))])
    assert page.tokens == ["F 17"]


def test_several_annotations(read):
    """Cancelled and empty ones are ignored; the ground truth takes precedence; equal ones count once."""
    first, second, empty = annotation(NUMBER, DATE), annotation(TOTAL), annotation()
    cancelled, truth = annotation(DATE, was_cancelled=True), annotation(TOTAL, ground_truth=True)
    again = annotation(DATE, NUMBER)
    rows = [task(cancelled, second), task(first, truth), task(empty, cancelled, first), task(first, again), task(empty)]
    pages, notes = read(rows)
    assert [sorted(content(page)) for page in pages] == [ALL[2:], ALL[2:], sorted(ALL[:2]), sorted(ALL[:2])]
    assert {what: [place[-1] for place in places] for what, places in notes.items() if "left out" not in what} == {
        "tasks with several equal annotations, one of which is used": ["3"]
    }


@pytest.mark.parametrize(
    ("writers", "name"),
    [((1, 2), "2"), (({"id": 7, "email": "a@x.org"}, {"id": 8, "email": "b@x.org"}), "b@x.org"), ((1, {"id": 2}), "2")],
)
def test_annotators_who_differ(writers, name, read):
    rows = [task(*(annotation(made, completed_by=who) for made, who in zip((NUMBER, TOTAL), writers, strict=True)))]
    with pytest.raises(InputError, match=r"row 0: 2 annotations by .* differ; select one with --annotator"):
        read(rows)
    (page,), _ = read(rows, annotator=name)
    assert content(page) == ALL[2:]
    with pytest.raises(InputError, match=r"2 annotations by .* differ"):
        read(rows, annotator="nobody")
    alone = [task(annotation(NUMBER, completed_by=5))]
    assert content(read(alone, annotator=name)[0][0]) == ALL[:1]


def test_predictions(read):
    """Only with the flag, and only without an annotation."""
    guessed = {"model_version": "v1", "score": 0.5, "result": TOTAL}
    alone, both = task() | {"predictions": [guessed]}, task(annotation(NUMBER)) | {"predictions": [guessed]}
    pages, notes = read([alone, both])
    assert [content(page) for page in pages] == [ALL[:1]]
    assert any(what.startswith("tasks with predictions only, left out (--predictions") for what in notes)
    pages, _ = read([alone, both], predictions=True)
    assert [content(page) for page in pages] == [ALL[2:], ALL[:1]]
    without = {"data": alone["data"], "predictions": [guessed, guessed | {"model_version": "v2", "result": NUMBER}]}
    with pytest.raises(InputError, match="2 annotations by v1, v2 differ"):
        read([without], predictions=True)
    (page,), _ = read([without], predictions=True, annotator="v2")
    assert content(page) == ALL[:1]


def test_completions_are_annotations_of_older_versions(read):
    made = task(annotation(NUMBER))
    made["completions"] = made.pop("annotations")
    assert content(read([made])[0][0]) == ALL[:1]


def test_results_without_an_id(read):
    """Results with the same shape form one region."""
    bare = [{key: value for key, value in result.items() if key != "id"} for result in [*NUMBER, *TOTAL]]
    choice = {"type": "choices", "value": {"choices": ["invoice"]}}
    (page,), notes = read([task(annotation([*bare, choice], DATE))])
    assert sorted(content(page)) == sorted(ALL)
    assert not notes


def test_notes(read):
    """Shapes without a box are left out; of two labels, the first is used."""
    brush = {"id": "p", "type": "brushlabels", "value": {"format": "rle", "rle": [1, 2], "brushlabels": ["TVA"]}}
    twice = [TOTAL[0], TOTAL[1] | {"value": TOTAL[1]["value"] | {"labels": ["TTC", "TT"]}}, TOTAL[2]]
    shown = [result | {"image_rotation": 90} for result in DATE]
    (page,), notes = read([task(annotation(NUMBER, [brush], shown, twice)), task()])
    assert content(page) == ALL
    assert {what.partition(",")[0]: len(places) for what, places in notes.items()} == {
        "regions whose shape has no box": 1,
        "regions of an image that was displayed rotated": 1,
        "regions with several labels": 1,
        "pages without a region": 1,
    }
