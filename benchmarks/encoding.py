"""Costs of encoding prompts: time, memory of the token ids, and a comparison with texts encoded whole.

python benchmarks/encoding.py --ckpt_dir checkpoints/smollm2-135m --examples 200000 --k 1
torchrun --nproc_per_node 2 benchmarks/encoding.py ...      # processes that share the work
"""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import csv
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from workload import MAX_GEN_LEN, METHODS, UNLIMITED, Setting, make_prompts

from evaluate.requests import encode_together
from llama import Request, Tokenizer
from llama.checkpoint import open_checkpoint
from llama.parallel import finish, is_rank_0, start
from llama.prefix_tree import common_length
from llama.prompts import LABEL_WORD, TEXT, fill
from preprocess.errors import InputError
from preprocess.files import PathFlag
from preprocess.prompts import Prompt


@dataclass(frozen=True)
class EncodingConfig:
    """Encode prompts of AG News, and print time and memory.

    Args:
        ckpt_dir: Checkpoint with the tokenizer.
        methods: Comma-separated: direct, channel, generate.
        examples: Number of examples. After all rows of AG News, titles are joined to the descriptions of other rows.
        k: Demonstrations of each class.
        checked: Number of examples, drawn at random, whose ids are compared with those of the whole text.
        data: Folder with ag_news/ and llama_tokenizer/tokenizer.model.
    """

    ckpt_dir: PathFlag = "checkpoints/tiny"
    methods: str = "direct,channel,generate"
    examples: int = 20_000
    k: int = 1
    checked: int = 1_000
    data: PathFlag = "../shared/data"

    def __post_init__(self) -> None:
        for flag, least in (("examples", 1), ("k", 0), ("checked", 0)):
            if getattr(self, flag) < least:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected {least} or more")
        for method in self.methods.split(","):
            if method not in METHODS:
                raise InputError(f"--methods {method}: expected {', '.join(METHODS)}, separated by commas")


def measure(config: EncodingConfig) -> None:
    """Print a row for each method. Times are those of the slowest process, and of all processes together."""
    launch = start()
    for method in config.methods.split(","):
        prompts = prompts_of(config, method)
        tokenizer = open_checkpoint(config.ckpt_dir).tokenizer  # with nothing encoded yet
        room = MAX_GEN_LEN if method == "generate" else 0
        begin = time.perf_counter(), time.process_time()
        encoded = encode_together(launch, prompts, method, tokenizer, UNLIMITED, config.data, room)
        spent = time.perf_counter() - begin[0], time.process_time() - begin[1]
        times = launch.gather(spent)
        if not is_rank_0():
            continue
        drawn = random.Random(0).sample(range(len(prompts)), min(config.checked, len(prompts)))
        differ = 0
        for number in drawn:
            found = [(request.context, request.target) for request in encoded.requests[number]]
            differ += found != list(whole(prompts[number], method, tokenizer))
        seconds, processor = max(times)[0], sum(own for _, own in times)
        print(
            f"{method:8} k = {config.k}: {len(prompts):,} examples in {seconds:.1f} s, {processor:.1f} s of processor"
            f" time, {size(encoded.requests) / 2**20:,.0f} MiB; {differ} of {len(drawn)} differ from the whole text",
            flush=True,
        )
    finish()


def prompts_of(config: EncodingConfig, method: str) -> list[Prompt]:
    """The prompts of one method."""
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(method, examples=1, k=config.k, data=str(config.data))
        (first,) = make_prompts(setting, Path(folder))
    rows = []
    for split in ("test", "train"):
        with (Path(config.data) / "ag_news" / f"{split}.csv").open(newline="", encoding="utf-8") as file:
            rows += [(title.strip(), description.strip()) for _, title, description in csv.reader(file)]
    prompts = []
    for number in range(config.examples):
        place, turn = number % len(rows), number // len(rows)
        text = f"{rows[place][0]} {rows[(place + turn) % len(rows)][1]}".strip()
        prompts.append(replace(first, id=str(number), text=text))
    return prompts


def whole(prompt: Prompt, method: str, tokenizer: Tokenizer) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Context and target of each request by definition: the text in one piece, split where the prompt's tokens end."""
    for word in prompt.label_words if method != "generate" else [""]:
        before, scored = (
            fill(fill(part, TEXT, prompt.text), LABEL_WORD, word) for part in (prompt.prompt, prompt.completion)
        )
        alone = tokenizer.encode_whole(before)
        joint = tokenizer.encode_whole(before + prompt.separator + scored) if method != "generate" else alone
        border = common_length(alone, joint[: len(alone)])
        yield tokenizer.lead(tuple(joint[:border])), tuple(joint[border:])


def size(requests: Sequence[Sequence[Request]]) -> int:
    """Bytes of the requests with their ids; an object that several hold counts once."""
    held = {id(example): example for example in requests}
    for request in (request for example in requests for request in example):
        held |= {id(part): part for part in (request, *request)}
    return sys.getsizeof(requests) + sum(map(sys.getsizeof, held.values()))


run(EncodingConfig, measure)
