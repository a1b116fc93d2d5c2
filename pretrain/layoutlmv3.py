"""Pre-trains LayoutLMv3 on unlabelled pages: from pages to a model that fine-tuning loads, in one run folder."""

import os
import sys
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from lightning.pytorch import seed_everything
from safetensors.torch import load_file, save_file
from transformers import LayoutLMv3Config as ModelConfig
from transformers import LayoutLMv3Model, LayoutLMv3Processor

from documents.boxes import SEGMENT, check_boxes_flag
from documents.chunks import SPECIAL_TOKENS, Chunk, chunk_layout
from documents.images import ImageFile
from documents.layoutlmv3 import (
    checkpoint_gradients,
    chunk_length,
    load_image_processor,
    load_processor,
    make_random,
    train_biases,
)
from documents.pages import Splits, flat
from documents.prepared import prepare
from documents.pretrained import RANDOM, check_weights, model_name, one_line
from documents.unlabelled import UnlabelledOptions, read_unlabelled
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable, names_full_disk, write_bytes, write_json
from preprocess.seals import check_seal
from pretrain.codebook import FILE, KMEANS, Codebook, CodebookOptions, KMeansCodebook, prepared_codes
from pretrain.examples import Masker
from pretrain.initial import shape_of_roberta, take_weights, tokenizer_of_roberta
from pretrain.model import PretrainingModel
from pretrain.model_card import write_card
from pretrain.modules import KEPT, Pretraining, PretrainingData, PretrainingOptions
from pretrain.objectives import MIM, ObjectiveOptions
from pretrain.preview import draw_preview
from training import lightning as by_lightning
from training.figures import write_curves
from training.lightning import LightningOptions
from training.run_folder import base_folder, begin, environment, is_first_process, quiet_libraries

STEPS = 500_000
PREVIEWED = 2  # pages that are read; one of them is held out
HEADS = "heads.safetensors"  # beside the model


@dataclass(frozen=True)
class LayoutLMv3PretrainingConfig:
    """Pre-train LayoutLMv3 on unlabelled pages, or continue its pre-training.

    Args:
        model: A hub id, a folder in transformers' format, or random (a small model with its own tokenizer; with
            --init_text, a model with the shape and the tokenizer of that one).
        output_dir: Run folder: configuration, logs, checkpoints, metrics; model/ contains the model with its processor
            and model card, the heads and the codebook.
        image_tokenizer: Source of the patch codes for mim: kmeans (trained on the train pages), a folder with
            codebook.safetensors, or a FlavaImageCodebook (a folder or a hub id).
        codebook_size: Number of codes of kmeans.
        init_text: Initialize embeddings and layers from this RoBERTa, a folder or a hub id.
        init_image: Initialize the patch projection from this DiT or BEiT, a folder or a hub id.
        visual: Whether the model reads images; False: only texts and boxes, with --model random.
        max_length: Tokens in a chunk, at most the model's maximum.
        stride: Tokens that a chunk shares with the previous one.
        boxes: Box of each word: that of its segment (segment) or its own (word).
        preview: Draw the masks of the first train page into this PNG file, and stop.
        overwrite: Start over if the run folder contains a run.
        pages: Where pages come from.
        hidden: What is masked.
        training: How the model is trained.
        lightning: Where it computes.
    """

    model: PathFlag = "microsoft/layoutlmv3-base"
    output_dir: PathFlag = "runs/pretrain"
    image_tokenizer: PathFlag = KMEANS
    codebook_size: int = 512
    init_text: PathFlag = ""
    init_image: PathFlag = ""
    visual: bool = True
    max_length: int = 512
    stride: int = 0
    boxes: str = SEGMENT
    preview: PathFlag = ""
    overwrite: bool = False
    pages: UnlabelledOptions = field(default_factory=UnlabelledOptions)
    hidden: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    training: PretrainingOptions = field(default_factory=PretrainingOptions)
    lightning: LightningOptions = field(default_factory=LightningOptions)

    def __post_init__(self) -> None:
        check_boxes_flag(self.boxes)
        if self.stride < 0 or self.max_length < self.stride + SPECIAL_TOKENS + 1:
            raise InputError(
                f"--stride {self.stride}: expected 0 or more, and less than --max_length {self.max_length} "
                f"minus {SPECIAL_TOKENS} special tokens"
            )
        if self.codebook_size < 2:
            raise InputError(f"--codebook_size {self.codebook_size}: expected 2 or more")
        if not self.visual and (MIM in self.hidden.chosen or self.model != RANDOM or self.init_image):
            raise InputError("--visual False: expected --model random, no --init_image, and --objectives without mim")
        if self.preview:
            check_writable(self.preview, "--preview")


