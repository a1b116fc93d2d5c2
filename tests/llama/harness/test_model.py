"""The harness's models `llama` and `hf` on the same folder give the same answers to the same requests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("lm_eval", reason="needs the extra harness; test_environment.py runs these in its own")

from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from lm_eval.models.huggingface import HFLM

from llama import CheckpointError
from llama.harness.model import HarnessModel
from tests.llama.harness.tasks import TASKS, TOLERANCE, assert_same, evaluate

LONG = "The rain stopped play at the market. " * 80  # more than 1,024 tokens
PAIRS = [
    ("Article: rain\nCategory:", " World"),
    ("Article: rain\nCategory:", " Science and technology"),
    ("Article: rain\nCategory: ", "World"),  # the space belongs to what follows
    ("Article: rain \n\n\t ", "World"),
    ("Article: rain\nCa", "tegory: World"),  # within a token
    ("market", "\n"),
    ("   ", "rain"),  # a context of white space alone
    ("", "rain stopped play"),
    ("", "<s>rain"),
    ("<s>Article: rain", "</s>"),
    ("问题：青石镇的大桥是什么颜色？\n答案：", "浅绿色的"),
    (LONG, " Sports"),
    (LONG, LONG[:900]),
    ("", LONG[:900]),
    ("Article: rain\nCategory:", " World"),
]
STOPPING: list[dict[str, Any]] = [
    {"until": ["\n"], "max_gen_toks": 8},
    {"until": "e", "max_gen_toks": 24},
    {"until": ["a", "i", "o"], "max_gen_toks": 24},
    {"until": [], "max_gen_toks": 5, "do_sample": False, "temperature": 0.7},
    {"max_gen_toks": 1, "num_beams": 1, "top_k": 5, "temperature": 0.0},
    {"until": ["</s>"], "max_gen_toks": 60},
]


def instances(kind: str, arguments: Sequence[tuple]) -> list[Instance]:
    return [Instance(kind, {}, given, number) for number, given in enumerate(arguments)]


@pytest.fixture(scope="module")
def ours(chat_folder: Path) -> HarnessModel:
    return HarnessModel(ckpt_dir=str(chat_folder), dtype="float32")


@pytest.fixture(scope="module")
def theirs(chat_folder: Path) -> HFLM:
    return HFLM(pretrained=str(chat_folder), dtype="float32", device="cpu")


@pytest.mark.slow
def test_tasks(ours, theirs, tasks) -> None:
    """Including documents and contexts of more than 1,024 tokens."""
    found, expected = (evaluate(model, tasks, list(TASKS)) for model in (ours, theirs))
    assert_same(found, expected, ours.tok_encode)
    lengths = [len(ours.tok_encode(sample["arguments"][0][0])) for sample in found["samples"]["towns_25"]]
    assert min(lengths) > 1024
    assert len({sample["resps"][0][0] for sample in found["samples"]["towns_answers"]}) > 3
    assert found["config"]["model_num_parameters"] == theirs.model.num_parameters()


@pytest.mark.slow
def test_tasks_as_conversations(ours, theirs, tasks) -> None:
    """The template refuses system messages, which are then omitted."""
    how = {"apply_chat_template": True, "fewshot_as_multiturn": True, "system_instruction": "Answer."}
    found, expected = (evaluate(model, tasks, ["towns_5", "towns_answers"], **how) for model in (ours, theirs))
    assert "<s>assistant\n" in found["samples"]["towns_5"][0]["arguments"][0][0]
    assert_same(found, expected, ours.tok_encode)
    assert ours.tokenizer_name == theirs.tokenizer_name
    assert ours.chat_template(True) == theirs.chat_template(True)


def test_log_likelihoods(ours, theirs) -> None:
    greedy = ours.generate_until(instances("generate_until", [(PAIRS[0][0], {"max_gen_toks": 1})]))[0]
    requests = instances("loglikelihood", [*PAIRS, (PAIRS[0][0], greedy), (PAIRS[0][0], f"{greedy} play")])
    found, expected = (model.loglikelihood(requests, disable_tqdm=True) for model in (ours, theirs))
    for request, one, other in zip(requests, found, expected, strict=True):
        assert one[0] == pytest.approx(other[0], abs=TOLERANCE * len(ours.tok_encode(request.args[1])), rel=0)
    assert [one[1] for one in found] == [other[1] for other in expected]
    assert found[-2][1] and not found[-1][1]


def test_rolling(ours, theirs) -> None:
    requests = instances("loglikelihood_rolling", [(LONG,), ("",), ("rain",), (LONG[:700],), (LONG * 3,)])
    found, expected = (model.loglikelihood_rolling(requests, disable_tqdm=True) for model in (ours, theirs))
    for request, one, other in zip(requests, found, expected, strict=True):
        assert one == pytest.approx(other, abs=TOLERANCE * len(ours.tok_encode(request.args[0])), rel=0)


@pytest.mark.parametrize("kwargs", STOPPING, ids=str)
def test_generation(kwargs, ours, theirs) -> None:
    contexts = [context for context, _ in PAIRS if context.strip()]
    requests = instances("generate_until", [(context, dict(kwargs)) for context in contexts])
    assert ours.generate_until(requests) == theirs.generate_until(requests, disable_tqdm=True)


def test_draws(ours) -> None:
    """Each request has its own seed, which depends on the harness's."""

    def draw(seed: int, **kwargs: Any) -> list[str]:
        torch.manual_seed(seed)
        given = {"until": [], "max_gen_toks": 6, "do_sample": True, "temperature": 1.5} | kwargs
        return ours.generate_until(instances("generate_until", [("Article: rain", given)] * 4))

    first = draw(1)
    assert len(set(first)) > 1
    assert draw(1) == first != draw(2)
    assert len(set(draw(1, top_p=0.0))) == 1  # the most probable token each time
    assert len(set(draw(1, temperature=0.0))) == 1


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"repetition_penalty": 1.2}, "repetition_penalty is not supported; expected do_sample, max_gen_toks"),
        ({"num_beams": 4}, "num_beams is not supported"),
        ({"do_sample": True, "temperature": 1.0, "top_k": 3}, "top_k is not supported"),
        ({"do_sample": True, "temperature": -1.0}, "temperature -1.0, top_p 1.0; expected 0 or more, 0 to 1"),
        ({"temperature": 1.0, "top_p": 2}, "temperature 1.0, top_p 2.0; expected 0 or more, 0 to 1"),
        ({"max_gen_toks": 1024}, "max_gen_toks 1024, expected less than 1024"),
    ],
)
def test_refused_generation(kwargs, line, ours) -> None:
    with pytest.raises(CheckpointError, match=line):
        ours.generate_until(instances("generate_until", [("rain", kwargs)]))


