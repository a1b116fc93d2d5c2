"""Shared by all training runs: options, run folders, logs, checkpoints, resuming.

    options.py      steps, batches, learning rate, logging
    run_folder.py   identifies the run in a folder, detects a finished one, writes its log
    state.py        reads a saved training state; damage is a one-line error
    modules.py      optimizer, logged loss, random state and batches, for Lightning
    lightning.py    Lightning's Trainer
    figures.py      plots of losses, learning rate and held-out metrics
    card.py         the training section of a model card

Requires the packages of requirements-finetune.txt.
"""