@dataclass(frozen=True)
class Base:
    """A model to pre-train, with its processor.

    Args:
        name: Its name in model cards.
        processor: Without OCR, because words and boxes are given.
        notes: Lines on the origin of the weights.
    """

    name: str
    model: LayoutLMv3Model
    processor: LayoutLMv3Processor
    notes: list[str]


@names_full_disk
def pretrain_layoutlmv3(config: LayoutLMv3PretrainingConfig) -> None:
    """Train or resume, then save the model."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise InputError("torchrun: run this script with plain python; --devices sets the number of devices")
    config = replace(config, training=config.training.filled(steps=STEPS))
    folder, seed = Path(config.output_dir), config.training.seed
    quiet_libraries()
    by_lightning.quiet_lightning()
    if config.preview:
        show(config)
        return
    leads = is_first_process()
    if leads and begin(config):
        return
    read = partial(read_unlabelled, config.pages, config.boxes, seed)
    splits, images = prepare(read, load_image_processor(config.model), folder)
    seed_everything(seed, verbose=False)
    base = load_base(config, splits, folder)
    length = chunk_length(base.model, base.processor, config.max_length)
    if length < config.stride + SPECIAL_TOKENS + 1:
        raise InputError(f"--stride {config.stride}: {config.model} takes only {length} tokens")
    chunked = partial(chunk_layout, tokenizer=base.processor.tokenizer, max_length=length, stride=config.stride)
    train, held_out = chunked(splits.train), chunked(splits.validation)
    codebook, codes = image_codes(config, base.model.config, splits, images, folder)
    side = base.model.config.input_size // base.model.config.patch_size
    masker = Masker(config.hidden, base.processor, side, codes, seed)
    data = PretrainingData(
        *(train, held_out, masker, base.processor, images, config.training, config.lightning.num_workers, config.visual)
    )
    seed_everything(seed, verbose=False)  # the same dropout, whether the model was created or loaded
    codes_of_head = 0 if codebook is None else codebook.size
    model = PretrainingModel(base.model, config.hidden.chosen, codes_of_head, config.hidden.cpc_areas)
    notes = [*base.notes, *take_heads(model, Path(config.model))]
    if leads:
        print("\n".join(notes))
    trained = trained_model(config, model, data)
    if leads:
        save(config, base, model, codebook, trained | {"data": counts(splits, train, held_out)})


def show(config: LayoutLMv3PretrainingConfig) -> None:
    """Draw the masks of the first train page into `--preview`; the run folder is not used."""
    pages, seed = replace(config.pages, train_pages=PREVIEWED), config.training.seed
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        read = partial(read_unlabelled, pages, config.boxes, seed)
        splits, images = prepare(read, load_image_processor(config.model), folder)
        base = load_base(config, splits, folder)
        side = base.model.config.input_size // base.model.config.patch_size
        codes = np.zeros((len(images), side * side), int)  # the drawing does not show codes
        length = chunk_length(base.model, base.processor, config.max_length)
        chunk = chunk_layout(splits.train, base.processor.tokenizer, length, config.stride)[0]
        masker = Masker(config.hidden, base.processor, side, codes, seed)
        write_bytes(config.preview, draw_preview(images[chunk.image], chunk, masker))
    print(f"written to {config.preview}: {splits.train[0].place}")


def load_base(config: LayoutLMv3PretrainingConfig, splits: Splits, folder: Path) -> Base:
    """The model that `--model` names, in float32, with the weights of `--init_text` and `--init_image`.

    Raises:
        InputError: It does not exist, is damaged, or is not a LayoutLMv3.
    """
    place, name = config.model, model_name(config.model)
    if config.model == RANDOM:
        random = base_folder(folder, RANDOM)
        if not (random / "config.json").is_file():
            shape = shape_of_roberta(config.init_text) if config.init_text else None
            tokenizer = tokenizer_of_roberta(config.init_text) if config.init_text else None
            texts = [block.text for block in flat(splits.train)]
            make_random(LayoutLMv3Model, texts, random, shape, tokenizer, visual_embed=config.visual)
        check_seal(random)
        place = str(random)
    processor = load_processor(place)
    with one_line(place):
        model, report = LayoutLMv3Model.from_pretrained(place, dtype=torch.float32, output_loading_info=True)
    check_weights(place, report["missing_keys"], "")
    train_biases(model)
    taken = take_weights(model, config.init_text, config.init_image)
    return Base(name, model, processor, taken.lines(config.init_text, config.init_image, config.model))


def take_heads(model: PretrainingModel, folder: Path) -> list[str]:
    """Copy the heads of an earlier pre-training into a model if they fit; lines on what was copied and what is random.

    Args:
        folder: The folder of the earlier model.
    """
    own, path = model.own_state(), folder / HEADS
    saved = load_file(path) if path.is_file() else {}
    fitting = {name: weight for name, weight in saved.items() if name in own and own[name].shape == weight.shape}
    model.load_state_dict(fitting, strict=False)
    names = sorted({name.removeprefix("heads.").partition(".")[0] for name in own.keys() - fitting.keys()})
    taken = [f"{len(fitting)} weights of heads from {path}"] if fitting else []
    return [*taken, *([f"random heads: {', '.join(names)}"] if names else [])]


def image_codes(
    config: LayoutLMv3PretrainingConfig, shape: ModelConfig, splits: Splits, images: ImageFile, folder: Path
) -> tuple[Codebook | None, np.ndarray | None]:
    """The image tokenizer and the codes of all images, (N, P); None without masked image modelling."""
    if MIM not in config.hidden.chosen:
        return None, None
    options = CodebookOptions(config.image_tokenizer, config.codebook_size, config.training.seed)
    return prepared_codes(options, shape, [page.image for page in splits.train], images, folder)


def trained_model(
    config: LayoutLMv3PretrainingConfig, model: PretrainingModel, data: PretrainingData
) -> dict[str, Any]:
    """Train or resume, and load the weights to keep. Returns entries of the metrics: steps, seconds, held-out ones."""
    folder = Path(config.output_dir)
    if config.training.gradient_checkpointing:
        checkpoint_gradients(model.backbone)
    module = Pretraining(model, config.training, data.shares())
    trainer = by_lightning.make_trainer(config.training, config.lightning, folder, sys.stderr.isatty())
    if is_first_process():
        write_json(folder / "configuration.json", {"configuration": asdict(config)} | environment())
    trained = by_lightning.train(trainer, module, data, folder, KEPT[config.training.keep])
    step = trained["best_step" if config.training.keep == "best" else "steps"]
    entries = by_lightning.history_of(trainer)
    kept = next(entry for entry in entries if entry["step"] == step and "eval_loss" in entry)
    figures = {name.removeprefix("eval_"): value for name, value in kept.items() if name.startswith("eval_")}
    return trained | {"kept_step": step, "held_out": figures}


def counts(splits: Splits, train: list[Chunk], held_out: list[Chunk]) -> dict[str, Any]:
    """Entries of the metrics: numbers of pages, chunks, words and repairs."""
    return {
        "train": {"pages": len(splits.train), "chunks": len(train), "words": len(flat(splits.train))},
        "held_out": {"pages": len(splits.validation), "chunks": len(held_out), "words": len(flat(splits.validation))},
        "pages_without_text": splits.blank["train"],
        "repaired": splits.repairs,
    }


def save(
    config: LayoutLMv3PretrainingConfig,
    base: Base,
    model: PretrainingModel,
    codebook: Codebook | None,
    metrics: dict[str, Any],
) -> None:
    """Write model, heads, codebook and card; the metrics come last, because they mark the run as finished."""
    folder = Path(config.output_dir)
    place = folder / "model"
    model.backbone.config.architectures = [LayoutLMv3Model.__name__]
    model.backbone.save_pretrained(place)
    base.processor.save_pretrained(place)
    save_file({name: weight.contiguous().cpu() for name, weight in model.own_state().items()}, place / HEADS)
    if isinstance(codebook, KMeansCodebook):
        codebook.save(place / FILE)
    write_card(config, base.name, base.notes, metrics, place)
    write_curves(folder)
    write_json(folder / "metrics.json", metrics)
    print(summary(metrics, folder))


def summary(metrics: dict[str, Any], folder: Path) -> str:
    """A summary for the screen: repairs, the best and the kept checkpoint, loss and accuracy of each objective."""
    data, held_out = metrics["data"], metrics["held_out"]
    lines = [f"{what.replace('_', ' ')}: {number}" for what, number in data["repaired"].items() if number]
    best, kept = metrics["best_step"], metrics["kept_step"]
    lines.append(f"best checkpoint: step {best} of {metrics['steps']}; kept: step {kept}")
    names = [name.removesuffix("_accuracy") for name in held_out if name.endswith("_accuracy")]
    for name in names:
        lines.append(
            f"held out, {name}: loss {held_out[f'{name}_loss']:.4f}, accuracy {held_out[f'{name}_accuracy']:.4f}, "
            f"most frequent answer {held_out[f'{name}_most_frequent']:.4f}"
        )
    return "\n".join([*lines, f"written to {folder}"])
