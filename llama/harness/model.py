"""The model interface of lm-evaluation-harness. All requests of a call are planned together."""

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import jinja2
import torch
import torch.distributed as dist
from fairscale.nn.model_parallel.initialize import (
    get_data_parallel_group,
    get_data_parallel_rank,
    get_data_parallel_world_size,
    get_model_parallel_world_size,
)
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook, TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from torch import Tensor
from tqdm import tqdm

from llama.checkpoint import Checkpoint, open_checkpoint, resolve_dtype
from llama.errors import CheckpointError
from llama.formats.config import read_config
from llama.generation import Generation, Sampling
from llama.harness.encoding import open_encoding
from llama.harness.options import ModelOptions, check_batch_size, check_device, read_max_batch_size, read_options
from llama.llama import LLaMA, load_model
from llama.parallel import is_rank_0, start, world_size
from llama.params import weight_shapes
from llama.scoring import Request
from llama.shared import Computation, all_batches

log = logging.getLogger("lm_eval.llama")  # the harness configures the loggers below lm_eval
T = TypeVar("T")

MAX_GEN_TOKS = 256  # default, as in the harness's model `hf`
LONGEST_RUN = timedelta(days=365)  # maximum time to wait for other processes
GENERATION = {"until", "max_gen_toks", "do_sample", "temperature", "top_p"}  # supported generation_kwargs
OF_SAMPLING = {"top_k", "min_p", "typical_p"}  # generation_kwargs that greedy decoding ignores


