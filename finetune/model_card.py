"""The model card of a saved model, and its upload to the hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from documents.pages import Source
from documents.pretrained import LICENCE, LICENCE_NOTE, RANDOM
from finetune.hub import repository
from preprocess.files import write_bytes
from preprocess.seals import SEAL
from training.card import training_section

LICENSED_BY_META = "The weights of LLaMA are Meta's; its licence also applies to this model."


def write_card(model: str, name: str, source: Source, metrics: dict[str, Any], folder: Path) -> None:
    """Write `folder`/model/README.md of a LayoutLMv3: base model, data set, metrics.

    Args:
        model: The value of `--model`.
        name: Name in tables.
    """
    heading = ["library_name: transformers", "pipeline_tag: token-classification", "tags: [layoutlmv3]"]
    if name != RANDOM:
        heading += [f"license: {LICENCE}", *base_of(model)]
    notes = [] if name == RANDOM else [LICENCE_NOTE]
    title = f"LayoutLMv3 on {source.table_name}"
    about = training_section(folder)
    write_bytes(folder / "model/README.md", card(heading, title, name, source, metrics, notes, about))


def write_llama_card(
    model: str, name: str, source: Source, metrics: dict[str, Any], folder: Path, merged: bool
) -> None:
    """Write `folder`/README.md of a LLaMA with LoRA, which replaces peft's template.

    Args:
        model, name: As for `write_card`.
        folder: The folder of the adapter or of the merged model, in a run folder.
        merged: Whether it is the merged model.
    """
    heading = [f"library_name: {'transformers' if merged else 'peft'}", "pipeline_tag: token-classification"]
    heading += ["tags: [llama, lora]", *(base_of(model) if name != RANDOM else [])]
    what = f"A LoRA adapter merged into its base model, {name}." if merged else f"A LoRA adapter for {name}."
    notes = [what, *([LICENSED_BY_META] if name != RANDOM else [])]
    title, about = f"LLaMA with LoRA on {source.table_name}", training_section(folder.parent)
    write_bytes(folder / "README.md", card(heading, title, name, source, metrics, notes, about))


def base_of(model: str) -> list[str]:
    """The line of the heading that names the base; none for local models, because the hub accepts only its own ids."""
    return [] if Path(model).exists() else [f"base_model: {model}"]


def card(
    heading: list[str],
    title: str,
    name: str,
    source: Source,
    metrics: dict[str, Any],
    notes: Sequence[str],
    about: Sequence[str],
) -> bytes:
    """The text of a model card.

    Args:
        heading: Lines of the metadata block.
        name: Name of the base model.
        notes: Paragraphs after the metrics.
        about: Lines on the training.
    """
    test = metrics["test"]
    figures = {"accuracy": "accuracy", "macro_f1": "macro-F1", "weighted_f1": "weighted F1", "entity_f1": "entity F1"}
    rows = [f"| {title} | {test[key]:.4f} |" for key, title in figures.items() if key in test]
    lines = [
        *("---", *heading, "---", "", f"# {title}", ""),
        f"Fine-tuned from {name} as a classifier of {', '.join(source.label_words)}.",
        *("", f"| test, {metrics['data']['test']['blocks']} blocks | |", "|---|---|", *rows, ""),
        *(line for note in notes for line in (note, "")),
        *about,
    ]
    return "\n".join(lines).encode()


def push(folder: Path, name: str, private: bool, inside: str = "model") -> None:
    """Upload a folder in a run folder to the hub.

    Raises:
        InputError: As for `repository`.
    """
    with repository(name, "model", private, folder / inside) as api:
        api.upload_folder(repo_id=name, folder_path=folder / inside, ignore_patterns=[SEAL])
