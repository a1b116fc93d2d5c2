"""Fine-tuned systems, against which prompting is read: they write the same predictions JSON for the same blocks.

The systems:

    llama/          LLaMA with LoRA on blocks of pages: model, adapter, fine-tuning, prediction
    layoutlmv3/     LayoutLMv3 on words or blocks: model, Lightning's modules, fine-tuning, prediction, preview
    annotations/    labelled images to the data set that one of them is trained on

What they share, besides documents/ (pages, chunks, LayoutLMv3) and training/ (options, run folders, Lightning):

    training.py             transformers' Trainer
    predicting.py           chunks -> log-probabilities of blocks
    block_metrics.py        log-probabilities -> decisions; metrics of blocks, words and entities
    baselines.py            what is reached without reading, and by the words alone
    outputs.py              predictions JSON, its meta file, metrics, figures, summary
    page_predictions.py     what prediction on pages without labels writes and says
    drawing.py              boxes with labels on an image
    exploration.py          what a data set of pages holds
    model_card.py           the card of a saved model
    hub.py                  the way to the hub, of models and of data sets

Their packages stand in requirements-finetune.txt.
"""
