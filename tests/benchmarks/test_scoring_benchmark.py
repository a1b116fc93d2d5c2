"""benchmarks/scoring.py on the smallest shape, run as by a user: differences, token counts, messages."""

import csv
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor

EXAMPLES, NEW = 4, 8  # NEW: tokens that are generated
DIM, LAYERS = 16, 2  # of the smallest shape
WORDS = {
    "direct": ["World", "Sports", "Business", "Science and technology"],
    "channel": ["World", "Sports"],  # the first topics of the benchmark's list
    "generate": [""],
}
COMMANDS = {
    "direct": "--method direct --systems product,naive,transformers",
    "channel": "--method channel --systems product,naive --labels 2",
    "generate": "--method generate --systems product,naive",
    "unknown shape": "--params 2M",
    "no data": "--data missing",
}


@pytest.fixture(scope="module")
def runs(root: Path, data: Path) -> dict[str, subprocess.CompletedProcess]:
    """All commands, run at the same time, because most of their time is spent on imports."""
    common = [f"--examples={EXAMPLES}", "--k=0", "--params=1M", "--repeats=1", f"--data={data}"]
    running = {}
    for name, flags in COMMANDS.items():
        running[name] = subprocess.Popen(
            [sys.executable, "benchmarks/scoring.py", *common, *flags.split()],
            cwd=root,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    done = {}
    for name, process in running.items():
        out, err = process.communicate(timeout=300)
        done[name] = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    return done


def hand_encoded(data: Path, method: str) -> list[list[list[int]]]:
    """The input ids of each example for each label word."""
    processor = SentencePieceProcessor(str(data / "llama_tokenizer/tokenizer.model"))
    with (data / "ag_news/test.csv").open(encoding="utf-8", newline="") as file:
        texts = [f"{row[1]} {row[2]}".strip() for row in itertools.islice(csv.reader(file), EXAMPLES)]
    form = "Category: {word}\nArticle: {text}" if method == "channel" else "Article: {text}\nCategory: {word}"
    filled = [[form.format(text=text, word=word).rstrip(" ") for word in WORDS[method]] for text in texts]
    return [[[processor.bos_id(), *processor.encode(text)] for text in example] for example in filled]


def prefixes(sequences: list[list[int]]) -> set[tuple[int, ...]]:
    return {tuple(ids[:end]) for ids in sequences for end in range(1, len(ids) + 1)}


@pytest.mark.parametrize("method", WORDS)
def test_differences_and_token_counts(runs: dict, data: Path, method: str) -> None:
    assert runs[method].returncode == 0, runs[method].stderr
    result = json.loads(runs[method].stdout.splitlines()[-1])
    systems = result["systems"]
    assert list(systems) == COMMANDS[method].split()[3].split(",")
    examples = hand_encoded(data, method)
    sequences = [ids for example in examples for ids in example]
    continued = NEW - 1 if method == "generate" else 0  # the last generated token is not fed
    longest = max(map(len, sequences))
    distinct = len(prefixes(sequences)) + len(sequences) * continued
    padded = len(sequences) * (longest + continued)
    assert result["distinct_tokens"] == distinct
    assert systems["naive"]["tokens"] == padded
    assert distinct <= systems["product"]["tokens"] <= padded
    if method != "generate":
        attended = sum(map(len, prefixes(sequences)))
        seconds = result["limit_with_attention_seconds"] - result["limit_seconds"]
        assert seconds * result["rate"] == pytest.approx(2 * 2 * DIM * LAYERS * attended)
    if method == "direct":  # scored from `:`, World, Sports, Business, Science, and, technology
        assert result["scored_positions"] == EXAMPLES * 7
    for row in systems.values():
        assert row["difference"] < 1e-4
        assert row["rows_with_other_tokens"] == 0
        assert row["examples"] == EXAMPLES
        assert row["seconds"] > 0
    assert 0 < result["fraction_of_limit"] < 1
    assert systems["product"]["ratio"] == 1


def test_verdict_on_the_naive_reference(runs: dict) -> None:
    """Either verdict is possible: for so small a model, nearly all time is spent on the logits of 32,000 tokens."""
    result = json.loads(runs["direct"].stdout.splitlines()[-1])
    times = [result["systems"][system]["seconds"] for system in ("naive", "transformers")]
    assert result["naive_over_transformers"] == pytest.approx(times[0] / times[1])
    assert result["naive_is_fair"] == (times[0] <= 1.3 * times[1])
    verdict = "fair" if result["naive_is_fair"] else "unfair"
    assert f"x the time of transformers: {verdict}\n" in runs["direct"].stdout


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("unknown shape", "error: --params 2M: expected 1M, 15M, 134M, 1B, 7B, 8B, 13B"),
        ("no data", "error: missing/ag_news: missing; AG News and LLaMA's tokenizer are needed (--data)"),
    ],
)
def test_refusals(runs: dict, name: str, line: str) -> None:
    assert runs[name].returncode == 2
    assert runs[name].stdout == ""
    assert runs[name].stderr.splitlines() == [line]
