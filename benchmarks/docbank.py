"""Compares prompting with fine-tuned models on the blocks of twenty DocBank pages.

python benchmarks/docbank.py --dataset_path data/docbank --output_dir runs/docbank

The test pages are the 2nd, 4th, ... 40th by name. LLaMA with LoRA is trained on all other pages; LayoutLMv3 is trained
from random weights on those that have an image. Every step is a command of the project, printed before it runs.
"""

import ctypes
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run
from preprocess.docbank import page_files
from preprocess.errors import InputError
from preprocess.files import PathFlag

ROOT = Path(__file__).resolve().parent.parent
PAGES, TEST = 100, range(1, 40, 2)
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


@dataclass(frozen=True)
class DocBankConfig:
    """Classify the blocks of DocBank's sample pages by prompting and by fine-tuned models, and print one table.

    Args:
        dataset_path: Folder of the 100 samples: txt/ and ori_jpg/.
        ckpt_dir: LLaMA checkpoint for prompting and LoRA.
        output_dir: Folder for pages, prompts, predictions and runs.
        lora_steps: Training steps of LLaMA with LoRA.
        layout_epochs: Training epochs of LayoutLMv3.
        overwrite: Recompute existing results with other options.
    """

    dataset_path: PathFlag = "data/docbank"
    ckpt_dir: PathFlag = "checkpoints/tiny"
    output_dir: PathFlag = "runs/docbank"
    lora_steps: int = 400
    layout_epochs: int = 12
    overwrite: bool = False


def compare(config: DocBankConfig) -> None:
    """Run all systems and print the table."""
    folder = Path(config.output_dir)
    split_pages(Path(config.dataset_path), folder / "pages")
    for command in commands(config, folder):
        run_command(command)


def split_pages(source: Path, pages: Path) -> None:
    """Copy the pages, with their images, into test/, train/ and illustrated/ (the train pages that have an image)."""
    files = page_files(source)
    if len(files) != PAGES:
        raise InputError(f"{source}: {len(files)} pages, expected the {PAGES} samples of DocBank (--dataset_path)")
    for place, file in enumerate(files):
        image = source / "ori_jpg" / f"{file.stem}_ori.jpg"
        splits = ["test"] if place in TEST else ["train", "illustrated"]
        for split in splits if image.exists() else ["train"]:
            (pages / split).mkdir(parents=True, exist_ok=True)
            for original in [file, image] if image.exists() else [file]:
                shutil.copy(original, pages / split)


def commands(config: DocBankConfig, folder: Path) -> list[list[str]]:
    """The commands, in order."""
    pages, test = str(folder / "pages"), str(folder / "pages/test")
    prompts = {method: str(folder / f"inputs_{method}_docbank.json") for method in ("direct", "channel")}
    results = {
        method: str(folder / f"outputs_{method}_docbank.json")
        for method in ("direct", "direct_calibrate", "channel", "generate")
    }
    model, channel = ["--ckpt_dir", config.ckpt_dir], prompts["channel"]
    zero_shot = ["--dataset_path", test, "--k", "0"]
    lora, layout = str(folder / "llama"), str(folder / "layoutlmv3")
    prompting = [
        ["run_preprocess_direct_doclaynet.py", *zero_shot, "--data_path", prompts["direct"]],
        ["run_preprocess_channel_doclaynet.py", *zero_shot, "--data_path", channel],
        ["run_evaluate_direct_llama.py", *model, "--data_path", prompts["direct"], "--output_path", results["direct"]],
        [
            *["run_evaluate_direct_calibrate_llama.py", *model, "--direct_input_path", prompts["direct"]],
            *["--direct_output_path", results["direct"], "--output_path", results["direct_calibrate"]],
        ],
        ["run_evaluate_channel_llama.py", *model, "--data_path", channel, "--output_path", results["channel"]],
        [
            *["run_evaluate_generate_llama.py", *model, "--data_path", prompts["direct"], "--temperature", "0"],
            *["--output_path", results["generate"]],
        ],
    ]
    fine_tuning = [
        lora_command(config.ckpt_dir, pages, lora, config.lora_steps, 2e-3),
        [
            *["run_finetune_layoutlmv3.py", "--model", "random", "--dataset", "doclaynet", "--dataset_path", pages],
            *["--train_path", str(folder / "pages/illustrated"), "--output_dir", layout, "--batch_size", "4"],
            *["--learning_rate", "5e-4", "--weight_decay", "0.1", "--validation_fraction", "0.2"],
            *["--epochs", str(config.layout_epochs)],
        ],
    ]
    trained = [f"{lora}/outputs_{method}_docbank.json" for method in ("llama_lora", "majority", "tfidf")]
    trained.append(f"{layout}/outputs_layoutlmv3_docbank.json")
    again = ["--overwrite"] if config.overwrite else []
    scoring = [command if "preprocess" in command[0] else [*command, *again] for command in prompting]
    training = [[*command, *again] for command in fine_tuning]
    return [*scoring, *training, ["run_results_table.py", *results.values(), *trained]]


def lora_command(model: str, pages: str, folder: str, steps: int, learning_rate: float) -> list[str]:
    """The command that fine-tunes LLaMA with LoRA on the train pages, with eight evaluations, and predicts the test
    pages."""
    return [
        *["run_finetune_llama_layout.py", "--model", model, "--dataset_path", pages, "--output_dir", folder],
        *["--batch_size", "4", "--learning_rate", f"{learning_rate:g}"],
        *["--steps", str(steps), "--eval_steps", str(max(1, steps // 8))],
    ]


def run_command(command: list[str]) -> None:
    """Print a command of the project and run it.

    Raises:
        InputError: The command failed; it has printed the reason.
    """
    print("python", shlex.join(command), flush=True)
    arguments = [sys.executable, ROOT / command[0], *command[1:]]
    done = subprocess.run(arguments, preexec_fn=end_with_parent, check=False)
    if done.returncode:
        raise InputError(f"{command[0]}: failed with exit status {done.returncode}")


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends: two processes must not write into one run folder."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    run(DocBankConfig, compare)
