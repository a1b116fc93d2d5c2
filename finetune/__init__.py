"""Fine-tuned models, which write the same predictions files as prompting for the same blocks.

The systems:

    llama/          LLaMA with LoRA on blocks of pages: model, adapter, fine-tuning, prediction
    layoutlmv3/     LayoutLMv3 on words or blocks: model, Lightning's modules, fine-tuning, prediction, preview
    annotations/    annotated images -> a data set to train LayoutLMv3 on

Shared modules, besides documents/ (pages, chunks, LayoutLMv3) and training/ (options, run folders, Lightning):

    training.py             transformers' Trainer
    predicting.py           chunks -> log-probabilities of blocks
    block_metrics.py        log-probabilities -> predictions; metrics of blocks, words and entities
    baselines.py            majority class, TF-IDF
    outputs.py              predictions file, its meta file, metrics, figures, summary
    page_predictions.py     output of prediction on pages without labels: rows, and a summary
    drawing.py              boxes with labels on an image
    exploration.py          statistics of a data set of pages
    model_card.py           the card of a saved model
    hub.py                  uploads models and data sets to the hub
    push_checkpoints.py     uploads checkpoints during training

Requires the packages of requirements-finetune.txt.
"""
