"""Trains the tiny checkpoint: a small LLaMA from random weights, in Meta's format, resumable, on CPU processes.

The recipe is that of GPT (AdamW, warm-up, cosine), on documents of similar length, with a few small batches per step.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from llama import Tokenizer, Transformer
from llama.formats.meta import Params
from llama.parallel import Launch, finish, start
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable
from preprocess.prompts import METHODS
from tiny_llama.corpus import Document, Labelled, batches, blocks, documents, news
from tiny_llama.held_out import accuracy, check_lengths, hold_out
from tiny_llama.state import Log, draw_loss, resume, save_state, write_checkpoint
from tiny_llama.tokenizer import train_tokenizer

LEAST = {"n_layers": 1, "n_heads": 1, "epochs": 1, "written_blocks": 0, "batches_per_step": 1, "warmup_steps": 0}
LEAST |= {"seed": 0, "evaluate_every": 1, "limit": 0}
BETAS, WEIGHT_DECAY, CLIP, INIT_STD, FLOOR = (0.9, 0.95), 0.1, 1.0, 0.02, 0.02


@dataclass(frozen=True)
class PretrainConfig:
    """Train the tiny demonstration checkpoint. The same command resumes an interrupted run.

    Args:
        news_path: AG News' training rows, in the original csv format without a header.
        docbank_path: Folder of DocBank samples.
        output_dir: Output folder for params.json, consolidated.00.pth and tokenizer.model.
        run_dir: Folder for the training state, the log and the loss curve.
        dim: Model width.
        n_layers: Number of layers.
        n_heads: Number of attention heads.
        vocab_size: Vocabulary size of the tokenizer.
        max_seq_len: Maximum length of a sequence or document, and tokens in a batch including padding.
        epochs: Passes over the texts. A resumed run may change it; the cosine schedule then ends there.
        written_blocks: Number of generated blocks of each class, new in each epoch.
        batches_per_step: Batches in a step, over all processes.
        learning_rate: Peak learning rate; cosine decay to 2 % of it.
        warmup_steps: Steps of linear warm-up.
        seed: Random seed of the weights, the documents and their order.
        evaluate_every: Evaluate on held-out rows and save the state every N steps.
        compile: Compile the loss (needs a C++ compiler and a minute; then 1.5 times as fast).
        limit: Use only the first N news rows (for tests); 0 uses all.
    """

    news_path: PathFlag = "data/ag_news/train.csv"
    docbank_path: PathFlag = "data/docbank"
    output_dir: PathFlag = "runs/pretrain_tiny/checkpoint"
    run_dir: PathFlag = "runs/pretrain_tiny"
    dim: int = 192
    n_layers: int = 4
    n_heads: int = 6
    vocab_size: int = 4096
    max_seq_len: int = 1024
    epochs: int = 4
    written_blocks: int = 600
    batches_per_step: int = 6
    learning_rate: float = 2.5e-3
    warmup_steps: int = 80
    seed: int = 1
    evaluate_every: int = 500
    compile: bool = False
    limit: int = 0

    def __post_init__(self) -> None:
        for flag, least in LEAST.items():
            if getattr(self, flag) < least:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected {least} or more")
        if self.dim < 1 or self.dim % (2 * self.n_heads):
            raise InputError(f"--dim {self.dim}: expected a multiple of twice --n_heads {self.n_heads}")
        if self.limit == 1:
            raise InputError("--limit 1: expected 2 or more rows, one of them to measure progress; or 0 for all")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"--learning_rate {self.learning_rate}: expected more than 0")
        for flag in ("output_dir", "run_dir"):
            if not getattr(self, flag):
                raise InputError(f"--{flag}: expected a folder")

    def params(self) -> Params:
        """The content of params.json."""
        return Params(
            self.dim,
            self.n_layers,
            self.n_heads,
            vocab_size=self.vocab_size,
            multiple_of=32,
            max_seq_len=self.max_seq_len,
        )


def pretrain(config: PretrainConfig) -> None:
    """Train, and write a checkpoint in Meta's format to `config.output_dir`."""
    for path in (config.news_path, config.docbank_path):
        if not Path(path).exists():
            raise InputError(f"{path}: no such file or folder (--news_path, --docbank_path)")
    for flag in ("output_dir", "run_dir"):
        check_writable(Path(getattr(config, flag)) / "file", f"--{flag}")
    launch = start(model_parallel_size=1)
    if config.batches_per_step % launch.world_size:
        raise InputError(
            f"--batches_per_step {config.batches_per_step}: expected a multiple of {launch.world_size} processes"
        )
    torch.manual_seed(config.seed)
    run = Path(config.run_dir)
    articles = news(Path(config.news_path))
    articles, held_out = hold_out(replace(articles, pairs=articles.pairs[: config.limit or None]))
    tokenizer = prepare_tokenizer(config, articles, launch)
    check_lengths(held_out, tokenizer, config.max_seq_len)
    steps = [step for epoch in range(config.epochs) for step in epoch_steps(config, articles, tokenizer, epoch)]
    if not steps:
        raise InputError(f"--batches_per_step {config.batches_per_step}: more than an epoch has; no step could be made")
    model = Transformer(config.params().model_args(config.vocab_size))
    initialise(model)
    optimizer = make_optimizer(model, config)
    done = resume(model, optimizer, run / "state.pth", asdict(config))
    loss_function = torch.compile(batch_loss, dynamic=True) if config.compile else batch_loss
    log = Log(run / "log.jsonl", done, launch.rank)
    bar = tqdm(total=len(steps), initial=done, unit="step", disable=launch.rank > 0, dynamic_ncols=True)
    for step in range(done, len(steps)):
        rate = learning_rate(step, len(steps), config)
        loss = train_step(model, optimizer, steps[step], loss_function, rate, launch)
        bar.update()
        bar.set_postfix(loss=f"{loss:.3f}")
        log.write({"step": step + 1, "loss": loss, "learning_rate": rate, "seconds": time.time()})
        if (step + 1) % config.evaluate_every == 0 or step + 1 == len(steps):
            if launch.rank == 0:
                found = {method: accuracy(model, tokenizer, held_out, method) for method in METHODS}
                tqdm.write(f"step {step + 1}: held-out rows, no demonstrations: {found}")
                log.write({"step": step + 1} | found)
                save_state(model, optimizer, step + 1, run / "state.pth", asdict(config))
            dist.barrier()
    bar.close()
    if launch.rank == 0:
        write_checkpoint(model, config.params(), run / "tokenizer.model", Path(config.output_dir))
        draw_loss(run / "log.jsonl", run / "loss.png")
        print(f"checkpoint in {config.output_dir}, loss curve in {run / 'loss.png'}")
    finish()


