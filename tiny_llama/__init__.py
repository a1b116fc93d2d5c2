"""How checkpoints/tiny is made.

corpus.py           news and page blocks -> documents in the forms of the prompts
written_blocks.py   invented page blocks, for the classes that DocBank lacks
tokenizer.py        its sentencepiece model
train.py            the training loop
state.py            log, resume, checkpoint, loss curve
"""
