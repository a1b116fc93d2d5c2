"""Fine-tuned systems, against which prompting is read: they write the same predictions JSON for the same blocks.

pages.py            data set -> pages of blocks: train, validation, test
chunks.py           pages -> token chunks, with the place at which each block is read
llama_model.py      a hub id, a folder of either form, or `random` -> transformers' LLaMA with a token classifier
training.py         chunks -> a trained LoRA adapter: transformers' Trainer, its logs, its checkpoints
block_metrics.py    log-probabilities of blocks -> decisions, metrics
outputs.py          predictions -> predictions JSON, with its meta file; the floor
llama_layout.py     all of them together: a run folder

Their packages stand in requirements-finetune.txt.
"""