def prepare_tokenizer(config: PretrainConfig, articles: Labelled, launch: Launch) -> Tokenizer:
    """The run's tokenizer; rank 0 trains it on one epoch of texts in both forms unless it exists."""
    path = Path(config.run_dir) / "tokenizer.model"
    if launch.rank == 0 and not path.exists():
        kinds = (articles, blocks(Path(config.docbank_path), config.written_blocks, np.random.default_rng(config.seed)))
        texts = (kind.template.show(method, *pair) for method in METHODS for kind in kinds for pair in kind.pairs)
        train_tokenizer(texts, path, config.vocab_size)
    dist.barrier()
    tokenizer = Tokenizer(path)
    if tokenizer.n_words != config.vocab_size:
        raise InputError(
            f"{path}: has {tokenizer.n_words} tokens, --vocab_size is {config.vocab_size}; remove it or choose another"
            " --run_dir"
        )
    return tokenizer


def epoch_steps(
    config: PretrainConfig, articles: Labelled, tokenizer: Tokenizer, epoch: int
) -> list[list[list[Document]]]:
    """The batches of each step of an epoch, determined by seed and epoch. An incomplete last step is dropped."""
    generator = np.random.default_rng([config.seed, epoch])
    layout = blocks(Path(config.docbank_path), config.written_blocks, generator)
    all_documents = [
        document
        for kind in (articles, layout)
        for document in documents(kind, tokenizer, config.max_seq_len, generator)
    ]
    generator.shuffle(all_documents)
    batched = batches(all_documents, config.max_seq_len, generator)
    count = config.batches_per_step
    return [batched[first : first + count] for first in range(0, len(batched) - count + 1, count)]


def initialise(model: Transformer) -> None:
    """Draw normal weights, divided by sqrt(2 layers) where they write to the residual stream (Radford et al. 2019)."""
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            residual = name.endswith(("wo.weight", "w2.weight"))
            torch.nn.init.normal_(weight, std=INIT_STD / math.sqrt(2 * model.args.n_layers) if residual else INIT_STD)


def make_optimizer(model: Transformer, config: PretrainConfig) -> torch.optim.AdamW:
    """AdamW; no weight decay on the embedding and the norms."""
    decayed = [weight for name, weight in model.named_parameters() if weight.dim() == 2 and "embeddings" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.dim() != 2 or "embeddings" in name]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=BETAS, fused=True)


def learning_rate(step: int, steps: int, config: PretrainConfig) -> float:
    """Linear warm-up, then a cosine to FLOOR of the peak."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return config.learning_rate * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * progress)) / 2)


def to_tensors(batch: list[Document]) -> tuple[Tensor, Tensor]:
    """Ids and target weights of a batch, (B, T) each, padded on the right with weight 0."""
    length = max(len(document.tokens) for document in batch)
    tokens = np.zeros((len(batch), length), dtype=np.int64)
    weights = np.zeros((len(batch), length), dtype=np.float32)
    for row, document in enumerate(batch):
        tokens[row, : len(document.tokens)] = document.tokens
        weights[row, : len(document.tokens)] = document.weights
    return torch.from_numpy(tokens), torch.from_numpy(weights)


def batch_loss(model: Transformer, tokens: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum over a batch of the negative log-likelihood of each next token, in nats."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.output(model(tokens[:, :-1]))
    nats = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
    return (nats * weights[:, 1:].flatten()).sum()


def train_step(
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    step: list[list[Document]],
    loss_function: Callable[[Transformer, Tensor, Tensor], Tensor],
    rate: float,
    launch: Launch,
) -> float:
    """One step, each process on its share of the batches. Returns the weighted mean loss over all targets, in nats."""
    total = sum(float(document.weights[1:].sum()) for batch in step for document in batch)
    optimizer.zero_grad()
    losses = torch.zeros(1)
    for batch in step[launch.rank :: launch.world_size]:
        tokens, weights = to_tensors(batch)
        loss = loss_function(model, tokens, weights) / total
        loss.backward()
        losses += loss.detach()
    add_up([losses, *(weight.grad for weight in model.parameters())], launch)
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return float(losses)


def add_up(parts: list[Tensor], launch: Launch) -> None:
    """Sum the processes' parts of the loss and of the gradients in place, in one all-reduce."""
    if launch.world_size == 1:
        return
    flat = torch.cat([part.flatten() for part in parts])
    dist.all_reduce(flat)
    for part, whole in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
        part.copy_(whole.view_as(part))
