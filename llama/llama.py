"""LLaMA for people who import it: a loaded checkpoint that scores and continues texts."""

from collections.abc import Iterator, Sequence

import torch
from fairscale.nn.model_parallel.initialize import get_model_parallel_rank, get_model_parallel_world_size
from torch import Tensor

from llama.checkpoint import Checkpoint, load_weights, open_checkpoint, resolve_dtype
from llama.generation import generate
from llama.model import Transformer
from llama.parallel import Launch, start, world_size
from llama.scoring import Request, score
from llama.tokenizer import Tokenizer


class LLaMA:
    """A model and its tokenizer.

    Args:
        model: In evaluation mode, on its device.
        tokenizer: Its tokenizer.
        max_batch_size: Rows a batch. Scores do not depend on it.
    """

    def __init__(self, model: Transformer, tokenizer: Tokenizer, max_batch_size: int = 16):
        self.model = model
        self.tokenizer = tokenizer
        self.max_batch_size = max_batch_size

    def score(self, requests: Sequence[Request]) -> Iterator[tuple[int, Tensor]]:
        """`llama.scoring.score` with this model: (index, log-probabilities of target and EOS) as they come."""
        self.check_lengths([len(request.context) + len(request.target) for request in requests])
        return score(self.model, requests, self.tokenizer.eos_id, self.max_batch_size)

    def generate_tokens(
        self,
        contexts: Sequence[tuple[int, ...]],
        seeds: Sequence[int],
        max_gen_len: int,
        temperature: float,
        top_p: float,
    ) -> Iterator[tuple[int, list[int]]]:
        """`llama.generation.generate` with this model: (index, new ids) as they are computed."""
        if temperature < 0:
            raise ValueError(f"temperature {temperature}: expected 0 or more")
        if not 0 <= top_p <= 1:
            raise ValueError(f"top_p {top_p}: expected 0 to 1")
        self.check_lengths([len(context) + max_gen_len for context in contexts])
        eos_id = self.tokenizer.eos_id
        return generate(self.model, contexts, seeds, eos_id, max_gen_len, temperature, top_p, self.max_batch_size)

    def check_lengths(self, lengths: Sequence[int]) -> None:
        limit = self.model.args.max_seq_len
        for row, length in enumerate(lengths):
            if length > limit:
                raise ValueError(f"row {row}: {length} tokens, the model takes at most {limit} (max_seq_len)")

    def compute_log_probs(
        self, prompts: Sequence[str], completions: Sequence[str], score_eos: bool = True
    ) -> list[float]:
        """Log-probability in nats of each completion after its prompt, joined by one space.

        Args:
            prompts: Texts; BOS is put before each.
            completions: As many texts.
            score_eos: Include the end of sequence after the completion.

        Raises:
            ValueError: A prompt with its completion is longer than the model takes.
        """
        requests = [Request(*self.tokenizer.encode_pair(*pair)) for pair in zip(prompts, completions, strict=True)]
        sums = [0.0] * len(requests)
        for index, log_probs in self.score(requests):
            sums[index] = float((log_probs if score_eos else log_probs[:-1]).double().sum())
        return sums

    def generate(
        self, prompts: Sequence[str], max_gen_len: int, temperature: float = 0.8, top_p: float = 0.95, seed: int = 0
    ) -> list[str]:
        """Continue each prompt; the new text only, without the space that follows the prompt.

        Args:
            max_gen_len: At most so many new tokens.
            temperature: 0 is greedy.
            top_p: Mass of the most probable tokens to draw from.
            seed: Row i draws from a generator of its own, seeded with seed + i.

        Raises:
            ValueError: A prompt leaves no room for `max_gen_len` tokens, or an option is out of range.
        """
        contexts = [self.tokenizer.encode_pair(prompt, "")[0] for prompt in prompts]
        seeds = range(seed, seed + len(contexts))
        texts = [""] * len(contexts)
        for index, new in self.generate_tokens(contexts, seeds, max_gen_len, temperature, top_p):
            texts[index] = self.tokenizer.decode(new)
        return texts


def load_model(checkpoint: Checkpoint, launch: Launch, dtype: torch.dtype) -> Transformer:
    """This rank's part of the model, on its device, in evaluation mode."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # fairscale's layers allocate in it
    try:
        model = Transformer(checkpoint.args)
    finally:
        torch.set_default_dtype(default)
    rotary = model.rotary
    model.to("meta")  # gives back the memory that fairscale's layers took: the weights are put in their place
    weights = load_weights(checkpoint, get_model_parallel_rank(), get_model_parallel_world_size(), dtype, launch.device)
    model.load_state_dict(weights, strict=True, assign=True)
    model.rotary = rotary
    return model.to(launch.device).eval().requires_grad_(False)


def load(
    ckpt_dir: str,
    tokenizer_path: str | None = None,
    max_seq_len: int | None = None,
    max_batch_size: int = 16,
    dtype: str = "auto",
) -> LLaMA:
    """Open, check and load a checkpoint in Meta's format; the model-parallel size is the world size.

    >>> llama = load("checkpoints/tiny")
    >>> llama.compute_log_probs(["Article: Rain stopped play.\\nCategory:"], ["Sports"])

    Args:
        ckpt_dir: Folder, or a name below checkpoints/ or checkpoints/llama/.
        tokenizer_path: None: tokenizer.model in the folder or its parent.
        max_seq_len: Tokens; None: that of params.json, else 1024.
        max_batch_size: Rows a batch.
        dtype: auto, float32, bfloat16 or float16.

    Raises:
        CheckpointError: See `llama.checkpoint.open_checkpoint` and `llama.parallel.start`.
    """
    checkpoint = open_checkpoint(ckpt_dir, tokenizer_path, max_seq_len, world_size())
    launch = start()
    model = load_model(checkpoint, launch, resolve_dtype(dtype, checkpoint, launch.device))
    return LLaMA(model, checkpoint.tokenizer, max_batch_size)
