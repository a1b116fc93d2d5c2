"""Training of checkpoints/tiny.

corpus.py           news and page blocks -> documents in the format of the prompts
written_blocks.py   generated page blocks, for the classes that DocBank lacks
tokenizer.py        its sentencepiece model
train.py            the training loop
state.py            log, resume, checkpoint, loss curve
"""
