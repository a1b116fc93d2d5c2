"""LayoutLMv3's pre-training (Huang et al. 2022): masked language, masked image, word-patch alignment; cell positions.

    objectives.py   the objectives and their numbers, as options
    spans.py        masked language modelling: which tokens, and what stands there instead
    patches.py      masked image modelling: which patches
    alignment.py    word-patch alignment: whether the patches of a word are masked
    cells.py        cell position classification (StructuralLM): in which area of the page a cell lies
    examples.py     a chunk -> masked inputs and the labels of each objective
    codebook.py     the image tokenizer: a page image -> the code of each patch
    model.py        LayoutLMv3 with a mask embedding and the heads
    initial.py      weights of RoBERTa and of DiT or BEiT to begin with
    modules.py      model and chunks as Lightning wants them
    layoutlmv3.py   all of it together
    preview.py      the masks of a page, drawn

Its packages are those of requirements-finetune.txt.
"""
