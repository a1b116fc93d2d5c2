"""The engine as a model of lm-evaluation-harness (`lm_eval`, the extra `harness`).

__main__.py    the harness's command line, with the model `llama`
model.py       what the harness asks of a model
encoding.py    texts to ids as the harness's model `hf` encodes them
options.py     --model_args

Importing `llama.harness.model` registers the model for programs that call `lm_eval.simple_evaluate(model="llama")`.
"""
