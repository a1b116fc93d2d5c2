"""Train the tiny checkpoint: a small LLaMA from nothing to Meta's format, resumable, on one or several CPU processes.

The recipe is GPT's usual one (AdamW, warm-up, cosine) on documents of similar length, a few small batches a step.
"""

import json
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

from llama import ModelArgs, Request, Tokenizer, Transformer
from llama.parallel import Launch, finish, start
from llama.scoring import score
from preprocess.errors import InputError
from preprocess.files import write_json
from preprocess.prompts import METHODS, exchange, fill, template
from pretrain.corpus import Document, Labelled, batches, blocks, documents, news
from pretrain.tokenizer import train_tokenizer

HELD_OUT = 200  # of the news rows, never trained on: progress is read off them
BETAS, WEIGHT_DECAY, CLIP, INIT_STD, FLOOR = (0.9, 0.95), 0.1, 1.0, 0.02, 0.02


@dataclass(frozen=True)
class PretrainConfig:
    """Train the tiny demonstration checkpoint; the same command again takes up where it stopped.

    Args:
        news_path: AG News' training rows, the original headerless csv.
        docbank_path: Folder of DocBank samples.
        output_dir: Where params.json, consolidated.00.pth and tokenizer.model go at the end.
        run_dir: Where the state of the training, its log and its loss curve are kept.
        dim: Width of the model.
        n_layers: Number of blocks.
        n_heads: Attention heads.
        vocab_size: Pieces of the tokenizer.
        max_seq_len: Longest sequence of the checkpoint and longest document, and tokens in a batch, padding included.
        epochs: Passes over the texts.
        written_blocks: Invented blocks of each class, drawn anew in each epoch.
        batches_per_step: Batches in a step, over all processes.
        learning_rate: Peak; cosine to 2 % of it.
        warmup_steps: Steps of linear warm-up.
        seed: Of the weights, the documents and their order.
        evaluate_every: Steps between two looks at held-out rows and two saved states.
        compile: Compile the loss (needs a C++ compiler; half again as fast after a minute).
        limit: Use so many news rows only (for tests); 0: all.
    """

    news_path: str = "data/ag_news/train.csv"
    docbank_path: str = "data/docbank"
    output_dir: str = "runs/pretrain_tiny/checkpoint"
    run_dir: str = "runs/pretrain_tiny"
    dim: int = 192
    n_layers: int = 4
    n_heads: int = 6
    vocab_size: int = 4096
    max_seq_len: int = 1024
    epochs: int = 6
    written_blocks: int = 600
    batches_per_step: int = 6
    learning_rate: float = 2.5e-3
    warmup_steps: int = 80
    seed: int = 1
    evaluate_every: int = 500
    compile: bool = False
    limit: int = 0

    def model_args(self) -> ModelArgs:
        return ModelArgs(
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
    launch = start(model_parallel_size=1)
    if config.batches_per_step % launch.world_size:
        raise InputError(
            f"--batches_per_step {config.batches_per_step}: expected a multiple of {launch.world_size} processes"
        )
    torch.manual_seed(config.seed)
    run = Path(config.run_dir)
    articles = news(Path(config.news_path))
    pairs = articles.pairs[: config.limit or None]
    held_out, articles = pairs[-HELD_OUT:], replace(articles, pairs=pairs[:-HELD_OUT])
    tokenizer = prepare_tokenizer(config, articles, launch)

    steps = [step for epoch in range(config.epochs) for step in epoch_steps(config, articles, tokenizer, epoch)]
    model = Transformer(config.model_args())
    initialise(model)
    optimizer = make_optimizer(model, config)
    done = resume(model, optimizer, run / "state.pth", config)
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
                accuracy = {
                    method: held_out_accuracy(model, tokenizer, articles, held_out, method) for method in METHODS
                }
                tqdm.write(f"step {step + 1}: held-out rows, no demonstrations: {accuracy}")
                log.write({"step": step + 1} | accuracy)
                save_state(model, optimizer, step + 1, run / "state.pth", config)
            dist.barrier()
    bar.close()
    if launch.rank == 0:
        write_checkpoint(model, config, run / "tokenizer.model", Path(config.output_dir))
        draw_loss(run / "log.jsonl", run / "loss.png")
        print(f"checkpoint in {config.output_dir}, loss curve in {run / 'loss.png'}")
    finish()


def prepare_tokenizer(config: PretrainConfig, articles: Labelled, launch: Launch) -> Tokenizer:
    """The run's tokenizer, trained by rank 0 on one epoch of texts in both forms if it is not there yet."""
    path = Path(config.run_dir) / "tokenizer.model"
    if launch.rank == 0 and not path.exists():
        kinds = (articles, blocks(Path(config.docbank_path), config.written_blocks, np.random.default_rng(config.seed)))
        texts = (exchange(method, kind.noun, *pair) for method in METHODS for kind in kinds for pair in kind.pairs)
        train_tokenizer(texts, path, config.vocab_size)
    dist.barrier()
    return Tokenizer(path)


def epoch_steps(
    config: PretrainConfig, articles: Labelled, tokenizer: Tokenizer, epoch: int
) -> list[list[list[Document]]]:
    """The batches of each step of an epoch, a function of seed and epoch. An incomplete last step is dropped."""
    generator = np.random.default_rng([config.seed, epoch])
    layout = blocks(Path(config.docbank_path), config.written_blocks, generator)
    made = [
        document
        for kind in (articles, layout)
        for document in documents(kind, tokenizer, config.max_seq_len, generator)
    ]
    generator.shuffle(made)
    cut = batches(made, config.max_seq_len, generator)
    count = config.batches_per_step
    return [cut[first : first + count] for first in range(0, len(cut) - count + 1, count)]


def initialise(model: Transformer) -> None:
    """Normal weights; those that write into the residual stream smaller by sqrt(2 layers) (Radford et al. 2019)."""
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
    """One step, each process on its share of the batches; the mean loss over all targets, in nats, weighted."""
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
    """Sum the processes' parts of the loss and of the gradients, in place, in one message."""
    if launch.world_size == 1:
        return
    flat = torch.cat([part.flatten() for part in parts])
    dist.all_reduce(flat)
    for part, whole in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
        part.copy_(whole.view_as(part))


def held_out_accuracy(
    model: Transformer, tokenizer: Tokenizer, articles: Labelled, held_out: list[tuple[str, str]], method: str
) -> float:
    """Accuracy on held-out news rows without demonstrations."""
    requests = []
    for text, _ in held_out:
        for word in articles.label_words:
            filled = (
                fill(fill(part, "{text}", text), "{label_word}", word) for part in template(method, articles.noun, [])
            )
            requests.append(Request(*tokenizer.encode_pair(*filled)))
    sums = torch.zeros(len(requests), dtype=torch.float64)
    for index, log_probs in score(model, requests, tokenizer.eos_id, 32):
        sums[index] = log_probs.double().sum()
    best = sums.view(len(held_out), -1).argmax(dim=1).tolist()
    right = [articles.label_words[place] == word for place, (_, word) in zip(best, held_out, strict=True)]
    return sum(right) / len(right)


class Log:
    """A JSON line for each step; lines after the step that is resumed from are dropped."""

    def __init__(self, path: Path, done: int, rank: int):
        self.path, self.rank = path, rank
        if rank == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = [line for line in read_log(path) if line["step"] <= done] if path.exists() else []
            path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def write(self, line: dict) -> None:
        if self.rank == 0:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")


def read_log(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def save_state(
    model: Transformer, optimizer: torch.optim.Optimizer, step: int, path: Path, config: PretrainConfig
) -> None:
    """All that a later run needs to go on; renamed into place, so that a kill leaves the state before."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "config": asdict(config)}
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def resume(model: Transformer, optimizer: torch.optim.Optimizer, path: Path, config: PretrainConfig) -> int:
    """Load the state of an earlier run, if there is one; the steps that are done."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state["config"] != asdict(config):
        differing = [key for key, value in asdict(config).items() if state["config"].get(key) != value]
        raise InputError(
            f"{path}: a run with other options ({', '.join(differing)}); remove it or name another --run_dir"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def write_checkpoint(model: Transformer, config: PretrainConfig, tokenizer: Path, folder: Path) -> None:
    """Meta's three files. Weights in float16, as LLaMA's are."""
    folder.mkdir(parents=True, exist_ok=True)
    args = {key: value for key, value in asdict(config.model_args()).items() if value is not None}
    write_json(folder / "params.json", args)
    torch.save({name: weight.half() for name, weight in model.state_dict().items()}, folder / "consolidated.00.pth")
    (folder / "tokenizer.model").write_bytes(tokenizer.read_bytes())


def draw_loss(log: Path, path: Path) -> None:
    """The loss and the held-out accuracies over the steps, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = read_log(log)
    losses = np.array([(line["step"], line["loss"]) for line in lines if "loss" in line])
    looks = [line for line in lines if "direct" in line]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot(*losses.T, color="0.8", linewidth=0.6)
    smooth = np.convolve(losses[:, 1], np.ones(50) / 50, mode="valid")
    left.plot(losses[len(losses) - len(smooth) :, 0], smooth, color="C0")
    left.set(xlabel="step", ylabel="loss, nats a token (labels weighted)")
    for method in METHODS:
        right.plot([look["step"] for look in looks], [look[method] for look in looks], marker=".", label=method)
    right.set(xlabel="step", ylabel="accuracy, held-out training rows", ylim=(0, 1))
    right.legend()
    figure.savefig(path, dpi=110)
