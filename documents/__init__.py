"""Pages of documents as models read them: what fine-tuning and pre-training share.

    sources.py      which data set is meant, and how its pages are read
    forms.py        forms with words and entities: FUNSD
    rows.py         rows of a data set: images with texts, boxes and classes
    boxes.py        corners of boxes, read and put on the page
    pages.py        a data set -> pages of blocks: train, validation, test
    images.py       page images, opened and kept as numbers on disk
    chunks.py       pages -> chunks of tokens, with the place at which each block is read

Their packages are those of requirements-finetune.txt.
"""
