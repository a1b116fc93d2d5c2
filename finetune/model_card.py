"""What goes with a saved model: its card, and a place on the hub."""

from pathlib import Path
from typing import Any

from documents.pages import Source
from finetune.hub import repository
from finetune.pretrained import RANDOM
from finetune.seals import SEAL
from preprocess.files import write_bytes

LICENCE = "cc-by-nc-sa-4.0"  # of LayoutLMv3's published weights


def write_card(model: str, name: str, source: Source, metrics: dict[str, Any], folder: Path) -> None:
    """`folder`/model/README.md: from what, on what, how well.

    Args:
        model: As `--model` named it.
        name: As tables call it.
    """
    heading = ["library_name: transformers", "pipeline_tag: token-classification", "tags: [layoutlmv3]"]
    if name != RANDOM:
        heading.append(f"license: {LICENCE}")
        heading += [] if Path(model).exists() else [f"base_model: {model}"]  # the hub takes none but its own ids
    test = metrics["test"]
    figures = {"accuracy": "accuracy", "macro_f1": "macro-F1", "weighted_f1": "weighted F1", "entity_f1": "entity F1"}
    rows = [f"| {title} | {test[key]:.4f} |" for key, title in figures.items() if key in test]
    lines = [
        *("---", *heading, "---", "", f"# LayoutLMv3 on {source.table_name}", ""),
        f"Fine-tuned from {name} as a classifier of {', '.join(source.label_words)}.",
        *("", f"| test, {metrics['data']['test']['blocks']} blocks | |", "|---|---|", *rows, ""),
    ]
    if name != RANDOM:
        lines += ["The published weights of LayoutLMv3 are CC BY-NC-SA 4.0: not for commercial use.", ""]
    write_bytes(folder / "model/README.md", "\n".join(lines).encode())


def push(folder: Path, name: str, private: bool) -> None:
    """Upload `folder`/model to the hub.

    Raises:
        InputError: As of `repository`.
    """
    with repository(name, "model", private, folder / "model") as api:
        api.upload_folder(repo_id=name, folder_path=folder / "model", ignore_patterns=[SEAL])
