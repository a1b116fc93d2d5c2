"""The importable model: texts in, numbers and texts out."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from llama import LLaMA, Request, load
from llama.generation import Sampling
from llama.shared import all_batches

PROMPTS = ["Article: rain stopped play\nCategory:", "Article: the market today\nCategory: ", "", "a b c"]
COMPLETIONS = ["Sports", "Science and technology", "rain", ""]


@pytest.mark.parametrize("score_eos", [True, False])
def test_compute_log_probs_is_the_sum_over_the_completion(score_eos, folder, to_transformers, one_process) -> None:
    llama, theirs = load(str(folder)), to_transformers(folder)
    sums = llama.compute_log_probs(PROMPTS, COMPLETIONS, **{} if score_eos else {"score_eos": False})
    encode = llama.tokenizer.backend.sp_model.encode
    for found, prompt, completion in zip(sums, PROMPTS, COMPLETIONS, strict=True):
        context = [llama.tokenizer.bos_id, *encode(prompt.strip())]
        ids = [llama.tokenizer.bos_id, *encode(f"{prompt.strip()} {completion}".strip())]
        ids += [llama.tokenizer.eos_id] * score_eos
        with torch.inference_mode():
            table = torch.log_softmax(theirs(torch.tensor([ids])).logits[0].double(), dim=-1)
        expected = sum(float(table[place - 1, ids[place]]) for place in range(len(context), len(ids)))
        assert found == pytest.approx(expected, abs=1e-4)
    assert score_eos or sums[-1] == 0.0  # nothing to score


def test_several_completions_of_a_prompt(small) -> None:
    """Lists in, lists out, with the same numbers as for each pair alone."""
    lists = [["Sports", "World", ""], [], ["rain"], ["Sports"]]
    found = small.compute_log_probs(PROMPTS, lists)
    assert list(map(len, found)) == [3, 0, 1, 1]
    for prompt, texts, row in zip(PROMPTS, lists, found, strict=True):
        assert row == pytest.approx(small.compute_log_probs([prompt] * len(texts), texts), abs=1e-4)


def test_compute_log_probs_requires_equally_many_completions(small) -> None:
    for prompts, completions in ((["a", "b"], ["c"]), ("a", ["c"]), (["a"], "c")):
        with pytest.raises(ValueError, match="completions: expected one text or one list of texts for each of a list"):
            small.compute_log_probs(prompts, completions)
    assert small.compute_log_probs([], []) == []


def test_too_long_is_an_error_that_names_the_row(small) -> None:
    short, long = small.tokenizer.encode_pair("a", "b"), Request((1,) * 60, (3,) * 5)
    small.scoring([Request((1,) * 60, (3,) * 4)])
    with pytest.raises(ValueError, match=r"^row 1: 65 tokens, the model takes at most 64 \(max_seq_len\)$"):
        small.scoring([Request(*short), long])
    with pytest.raises(ValueError, match=r"row 2: 6[5-9] tokens, the model takes at most 64"):
        small.generate(["a", "b", "rain " * 10], max_gen_len=54)


def test_shards_in_one_process(make_checkpoint, one_process, tmp_path) -> None:
    """Two, three or four files on one rank give a bit-identical model."""
    shape = {"n_heads": 6, "dim": 48, "n_kv_heads": 3, "multiple_of": 12}
    one, *others = (load(str(make_checkpoint(tmp_path / str(n), shards=n, **shape))) for n in (1, 2, 3, 4))
    for other in others:
        assert other.compute_log_probs(PROMPTS, COMPLETIONS) == one.compute_log_probs(PROMPTS, COMPLETIONS)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.02), ("bfloat16", 0.2)])
def test_half_precision_on_a_cpu_is_near_float32(dtype, tolerance, folder, one_process) -> None:
    exact, half = load(str(folder)), load(str(folder), dtype=dtype)
    assert {weight.dtype for weight in half.model.parameters()} == {getattr(torch, dtype)}
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(half.model.rotary, exact.model.rotary)  # angles in half precision would be wrong at long range
    requests = [Request(*exact.tokenizer.encode_pair(*pair)) for pair in zip(PROMPTS, COMPLETIONS, strict=True)]
    expected = dict(all_batches(exact.scoring(requests)))
    for index, log_probs in all_batches(half.scoring(requests)):
        assert log_probs.dtype == torch.float32
        torch.testing.assert_close(log_probs, expected[index], atol=tolerance, rtol=0)
        assert not torch.equal(log_probs, expected[index])
    assert len(half.generate(PROMPTS, max_gen_len=4)) == len(PROMPTS)


def test_row_i_draws_with_seed_plus_i(small) -> None:
    texts = small.generate(PROMPTS, max_gen_len=10, temperature=1.5, seed=5)
    assert texts == small.generate(PROMPTS, max_gen_len=10, temperature=1.5, seed=5)
    assert texts != small.generate(PROMPTS, max_gen_len=10, temperature=1.5, seed=6)
    for row, prompt in enumerate(PROMPTS):
        assert small.generate([prompt], max_gen_len=10, temperature=1.5, seed=5 + row) == [texts[row]]


# A checkpoint that nobody here made


def convert_stories(source: Path, tokenizer: Path, folder: Path) -> Path:
    """llama2.c's format in Meta's: seven int32, then float32 tensors, each for all layers; the embeddings are tied."""
    raw = source.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocabulary, length = struct.unpack("7i", raw[:28])
    values, start = torch.from_numpy(np.frombuffer(raw, dtype=np.float32, offset=28).copy()), 0
    kv_dim, weights = dim // heads * kv_heads, {}

    def take(*shape: int) -> torch.Tensor:
        nonlocal start
        start += (size := int(np.prod(shape)))
        return values[start - size : start].view(shape).clone()

    weights["tok_embeddings.weight"] = take(vocabulary, dim)
    weights["output.weight"] = weights["tok_embeddings.weight"].clone()
    for name, *shape in (
        ("attention_norm", dim),
        ("attention.wq", dim, dim),
        ("attention.wk", kv_dim, dim),
        ("attention.wv", kv_dim, dim),
        ("attention.wo", dim, dim),
        ("ffn_norm", dim),
        ("feed_forward.w1", hidden, dim),
        ("feed_forward.w2", dim, hidden),
        ("feed_forward.w3", hidden, dim),
    ):
        for layer, weight in enumerate(take(layers, *shape)):
            weights[f"layers.{layer}.{name}.weight"] = weight.clone()
    weights["norm.weight"] = take(dim)
    params = {"dim": dim, "n_layers": layers, "n_heads": heads, "n_kv_heads": kv_heads, "vocab_size": vocabulary}
    (folder / "params.json").write_text(json.dumps(params | {"multiple_of": 4, "max_seq_len": length}))
    (folder / "tokenizer.model").write_bytes(tokenizer.read_bytes())
    torch.save(weights, folder / "consolidated.00.pth")
    return folder


@pytest.fixture(scope="module")
def stories(data, one_process, tmp_path_factory) -> LLaMA:
    source = data / "tiny_llama"
    folder = tmp_path_factory.mktemp("stories")
    return load(str(convert_stories(source / "stories260K.bin", source / "tok512.model", folder)))


def test_stories260k_token_for_token(stories, data) -> None:
    """The output of another implementation, greedy from BOS."""
    expected = (data / "tiny_llama/stories260K.expected.txt").read_text().removesuffix("\n")
    ids = list(stories.tokenizer.encode(expected))
    [(_, new)] = all_batches(stories.generation([(stories.tokenizer.bos_id,)], [0], Sampling(len(ids), 0, 1)))
    assert new == ids
    assert stories.generate([""], len(ids), temperature=0) == [expected]


def test_generate_returns_only_the_new_text(stories, data) -> None:
    expected = (data / "tiny_llama/stories260K.expected.txt").read_text()
    prompt = "Once upon a time, there was a little girl"
    for spaces in ("", " "):
        [text] = stories.generate([prompt + spaces], max_gen_len=40, temperature=0)
        assert len(text) > 50 and expected.startswith(f"{prompt} {text}")
