"""The Python interface: a loaded checkpoint that scores, classifies and continues texts."""

from collections.abc import Sequence
from typing import Any

import torch
from fairscale.nn.model_parallel.initialize import get_model_parallel_rank, get_model_parallel_world_size

from llama.batches import Limits
from llama.checkpoint import Checkpoint, compute_dtype, load_weights, open_checkpoint, resolve_dtype
from llama.classify import Classification, Question, classify, strings
from llama.errors import CheckpointError
from llama.generation import Generation, Sampling
from llama.int8 import quantize_layers
from llama.model import Transformer
from llama.parallel import Launch, start, world_size
from llama.scoring import Request, Scoring
from llama.shared import all_batches, is_out_of_memory
from llama.stops import cut_at_stop, find_stop
from llama.tokenizer import Tokenizer

TOKENS = {"cpu": 2048, "cuda": 16384}  # in a batch: enough for matrix products to reach their full rate


class LLaMA:
    """A model and its tokenizer.

    Args:
        model: In evaluation mode, on its device.
        tokenizer: Its tokenizer.
        max_batch_size: Maximum rows of a batch; None: limited only by `max_batch_tokens`. Scores do not depend on it.
        max_batch_tokens: Maximum tokens of a batch; None: 2,048 on a CPU, 16,384 on CUDA.
        fingerprint: Fingerprint of the checkpoint, as in results; None: unknown.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        max_batch_size: int | None = None,
        max_batch_tokens: int | None = None,
        fingerprint: str | None = None,
    ):
        self.model = model
        self.tokenizer = tokenizer
        self.fingerprint = fingerprint
        tokens = TOKENS[model.norm.weight.device.type] if max_batch_tokens is None else max_batch_tokens
        self.limits = Limits(tokens, max_batch_size)

    @property
    def max_seq_len(self) -> int:
        """Maximum number of tokens of a prompt with its completion."""
        return self.model.args.max_seq_len

    def scoring(self, requests: Sequence[Request], score_eos: bool = True, greedy: bool = False) -> Scoring:
        """Requests to score, in batches.

        Args:
            score_eos: Also score the end of sequence after the target.
            greedy: Also find out which tokens greedy decoding would choose; see `llama.scoring.Scoring.compute`.

        Raises:
            ValueError: A request is longer than `max_seq_len`.
        """
        self.check_lengths([request.length - (not score_eos) for request in requests])
        return Scoring(self.model, requests, self.tokenizer.eos_id if score_eos else None, self.limits, greedy)

    def generation(
        self, contexts: Sequence[tuple[int, ...]], seeds: Sequence[int], sampling: Sampling, stop: Sequence[str] = ()
    ) -> Generation:
        """Contexts to continue, in batches.

        Args:
            contexts: Token ids.
            seeds: One for each context.
            sampling: How tokens are sampled.
            stop: Strings that end a continuation.

        Raises:
            ValueError: An option is out of range, or a context with its continuation is longer than `max_seq_len`.
        """

        def is_complete(new: list[int]) -> bool:
            return bool(stop) and find_stop(self.tokenizer.decode_continuation(new), stop) is not None

        if not 0 <= sampling.temperature < float("inf"):
            raise ValueError(f"temperature {sampling.temperature}: expected a finite number, 0 or more")
        if sampling.max_gen_len < 0:
            raise ValueError(f"max_gen_len {sampling.max_gen_len}: expected 0 or more")
        if "" in strings("stop", stop):
            raise ValueError("stop: contains an empty string, which would end every text immediately")
        if not 0 <= sampling.top_p <= 1:
            raise ValueError(f"top_p {sampling.top_p}: expected 0 to 1")
        self.check_lengths([len(context) + sampling.max_gen_len for context in contexts])
        return Generation(self.model, contexts, seeds, self.tokenizer.end_ids, sampling, self.limits, is_complete)

    def check_lengths(self, lengths: Sequence[int]) -> None:
        """Raises ValueError if one of the lengths, in tokens, exceeds `max_seq_len`."""
        for row, length in enumerate(lengths):
            if length > self.max_seq_len:
                raise ValueError(
                    f"row {row}: {length} tokens, the model takes at most {self.max_seq_len} (max_seq_len)"
                )

    def compute_log_probs(
        self,
        prompts: Sequence[str],
        completions: Sequence[str] | Sequence[Sequence[str]],
        score_eos: bool = True,
        separator: str = " ",
    ) -> list[Any]:
        """Log-probabilities in nats of completions after their prompts.

        >>> llama.compute_log_probs(["The capital of France is"], [["Paris", "Rome"]])

        Args:
            prompts: Texts; each is encoded with BOS if the tokenizer has one.
            completions: For each prompt a list of texts, or one text.
            score_eos: Include the end of sequence after the completion.
            separator: The text between prompt and completion, see `Tokenizer.encode_pair`.

        Returns:
            For each prompt a list of numbers, or one number.

        Raises:
            ValueError: A prompt with its completion is longer than `max_seq_len`.
        """
        if isinstance(prompts, str) or isinstance(completions, str) or len(prompts) != len(completions):
            raise ValueError("completions: expected one text or one list of texts for each of a list of prompts")
        lists = [[given] if isinstance(given, str) else list(given) for given in completions]
        pairs = [(prompt, text) for prompt, texts in zip(prompts, lists, strict=True) for text in texts]
        sums = iter(self.sum_log_probs([Request(*self.tokenizer.encode_pair(*p, separator)) for p in pairs], score_eos))
        nested = [[next(sums) for _ in texts] for texts in lists]
        return [row[0] if isinstance(given, str) else row for row, given in zip(nested, completions, strict=True)]

    def sum_log_probs(self, requests: Sequence[Request], score_eos: bool) -> list[float]:
        """Log-probability in nats of the target of each request, summed in float64.

        Args:
            score_eos: Include the end of sequence after the target.
        """
        sums = [0.0] * len(requests)
        for index, log_probs in all_batches(self.scoring(requests)):
            sums[index] = float((log_probs if score_eos else log_probs[:-1]).double().sum())
        return sums

    def classify(
        self,
        texts: Sequence[str],
        label_words: Sequence[str],
        prompt: str = "Article: {text}\nCategory:",
        method: str = "direct",
        demonstrations: Sequence[tuple[str, str]] = (),
        calibrate: str | None = None,
        score_eos: bool = True,
        separator: str = " ",
    ) -> Classification:
        """The most probable label word of each text; see `llama.classify`.

        >>> llama.classify(["Rain stopped play."], ["World", "Sports"]).labels
        ['Sports']

        Args:
            texts: The texts to classify. A text that is too long is cut at its end, by whole words.
            label_words: The classes, at least two.
            prompt: Contains {text}, and the label word follows it; or {label_word}, and the text follows it; or both,
                as a template. The lines of text and label word are swapped if the method requires it.
            method: direct: p(label word | text). channel: p(text | label word).
            demonstrations: Pairs of a text and its label word, shown before each text.
            calibrate: None; contextual: divide by the distribution of the text "N/A" (direct only); batch: divide by
                the mean distribution of the texts, which assumes balanced classes.
            score_eos: Include the end of sequence in the scores.
            separator: The text between prompt and label word (or text), see `Tokenizer.encode_pair`.

        Raises:
            ValueError: An argument is invalid; the message names it, what was found and what was expected.
        """
        words, shown = strings("label_words", label_words), tuple(map(tuple, demonstrations))
        question = Question(tuple(words), prompt, method, shown, separator)
        return classify(self, strings("texts", texts), question, calibrate, score_eos)

    def generate(
        self,
        prompts: Sequence[str],
        max_gen_len: int,
        temperature: float = 0.8,
        top_p: float = 0.95,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> list[str]:
        """Continuations of the prompts: only the new text, without the space after the prompt.

        Args:
            max_gen_len: Maximum number of new tokens.
            temperature: 0 is greedy decoding.
            top_p: Total probability of the tokens to sample from, the most probable first.
            seed: Prompt i has its own generator, seeded with seed + i.
            stop: Strings that end a text; they are not part of it. White space alone does not end a text before its
                first other character.

        Raises:
            ValueError: A prompt with `max_gen_len` tokens is too long, or an option is out of range.
        """
        contexts = [self.tokenizer.encode_pair(prompt, "")[0] for prompt in strings("prompts", prompts)]
        seeds = range(seed, seed + len(contexts))
        sampling = Sampling(max_gen_len, temperature, top_p)
        texts = [""] * len(contexts)
        for index, new in all_batches(self.generation(contexts, seeds, sampling, stop)):
            texts[index] = cut_at_stop(self.tokenizer.decode_continuation(new), stop)
        return texts


def load_model(checkpoint: Checkpoint, launch: Launch, dtype: torch.dtype) -> Transformer:
    """This rank's part of the model, on its device, in evaluation mode."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(compute_dtype(dtype))  # fairscale's layers allocate in it
    try:
        model = Transformer(checkpoint.args)
    finally:
        torch.set_default_dtype(default)
    rotary = model.rotary
    model.to("meta")  # frees the memory of fairscale's layers; the weights replace them
    if dtype == torch.int8:
        quantize_layers(model)
    rank, ranks = get_model_parallel_rank(), get_model_parallel_world_size()
    try:
        weights = load_weights(checkpoint, rank, ranks, dtype, launch.device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise CheckpointError(
            f"{checkpoint.folder}: the weights do not fit into the memory of {launch.device} in {str(dtype)[6:]}:"
            " try another `dtype`, or more processes (`model_parallel_size`)"
        ) from None
    if checkpoint.args.tied_output:
        weights["output.weight"] = weights["tok_embeddings.weight"]  # the same memory
    model.load_state_dict(weights, strict=True, assign=True)
    model.rotary = rotary
    return model.to(launch.device).eval().requires_grad_(False)


def load(
    ckpt_dir: str,
    tokenizer_path: str | None = None,
    max_seq_len: int | None = None,
    max_batch_size: int | None = None,
    max_batch_tokens: int | None = None,
    dtype: str = "auto",
    model_parallel_size: int | None = None,
    revision: str | None = None,
) -> LLaMA:
    """Open, check and load a checkpoint. A process group is started unless there is one.

    >>> llama = load("checkpoints/tiny")
    >>> llama.compute_log_probs(["Article: Rain stopped play.\\nCategory:"], ["Sports"])

    Args:
        ckpt_dir: Checkpoint folder (Meta's or Hugging Face's format, or a peft adapter), its name in checkpoints/ or
            checkpoints/llama/, or OWNER/NAME on the Hugging Face hub.
        tokenizer_path: None: the tokenizer in the folder, or tokenizer.model in the parent of Meta's.
        max_seq_len: Maximum sequence length in tokens; None: that of params.json, else 1024; for Hugging Face folders
            all positions, at most 4,096.
        max_batch_size: Maximum rows of a batch; None: limited only by `max_batch_tokens`.
        max_batch_tokens: Maximum tokens of a batch; None: 2,048 on a CPU, 16,384 on CUDA.
        dtype: auto, float32, bfloat16, float16 or int8 (see `llama.int8`; needs bitsandbytes).
        model_parallel_size: Processes that share one copy of the weights; None: the number of shards if it divides the
            number of processes, else 1.
        revision: Branch, tag or commit of a model on the hub; None: main.

    Raises:
        CheckpointError: See `llama.checkpoint.open_checkpoint`, its fingerprint, and `llama.parallel.start`.
    """
    checkpoint = open_checkpoint(ckpt_dir, tokenizer_path, max_seq_len, revision)
    checkpoint.start_hashing()
    launch = start(checkpoint.model_parallel_size(model_parallel_size, world_size()))
    model = load_model(checkpoint, launch, resolve_dtype(dtype, checkpoint, launch.device))
    return LLaMA(model, checkpoint.tokenizer, max_batch_size, max_batch_tokens, checkpoint.fingerprint())
