"""Fine-tuned systems, against which prompting is read: they write the same predictions JSON for the same blocks.

From pages to predictions:

    documents/              a data set -> pages of blocks with images; pages -> chunks of tokens
    preview.py              pages and a chunk, looked at before training
    predicting.py           chunks -> log-probabilities of blocks
    block_metrics.py        log-probabilities -> decisions; metrics of blocks, words and entities
    baselines.py            what is reached without reading, and by the words alone
    outputs.py              predictions JSON, its meta file, metrics, summary
    training/               options, run folders, logs, Lightning's Trainer

The systems:

    llama_model.py          transformers' LLaMA with a token classifier, of Meta's form too
    lora.py                 its adapter
    layoutlmv3_model.py     LayoutLMv3 with a token classifier
    training.py             transformers' Trainer
    lightning_modules.py    Lightning's modules
    llama_layout.py         LLaMA with LoRA: all of it together
    layoutlmv3.py           LayoutLMv3: all of it together
    layoutlmv3_prediction.py    a saved LayoutLMv3 on one image
    llama_prediction.py     a saved LLaMA on pages of blocks
    page_predictions.py     what both write and say
    drawing.py              boxes with labels on an image
    model_card.py           the card of a saved model
    hub.py                  the way to the hub, of models and of data sets

Labelled images to a data set:

    label_studio.py         an export -> labelled pages
    annotations.py          labelled pages -> a data set, on disk and on the hub

Their packages stand in requirements-finetune.txt.
"""
