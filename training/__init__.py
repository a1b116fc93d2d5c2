"""What training runs share, whatever is trained: options, run folders, logs, checkpoints, resumes.

    options.py      how long, how fast and in what steps
    run_folder.py   whose run a folder holds, whether it is finished, its log
    modules.py      optimizer, loss of the log and state of what is random, batches, as Lightning wants them
    lightning.py    Lightning's Trainer
    figures.py      losses, learning rate and held-out figures of a log, as files
    card.py         what a model's card tells of its training

Its packages are those of requirements-finetune.txt.
"""