def test_refused_continuations(ours) -> None:
    """One is part of the last token of its context, one is longer than the model's maximum."""
    for context, continuation, count in (("Catego", "ry", 0), ("rain", LONG, 1280)):
        with pytest.raises(CheckpointError, match=f"has {count} tokens, expected 1 to 1024: '{continuation[:80]}'"):
            ours.loglikelihood(instances("loglikelihood", [(context, continuation)]), disable_tqdm=True)


@pytest.mark.parametrize("add_bos_token", [True, False])
def test_bos(add_bos_token, chat_folder) -> None:
    ours = HarnessModel(pretrained=str(chat_folder), add_bos_token=add_bos_token, max_length=64)
    theirs = HFLM(pretrained=str(chat_folder), add_bos_token=add_bos_token, max_length=64, device="cpu")
    assert ours.max_length == theirs.max_length == 64
    assert ours.prefix_token_id == theirs.prefix_token_id and ours.eot_token_id == theirs.eot_token_id
    for text in ("rain", "<s>rain", " rain", ""):
        for added in (None, True, False):
            assert ours.tok_encode(text, add_special_tokens=added) == theirs.tok_encode(text, add_special_tokens=added)
    (nothing,) = ours.loglikelihood(instances("loglikelihood", [("   ", "rain")]), disable_tqdm=True)
    assert -30 < nothing[0] < 0  # `hf` without BOS fails there: nothing would be left of the context
    requests = instances("loglikelihood", [pair for pair in PAIRS[:11] if pair[0] != "   "])
    for one, other in zip(*(model.loglikelihood(requests, disable_tqdm=True) for model in (ours, theirs)), strict=True):
        assert one == pytest.approx(other, abs=1e-3)


@pytest.mark.slow
def test_answers_are_kept(chat_folder, tasks, tmp_path, monkeypatch) -> None:
    """--use_cache: results from before an interruption are not computed again, and nothing is stored twice."""
    model = HarnessModel(ckpt_dir=str(chat_folder), max_batch_tokens=600)
    names = ["towns_5", "towns_documents", "towns_answers"]
    whole = evaluate(model, tasks, names)
    compute, counts = type(model.llama).scoring, []

    def interrupted(self: Any, requests: Sequence, **how: Any) -> Any:
        computation = compute(self, requests, **how)
        counts.append(len(requests))
        if len(counts) == 1:
            computation.batches[2:] = ["no batch"]
        return computation

    monkeypatch.setattr(type(model.llama), "scoring", interrupted)
    with pytest.raises(AttributeError):
        evaluate(model, tasks, names, use_cache=str(tmp_path / "cache"))
    found = evaluate(model, tasks, names, use_cache=str(tmp_path / "cache"))
    assert 0 < counts[1] < counts[0]
    assert found["results"] == whole["results"]
    again = evaluate(model, tasks, names, use_cache=str(tmp_path / "cache"))
    assert len(counts) == 3 and again["results"] == whole["results"]


def test_a_cache_of_several_ranks_is_refused(ours, monkeypatch) -> None:
    """Each process has its own, and ranks that share a model must compute the same requests."""
    kept = CacheHook(None)
    kept.dbdict = {}
    monkeypatch.setattr("llama.harness.model.get_model_parallel_world_size", lambda: 2)
    with pytest.raises(CheckpointError, match="--use_cache: cannot be combined with `model_parallel_size` above 1"):
        ours.set_cache_hook(kept)


def test_metas_format(make_checkpoint, tmp_path) -> None:
    """Checkpoints that transformers cannot open are encoded by our tokenizers; there is no chat template."""
    folder = make_checkpoint(tmp_path / "meta", max_seq_len=64)
    model = HarnessModel(ckpt_dir=str(folder))
    (found,) = model.loglikelihood(instances("loglikelihood", [("Article: rain\nCategory:", " World")]))
    (expected,) = model.llama.compute_log_probs(["Article: rain\nCategory:"], ["World"], score_eos=False)
    assert found[0] == pytest.approx(expected, abs=1e-4)
    assert model.tok_encode("<s>rain")[0] == model.prefix_token_id == 1
    assert len(model.generate_until(instances("generate_until", [("rain", {"max_gen_toks": 4})]))) == 1
    with pytest.raises(CheckpointError, match=r"--apply_chat_template: the tokenizer of .* has no chat template"):
        model.apply_chat_template([{"role": "user", "content": "rain"}])
