"""Small tasks of lm-evaluation-harness for these tests, with questions about invented towns; and a comparison of the
results of two models."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

TOLERANCE = 1e-4  # nats a token

TOWNS = ("Aldermouth", "Brackley Down", "Corvane", "Dunsley", "Eskerby", "Farrowick", "Gilden Moor", "Harrowfen")
THINGS = ("bell", "bridge", "market hall", "lighthouse", "old mill", "ferry", "school", "harbour wall")
MATERIALS = ("oak", "red brick", "cold grey iron", "glass", "river stones and lime", "copper", "white marble")
DEEDS = ("was repaired in the spring", "is painted every year", "stands on seven arches", "burned down twice")
CHINESE_TOWNS, CHINESE_THINGS = ("青石镇", "白水村", "云溪", "东岭"), ("大桥", "钟楼", "渡船", "老磨坊")
COLOURS = ("红色", "深蓝色", "浅绿色的", "黑", "像雪一样白")


def pick(generator: np.random.Generator, words: tuple[str, ...], count: int = 1) -> list[str]:
    return [words[place] for place in generator.permutation(len(words))[:count]]


def questions(generator: np.random.Generator, count: int) -> Iterator[dict[str, Any]]:
    """Four answers of one or more tokens."""
    for _ in range(count):
        (town,), (thing,), (deed,) = (pick(generator, words) for words in (TOWNS, THINGS, DEEDS))
        question = f"The {thing} of {town} {deed}. What is it made of?"
        yield {"question": question, "choices": pick(generator, MATERIALS, 4), "answer": int(generator.integers(4))}


def chinese_questions(generator: np.random.Generator, count: int) -> Iterator[dict[str, Any]]:
    for _ in range(count):
        (town,), (thing,) = pick(generator, CHINESE_TOWNS), pick(generator, CHINESE_THINGS)
        choices = pick(generator, COLOURS, 3)
        yield {"question": f"{town}的{thing}是什么颜色？", "choices": choices, "answer": int(generator.integers(3))}


def documents(generator: np.random.Generator, count: int) -> Iterator[dict[str, Any]]:
    """Texts of one to sixty sentences."""
    for number in range(count):
        sentences = [
            f"The {pick(generator, THINGS)[0]} of {pick(generator, TOWNS)[0]} {pick(generator, DEEDS)[0]}."
            for _ in range(1 + number * 60 // count)
        ]
        yield {"text": " ".join(sentences)}


CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_text": "Question: {{question}}\nAnswer:",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{answer}}",
    "metric_list": [
        {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
    ],
}
TASKS: dict[str, tuple[Callable[..., Iterator[dict[str, Any]]], dict[str, Any]]] = {
    "towns_0": (questions, CHOICE | {"num_fewshot": 0}),
    "towns_5": (questions, CHOICE | {"num_fewshot": 5, "fewshot_config": {"sampler": "first_n"}}),
    "towns_25": (questions, CHOICE | {"num_fewshot": 25}),  # different shots for each question
    "towns_chinese": (
        chinese_questions,
        CHOICE | {"num_fewshot": 2, "doc_to_text": "问题：{{question}}\n答案：", "target_delimiter": ""},
    ),
    "towns_documents": (
        documents,
        {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": metric} for metric in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
        },
    ),
    "towns_answers": (
        questions,
        {
            "output_type": "generate_until",
            "num_fewshot": 3,
            "fewshot_config": {"sampler": "first_n"},
            "doc_to_text": "Question: {{question}}\nAnswer:",
            "doc_to_target": "{{choices[answer]}}",
            "generation_kwargs": {"until": ["\n", " and "], "max_gen_toks": 12},
            "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        },
    ),
}


def write_tasks(folder: Path, count: int) -> None:
    """All tasks, one YAML file each, with `count` test documents and 30 for shots."""
    for number, (name, (make, task)) in enumerate(TASKS.items()):
        generator = np.random.default_rng(number)
        files = {}
        for split, rows in (("train", 30), ("test", count)):
            path = folder / f"{name}_{split}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in make(generator, rows)), encoding="utf-8")
            files[split] = str(path)
        source = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
            "test_split": "test",
        }
        shown = {"fewshot_split": "train"} if task.get("num_fewshot") else {}
        (folder / f"{name}.yaml").write_text(
            yaml.safe_dump(source | shown | task, allow_unicode=True), encoding="utf-8"
        )


def evaluate(model: Any, tasks: Path, names: list[str], **how: Any) -> dict[str, Any]:
    """The harness's results for a model."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    how = {"bootstrap_iters": 0, "log_samples": True} | how
    found = lm_eval.simple_evaluate(model=model, tasks=names, task_manager=manager, **how)
    assert found is not None
    return found


def assert_same(ours: dict[str, Any], theirs: dict[str, Any], encode: Any) -> None:
    """Assert equal requests, answers within the tolerance, and equal metrics."""
    for name, expected in theirs["samples"].items():
        for one, other in zip(ours["samples"][name], expected, strict=True):
            assert one["arguments"] == other["arguments"]
            for arguments, (found,), (right,) in zip(one["arguments"], one["resps"], other["resps"], strict=True):
                if isinstance(right, str):
                    assert found == right
                elif isinstance(right, tuple):
                    assert found[0] == pytest.approx(right[0], abs=TOLERANCE * len(encode(arguments[1])), rel=0)
                    assert found[1] == right[1]
                else:
                    assert found == pytest.approx(right, abs=TOLERANCE * len(encode(arguments[0])), rel=0)
        metrics = {key: value for key, value in theirs["results"][name].items() if isinstance(value, float)}
        assert metrics
        assert {key: ours["results"][name][key] for key in metrics} == pytest.approx(metrics, rel=1e-4)
