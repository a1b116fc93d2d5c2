"""Prompt files to predictions to a table.

`evaluate` is also the name of a package on PyPI. This one is found first because it is a package in the folder that the
scripts run from; nothing here imports the other, and it must never be installed beside this project.

    requests.py      a prompt file -> token ids, cut to fit
    scoring.py       direct and channel: log-probabilities -> predictions
    calibration.py   direct, calibrated with a content-free text
    generation.py    generate: continuations -> predictions
    run.py           what the four share: checkpoint, output, meta file, summary
    predictions.py   the predictions JSON and its meta file
    metrics.py       accuracy, macro-F1, Wilson's interval
    table.py         the results table
"""
