"""Pages of documents as models read them, and these models: what fine-tuning and pre-training share.

    sources.py      which data set is meant, and how its pages are read
    forms.py        forms with words and entities: FUNSD
    rows.py         rows of a data set: images with texts, boxes and classes
    boxes.py        corners of boxes, read and put on the page
    pages.py        a data set -> pages of blocks: train, validation, test
    images.py       page images, opened and kept as numbers on disk
    prepared.py     pages and images as a run uses them, on disk
    words.py        the words of a page, as OCR gives them
    pretrained.py   what --model names, opened by transformers
    layoutlmv3.py   LayoutLMv3: its processor, its pixels, biases that train
    chunks.py       pages -> chunks of tokens, with the place at which each block is read

Their packages are those of requirements-finetune.txt.
"""
