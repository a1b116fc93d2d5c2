"""The card of a pre-trained model: origin of its weights, pages, and held-out metrics of each objective."""

from pathlib import Path
from typing import Any

from documents.pretrained import LICENCE, LICENCE_NOTE, RANDOM
from preprocess.files import write_bytes
from training.card import training_section

NAMES = {
    "mlm": "masked words",
    "mim": "masked patches",
    "wpa": "word-patch alignment",
    "cpc": "cell positions",
}


def write_card(config: Any, name: str, notes: list[str], metrics: dict[str, Any], folder: Path) -> None:
    """Write `folder`/README.md.

    Args:
        config: The configuration of the run.
        name: The name of the initial model.
        notes: Lines on the origin of the weights.
    """
    heading = ["library_name: transformers", "tags: [layoutlmv3, pre-training]"]
    if name != RANDOM:
        heading.append(f"license: {LICENCE}")
        heading += [] if Path(config.model).exists() else [f"base_model: {config.model}"]
    held_out, data = metrics["held_out"], metrics["data"]
    rows = [
        f"| {NAMES[objective]} | {held_out[f'{objective}_loss']:.4f} | {held_out[f'{objective}_accuracy']:.4f} "
        f"| {held_out[f'{objective}_most_frequent']:.4f} |"
        for objective in config.hidden.chosen
    ]
    pages = f"{data['train']['pages']} pages of {config.pages.dataset}, without labels"
    lines = [
        *("---", *heading, "---", "", "# LayoutLMv3, pre-trained", ""),
        f"Pre-trained on {pages}; step {metrics['kept_step']} of {metrics['steps']}. {'; '.join(notes)}.",
        *("", f"| held out, {data['held_out']['pages']} pages | loss | accuracy | most frequent answer |"),
        *("|---|---:|---:|---:|", *rows, ""),
        "`LayoutLMv3Model.from_pretrained` and `run_finetune_layoutlmv3.py --model` load this folder.",
        "`heads.safetensors` contains the heads of the objectives, `codebook.safetensors` the image tokenizer.",
        "",
        *([LICENCE_NOTE, ""] if name != RANDOM else []),
        *training_section(Path(config.output_dir)),
    ]
    write_bytes(folder / "README.md", "\n".join(lines).encode())
