"""Fine-tuned models, which write the same predictions files as prompting for the same blocks.

From pages to predictions:

    documents/              a data set -> pages of blocks with images; pages -> chunks of tokens
    prepared.py             pages and images of a run, cached on disk
    predicting.py           chunks -> log-probabilities of blocks
    block_metrics.py        log-probabilities -> predictions; metrics of blocks, words and entities
    baselines.py            majority class, TF-IDF
    outputs.py              predictions file, its meta file, metrics, summary
    run_folder.py           state and log of a run

The models:

    pretrained.py           opens --model with transformers
    llama_model.py          LLaMA with a token classifier, also from Meta's format
    lora.py                 its adapter
    layoutlmv3_model.py     LayoutLMv3 with a token classifier, its processor, its pixels
    training.py             the options of training; transformers' Trainer
    lightning_modules.py    Lightning's modules
    lightning_training.py   Lightning's Trainer
    llama_layout.py         the run of LLaMA with LoRA
    layoutlmv3.py           the run of LayoutLMv3
    layoutlmv3_prediction.py    a saved LayoutLMv3 on one image
    model_card.py           the card of a saved model
    hub.py                  uploads models and data sets to the hub

Annotated images to a data set:

    label_studio.py         an export -> annotated pages
    annotations.py          annotated pages -> a data set, on disk and on the hub

Requires the packages of requirements-finetune.txt.
"""
