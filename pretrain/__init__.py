"""LayoutLMv3's pre-training (Huang et al. 2022): masked language, masked image, word-patch alignment; cell positions.

    objectives.py   the objectives and their hyperparameters, as options
    spans.py        masked language modelling: which tokens are masked, and what replaces them
    patches.py      masked image modelling: which patches are masked
    alignment.py    word-patch alignment: whether the patches of a word are masked
    cells.py        cell position classification (StructuralLM): in which area of the page a cell lies
    examples.py     a chunk -> masked inputs and the labels of each objective
    codebook.py     the image tokenizer: a page image -> the code of each patch
    model.py        LayoutLMv3 with a mask embedding and the heads
    initial.py      initial weights from RoBERTa and from DiT or BEiT
    modules.py      model and chunks for Lightning
    layoutlmv3.py   a whole run
    model_card.py   the card of a pre-trained model
    preview.py      a drawing of the masks of a page

Requires the packages of requirements-finetune.txt.
"""
