"""Document pages as model input, and what fine-tuning and pre-training share of these models.

    sources.py      selects the reader of a data set
    forms.py        forms with words and entities: FUNSD, XFUND, CORD
    rows.py         data sets of rows: images with texts, boxes and classes
    boxes.py        boxes: checked, clipped, scaled
    pages.py        a data set -> pages of blocks: train, validation, test
    images.py       page images, and their cache on disk
    prepared.py     pages and images of a run, cached on disk
    words.py        words of a page from OCR
    pretrained.py   opens --model with transformers
    layoutlmv3.py   LayoutLMv3: processor, input pixels, trainable biases
    chunks.py       pages -> chunks of tokens, with the position at which each block is classified

Requires the packages of requirements-finetune.txt.
"""
