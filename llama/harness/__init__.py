"""The engine as a model of lm-evaluation-harness (package `lm_eval`, extra `harness`).

__main__.py    the harness's command line, with the model `llama`
model.py       the harness's model interface
encoding.py    encoding of texts as in the harness's model `hf`
options.py     --model_args

Programs that call `lm_eval.simple_evaluate(model="llama")` import `llama.harness.model`, which registers the model.
"""
