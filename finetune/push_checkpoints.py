"""Uploads the checkpoints of transformers' Trainer to the hub while it trains."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune.hub import ALL_CHECKPOINTS, CHECKPOINT, END, open_repository
from preprocess.errors import InputError, first_line
from preprocess.seals import SEAL

# Files of a checkpoint that only training needs, and the card that peft writes without content.
NOT_THE_MODEL = (
    *("optimizer.*", "scheduler.*", "scaler.*", "rng_state*", "trainer_state.json", "training_args.bin"),
    *("README.md", SEAL),
)


class PushCheckpoints(TrainerCallback):
    """Uploads the checkpoints that transformers' Trainer saves, by its `hub_strategy`. The Trainer's own upload ignores
    `--private` for an existing repository, and fails without a message.

    Args:
        name: The repository.
        strategy: every_save uploads the model of the last checkpoint; checkpoint in addition the whole checkpoint, as
            last-checkpoint/; all_checkpoints each whole checkpoint, as checkpoint-N/.
        save_processor: Saves tokenizer or processor into a folder.
    """

    def __init__(self, name: str, private: bool, strategy: str, save_processor: Callable[[Path], object]):
        self.name, self.private, self.strategy, self.save_processor = name, private, strategy, save_processor

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        try:
            self.api = open_repository(self.name, "model", self.private)
        except Exception as error:  # as in `repository`
            raise InputError(f"--push_to_hub {self.name}: {first_line(error)}; nothing was trained") from None

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Waits for the upload: the Trainer may remove this checkpoint at the next one."""
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        try:
            self.upload(checkpoint)
        except Exception as error:  # as in `repository`; a day of training outlives the network
            message = (
                f"--push_to_hub {self.name}: {checkpoint.name} not uploaded: {first_line(error)}; training continues"
            )
            print(message, file=sys.stderr)

    def upload(self, checkpoint: Path) -> None:
        with TemporaryDirectory() as scratch:
            shutil.copytree(checkpoint, scratch, ignore=shutil.ignore_patterns(*NOT_THE_MODEL), dirs_exist_ok=True)
            self.save_processor(Path(scratch))
            self.api.upload_folder(repo_id=self.name, folder_path=scratch, commit_message=f"Model of {checkpoint.name}")
        if self.strategy in (CHECKPOINT, ALL_CHECKPOINTS):
            place = "last-checkpoint" if self.strategy == CHECKPOINT else checkpoint.name
            self.api.upload_folder(repo_id=self.name, folder_path=checkpoint, path_in_repo=place)


def pushed(name: str, private: bool, strategy: str, save_processor: Callable[[Path], object]) -> list[PushCheckpoints]:
    """The callback that uploads checkpoints; none if only the result is uploaded, at the end."""
    return [] if strategy == END else [PushCheckpoints(name, private, strategy, save_processor)]
