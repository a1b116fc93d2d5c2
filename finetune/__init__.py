"""Fine-tuned systems, against which prompting is read: they write the same predictions JSON for the same blocks.

From pages to predictions:

    documents/              a data set -> pages of blocks with images; pages -> chunks of tokens
    prepared.py             pages and images as a run uses them, on disk
    predicting.py           chunks -> log-probabilities of blocks
    block_metrics.py        log-probabilities -> decisions; metrics of blocks, words and entities
    baselines.py            what is reached without reading, and by the words alone
    outputs.py              predictions JSON, its meta file, metrics, summary
    run_folder.py           whose run a folder holds, whether it is finished, its log

The systems:

    pretrained.py           what --model names, opened by transformers
    llama_model.py          transformers' LLaMA with a token classifier, of Meta's form too
    lora.py                 its adapter
    layoutlmv3_model.py     LayoutLMv3 with a token classifier, its processor, its pixels
    training.py             the options of training; transformers' Trainer
    lightning_modules.py    Lightning's modules
    lightning_training.py   Lightning's Trainer
    llama_layout.py         LLaMA with LoRA: all of it together
    layoutlmv3.py           LayoutLMv3: all of it together
    layoutlmv3_prediction.py    a saved LayoutLMv3 on one image
    model_card.py           the card of a saved model
    hub.py                  the way to the hub, of models and of data sets

Labelled images to a data set:

    label_studio.py         an export -> labelled pages
    annotations.py          labelled pages -> a data set, on disk and on the hub

Their packages stand in requirements-finetune.txt.
"""