@register_model("llama")
class HarnessModel(TemplateLM):
    """A checkpoint as a model of the harness.

    Args:
        batch_size: Of the harness; without effect, because batches are planned by tokens (`max_batch_tokens`).
        max_batch_size: Maximum number of rows in a batch.
        device: Of the harness; each process uses the CUDA device of its rank, else the CPU.
        model_args: See `llama.harness.options.ModelOptions`.

    Raises:
        CheckpointError: An argument or the checkpoint is not valid.
    """

    def __init__(
        self, batch_size: Any = 1, max_batch_size: Any = None, device: str | None = None, **model_args: Any
    ) -> None:
        super().__init__()
        self.options = read_options(model_args)
        check_batch_size(batch_size)
        rows = read_max_batch_size(max_batch_size)
        check_device(device)
        checkpoint = open_whole(self.options)
        self.encoding = open_encoding(checkpoint, self.options.add_bos_token)
        self.tokenizer = self.encoding.theirs
        self.launch = start(checkpoint.model_parallel_size(self.options.model_parallel_size, world_size()))
        self._device = self.launch.device
        self._rank, self._world_size = get_data_parallel_rank(), get_data_parallel_world_size()
        self.dtype = resolve_dtype(self.options.dtype, checkpoint, self.launch.device)
        model = load_model(checkpoint, self.launch, self.dtype)
        self.llama = LLaMA(model, checkpoint.tokenizer, rows, self.options.max_batch_tokens)
        self.barriers = 0

    # Texts and ids

    @property
    def eot_token_id(self) -> int:
        return self.encoding.tokenizer.eos_id

    @property
    def prefix_token_id(self) -> int:
        """The token before a text without context."""
        return self.encoding.prefix_id

    @property
    def max_length(self) -> int:
        return self.llama.max_seq_len

    @property
    def max_gen_toks(self) -> int:
        return MAX_GEN_TOKS

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        return self.encoding.encode(string, add_special_tokens)

    @property
    def tokenizer_name(self) -> str:
        name = self.encoding.tokenizer.backend.files[0] if self.tokenizer is None else self.tokenizer.name_or_path
        return str(name).replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The text of a conversation, without its system message if the template refuses it."""
        if self.tokenizer is None or self.tokenizer.chat_template is None:
            raise CheckpointError(
                f"--apply_chat_template: the tokenizer of {self.options.ckpt_dir} has no chat template"
            )

        def apply(history: list[dict[str, str]]) -> str:
            return self.tokenizer.apply_chat_template(
                history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )

        try:
            return apply(chat_history)
        except jinja2.exceptions.TemplateError:
            log.warning("the chat template refuses the conversation; trying without its system message")
            return apply([message for message in chat_history if message["role"] != "system"])

    # Scores

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        return super().loglikelihood(requests, disable_tqdm=disable_tqdm or not is_rank_0())

    def _loglikelihood_tokens(
        self, requests: list[tuple[Any, list[int], list[int]]], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        """The log-probability of each continuation, in nats, and whether greedy decoding would generate it."""
        found = [(0.0, False)] * len(requests)
        computation = self.llama.scoring(self.fit(requests), score_eos=False, greedy=True)
        for index, scores in self.progress("loglikelihood", computation, len(requests), disable_tqdm):
            found[index] = (float(scores[:, 0].double().sum()), bool(scores[:, 1].all()))
            self.cache_hook.add_partial("loglikelihood", requests[index][0], found[index])
        return found

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """The log-probability of each text, in nats, computed in windows of `max_length` tokens."""
        windows: list[tuple[int, list[int], list[int]]] = []
        for index, request in enumerate(requests):
            tokens = self.tok_encode(request.args[0])
            parts = get_rolling_token_windows(tokens, self.prefix_token_id, self.max_length, context_len=1)
            windows += [(index, *make_disjoint_window(part)) for part in parts]
        sums = [0.0] * len(requests)
        missing = [0] * len(requests)
        for index, _, _ in windows:
            missing[index] += 1
        computation = self.llama.scoring(self.fit(windows), score_eos=False)
        for number, scores in self.progress("loglikelihood_rolling", computation, len(windows), disable_tqdm):
            index = windows[number][0]
            sums[index] += float(scores.double().sum())
            missing[index] -= 1
            if not missing[index]:
                self.cache_hook.add_partial("loglikelihood_rolling", requests[index].args, sums[index])
        return sums

    def fit(self, requests: Sequence[tuple[Any, list[int], list[int]]]) -> list[Request]:
        """Requests with contexts truncated on the left to fit the model. The last token is not fed to the model."""
        fitting, cut = [], 0
        held: dict[tuple[int, ...], tuple[int, ...]] = {}  # each context once
        for texts, context, target in requests:
            if not 0 < len(target) <= self.max_length:
                raise CheckpointError(
                    f"a continuation has {len(target)} tokens, expected 1 to {self.max_length}: {texts[1][:80]!r}"
                )
            kept = tuple(context[-(self.max_length + 1 - len(target)) :]) or (self.prefix_token_id,)
            cut += len(kept) < len(context)
            fitting.append(Request(held.setdefault(kept, kept), tuple(target)))
        if cut:
            log.warning("truncated %d contexts on the left: the model takes %d tokens", cut, self.max_length)
        return fitting

    # Generation

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The continuation of each context, up to the first stop string."""
        texts = [""] * len(requests)
        groups: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True), []).append(index)
        for indices in groups.values():
            kwargs = requests[indices[0]].args[1]
            sampling, stops = self.read_generation(kwargs)
            computation = self.generation([requests[index].args[0] for index in indices], indices, sampling, stops)
            for place, new in self.progress("generate_until", computation, len(indices), disable_tqdm):
                index = indices[place]
                texts[index] = postprocess_generated_text(self.encoding.decode(new), stops, None)
                self.cache_hook.add_partial("generate_until", requests[index].args, texts[index])
        return texts

    def read_generation(self, kwargs: dict[str, Any]) -> tuple[Sampling, list[str]]:
        """Sampling and stop strings from generation_kwargs, with the harness's defaults."""
        stated = dict(normalize_gen_kwargs(kwargs, self.max_gen_toks))
        stops = handle_stop_sequences(stated["until"], self.encoding.decode([self.eot_token_id], False))
        length, sampled = stated["max_gen_toks"], stated["do_sample"]
        unknown = stated.keys() - GENERATION - ({"num_beams"} if stated.get("num_beams") == 1 else set())
        unknown -= set() if sampled else OF_SAMPLING
        if unknown:
            known = ", ".join(sorted(GENERATION))
            raise CheckpointError(f"generation_kwargs: {min(unknown)} is not supported; expected {known}")
        if not 0 <= length < self.max_length:
            raise CheckpointError(f"generation_kwargs: max_gen_toks {length}, expected less than {self.max_length}")
        temperature, top_p = float(stated.get("temperature", 0)) if sampled else 0.0, float(stated.get("top_p", 1))
        if not (0 <= temperature < math.inf and 0 <= top_p <= 1):
            raise CheckpointError(
                f"generation_kwargs: temperature {temperature}, top_p {top_p}; expected 0 or more, 0 to 1"
            )
        return Sampling(length, temperature, top_p), stops

    def generation(
        self, contexts: Sequence[str], numbers: Sequence[int], sampling: Sampling, stops: Sequence[str]
    ) -> Generation:
        """Contexts to continue, truncated on the left to leave room for new tokens.

        Args:
            numbers: Indices of the requests in the call; each has its own seed.
        """
        ids = [tuple(self.tok_encode(context)) or (self.prefix_token_id,) for context in contexts]
        kept = [context[-(self.max_length - sampling.max_gen_len) :] for context in ids]
        cut = sum(len(one) < len(other) for one, other in zip(kept, ids, strict=True))
        if cut:
            log.warning("truncated %d contexts on the left to %d tokens", cut, self.max_length - sampling.max_gen_len)
        seeds = [torch.initial_seed() + number * self.world_size + self.rank for number in numbers]
        ends = {*self.llama.tokenizer.end_ids, self.eot_token_id}

        def is_complete(new: list[int]) -> bool:
            text = self.encoding.decode(new, skip_special_tokens=False)
            return any(stop in text for stop in stops if stop)

        return Generation(self.llama.model, kept, seeds, ends, sampling, self.llama.limits, is_complete)

    # Processes

    def progress(
        self, name: str, computation: Computation[T], total: int, disable_tqdm: bool
    ) -> Iterator[tuple[int, T]]:
        """The results of all batches, with a progress bar on rank 0."""
        disable = disable_tqdm or not is_rank_0()
        return iter(tqdm(all_batches(computation), total=total, desc=f"Running {name} requests", disable=disable))

    def all_gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all replicas, concatenated."""
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor, group=get_data_parallel_group())
        return torch.cat(torch.atleast_1d(*parts))

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        """The objects of all replicas on replica `dst`, None on the others."""
        group = get_data_parallel_group()
        parts = [None] * self.world_size if self.rank == dst else None
        dist.gather_object(obj, parts, dst=dist.get_global_rank(group, dst), group=group)
        return parts

    def barrier(self) -> None:
        """Wait for all processes, however long they take: a collective operation fails after half an hour."""
        self.barriers += 1
        names = [f"barrier {self.barriers} rank {rank}" for rank in range(self.launch.world_size)]
        self.launch.store.set(names[self.launch.rank], "")
        self.launch.store.wait(names, LONGEST_RUN)

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        if cache_hook.dbdict is not None and get_model_parallel_world_size() > 1:
            raise CheckpointError("--use_cache: cannot be combined with `model_parallel_size` above 1")
        super().set_cache_hook(cache_hook)

    def get_model_info(self) -> dict[str, Any]:
        """Facts about the model for the harness's results file."""
        model = self.llama.model
        return {
            "model_num_parameters": sum(math.prod(shape) for shape, _ in weight_shapes(model.args).values()),
            "model_dtype": str(self.dtype),
            "model_revision": self.options.revision or "main",
        }


def open_whole(options: ModelOptions) -> Checkpoint:
    """The checkpoint, with all positions of the model by default, as in the harness's model `hf`."""
    checkpoint = open_checkpoint(options.ckpt_dir, options.tokenizer_path, options.max_seq_len, options.revision)
    if options.max_seq_len is not None or checkpoint.files[0].name != "config.json":
        return checkpoint
    positions = read_config(checkpoint.files[0])["max_position_embeddings"]
    return (
        checkpoint if positions == checkpoint.args.max_seq_len else open_whole(replace(options, max_seq_len=positions))
    )
