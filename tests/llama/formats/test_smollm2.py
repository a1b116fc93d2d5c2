"""A real pretrained model, SmolLM2-135M, against transformers on the same folder (from `make smollm2`)."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from llama import LLaMA, Request, load
from llama.generation import Sampling
from llama.shared import all_batches

transformers = pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

WORDS = ("World", "Sports", "Business", "Science and technology")
SHOWN = "Article: Stocks rose on Friday.\nCategory: Business\nArticle: The final ended in a draw.\nCategory: Sports\n"
SHOWN_CHANNEL = "Category: Business\nArticle: Stocks rose on Friday.\nCategory: Sports\nArticle: A draw.\n"


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    path = root / "checkpoints/smollm2-135m"
    if not (path / "config.json").is_file():
        pytest.skip(f"needs {path}: make smollm2")
    return path


@pytest.fixture(scope="module")
def ours(folder: Path, one_process: None) -> LLaMA:
    return load(str(folder), dtype="float32")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def texts(data: Path) -> list[str]:
    with (data / "ag_news/test.csv").open(newline="") as file:
        return [f"{title} {description}" for _, title, description in list(csv.reader(file))[:50]]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["direct", "channel"])
def test_log_probs(method, ours, theirs, texts, folder) -> None:
    if method == "direct":
        pairs = [(f"{SHOWN}Article: {text}\nCategory:", word) for text in texts for word in WORDS]
    else:
        pairs = [(f"{SHOWN_CHANNEL}Category: {word}\nArticle:", text) for text in texts for word in WORDS]
    requests = [Request(*ours.tokenizer.encode_pair(*pair)) for pair in pairs]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for index, found in all_batches(ours.scoring(requests)):
        prompt, completion = pairs[index]
        ids = tokenizer(f"{prompt} {completion}").input_ids
        assert [*requests[index].context, *requests[index].target] == ids
        if index % 4 == 1:  # one label word of each text: transformers takes its time
            with torch.inference_mode():
                logits = theirs(torch.tensor([ids])).logits[0].double()
            first, target = len(requests[index].context), torch.tensor([*requests[index].target, ours.tokenizer.eos_id])
            expected = torch.log_softmax(logits[first - 1 :], dim=-1).gather(1, target[:, None])[:, 0]
            torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_greedy_continuation(ours, theirs, texts) -> None:
    prompts = [f"{text[:80]}" for text in texts[:19]] + ["The capital of France is"]
    contexts = [ours.tokenizer.encode_pair(prompt, "")[0] for prompt in prompts]
    new = dict(all_batches(ours.generation(contexts, [0] * 20, Sampling(20, temperature=0, top_p=1))))
    for index, context in enumerate(contexts):
        ids = torch.tensor([context])
        tokens = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=20,
            do_sample=False,
            pad_token_id=0,
        )[0, len(context) :].tolist()
        assert new[index] == [token for token in tokens if token not in ours.tokenizer.end_ids]
    assert ours.tokenizer.decode_continuation(new[19]).startswith("Paris")
