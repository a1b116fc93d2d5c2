"""Data of the browser of examples: no duplicates, reduced scores of large label sets, prompts split into parts."""

import json

import numpy as np
import pytest

from evaluate.predictions import sha256
from evaluate.reading import read_results
from evaluate.report.examples import KEPT_WORDS, to_set
from evaluate.report.prompt_parts import DEMONSTRATION, INSTRUCTION, OWN, split_prompt
from evaluate.report.sections import sections_of

OWN_PART = "Article: {text}\nCategory:"
SHOWN = ["Article: {text} and\nArticle of one\nCategory: A\n", "Article: two\nCategory: B\n"]


def one_set(folder):
    (section,) = sections_of(read_results([str(folder)]))
    return json.loads(json.dumps(to_set(section, {})))


def test_scores_keep_three_decimals(tmp_path):
    """Scores with label words that differ between examples."""
    rows = [
        {"label_words": ["a", "b"], "log_probs": [-1.23456, -80.0], "ground_truth": "a", "prediction": "a"},
        {"label_words": ["c", "a"], "log_probs": [-360.01229, -372.8], "ground_truth": "a", "prediction": "c"},
    ]
    rows = [row | {"correct": row["prediction"] == row["ground_truth"]} for row in rows]
    (tmp_path / "outputs_x.json").write_text(json.dumps(rows))
    found = one_set(tmp_path)
    (draw,) = found["methods"][0]["draws"]
    assert found["labels"] == ["a", "b", "c"]
    assert (found["words"], draw["words"]) == ([[0, 1], [2, 0]], [0, 1])
    assert draw["scores"] == [-1235, -80000, -360012, -372800]
    assert found["texts"] is None


def test_large_label_sets_keep_the_best_and_the_truth(tmp_path):
    words = [f"c{n}" for n in range(50)]
    scores = np.log(np.random.default_rng(0).dirichlet(np.ones(50), 3))
    truths = [words[int(row.argsort()[0])] for row in scores]  # the least probable
    rows = [
        {"label_words": words, "log_probs": row.tolist(), "ground_truth": truth, "prediction": words[row.argmax()]}
        for row, truth in zip(scores, truths, strict=True)
    ]
    rows = [row | {"correct": False} for row in rows]
    (tmp_path / "outputs_x.json").write_text(json.dumps(rows))
    found = one_set(tmp_path)
    (draw,) = found["methods"][0]["draws"]
    assert draw["norms"] == [0, 0, 0]  # they are distributions
    for number, row in enumerate(scores):
        kept = [found["labels"][place] for place in found["words"][draw["words"][number]]]
        assert kept == [words[n] for n in (-row).argsort()[:KEPT_WORDS]] + [truths[number]]
    assert len(draw["scores"]) == 3 * (KEPT_WORDS + 1)


def test_draws_are_in_the_order_of_the_first(tmp_path):
    """Files with the same examples in different orders."""
    for name, order in (("a", "xyz"), ("b", "zxy")):
        rows = [{"id": key, "prediction": key, "ground_truth": "x", "correct": key == "x"} for key in order]
        (tmp_path / f"outputs_{name}.json").write_text(json.dumps([row | {"label_words": list("xyz")} for row in rows]))
        meta = {"prompt": {"dataset": "d"}, "num_examples": 3}
        meta["output_sha256"] = sha256(tmp_path / f"outputs_{name}.json")
        (tmp_path / f"outputs_{name}.meta.json").write_text(json.dumps(meta))
    found = one_set(tmp_path)
    assert found["ids"] == list("xyz")
    assert [method["draws"][0]["predictions"] for method in found["methods"]] == [[0, 1, 2]] * 2


def test_prompts_share_their_demonstrations(tmp_path, write_results, demonstration):
    """Four methods and a hundred examples share one demonstration and one own part."""
    write_results(tmp_path, count=100)
    found = one_set(tmp_path)
    ((parts, completion, separator),) = found["prompts"]
    assert [(kind, found["parts"][place]) for kind, place in parts] == [(DEMONSTRATION, demonstration), (OWN, OWN_PART)]
    assert (found["parts"][completion], separator) == ("{label_word}", -1)
    assert [draw["prompts"] for method in found["methods"] for draw in method["draws"]] == [0] * 4
    assert sum("a demonstration" in part for part in found["parts"]) == 1


def meta(prompt, count):
    return {"template": {"prompt": prompt}, "demonstrations": ["x"] * count}


@pytest.mark.parametrize(
    ("template", "prompt", "count", "expected"),
    [
        (
            OWN_PART,
            "".join(SHOWN) + OWN_PART,
            2,
            [(DEMONSTRATION, SHOWN[0]), (DEMONSTRATION, SHOWN[1]), (OWN, OWN_PART)],
        ),
        (OWN_PART, "".join(SHOWN) + OWN_PART, 3, [(DEMONSTRATION, "".join(SHOWN)), (OWN, OWN_PART)]),
        (OWN_PART, OWN_PART, 0, [(OWN, OWN_PART)]),
        (
            f"Choose.\n{OWN_PART}",
            f"Choose.\n{SHOWN[1]}{OWN_PART}",
            1,
            [(INSTRUCTION, "Choose.\n"), (DEMONSTRATION, SHOWN[1]), (OWN, OWN_PART)],
        ),
        ("Other: {text}", SHOWN[1] + OWN_PART, 1, [(OWN, SHOWN[1] + OWN_PART)]),
        (
            "Category: {label_word}\nArticle:",
            "Category: A\nArticle: one\nCategory: {label_word}\nArticle:",
            1,
            [(DEMONSTRATION, "Category: A\nArticle: one\n"), (OWN, "Category: {label_word}\nArticle:")],
        ),
    ],
)
def test_a_prompt_is_split_into_parts(template, prompt, count, expected):
    parts = split_prompt(prompt, meta(template, count))
    assert parts == expected
    assert "".join(text for _, text in parts) == prompt


def test_a_prompt_without_a_template_is_one_part():
    assert split_prompt("Anything {text}", {}) == [(OWN, "Anything {text}")]
    assert split_prompt("Anything {text}", {"template": {"prompt": 3}}) == [(OWN, "Anything {text}")]
