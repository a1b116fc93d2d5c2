"""Shared by the tests of llama/harness/: tasks, and a model that both implementations open."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.llama.harness.tasks import write_tasks

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system message') }}{% endif %}"
    "{{ '<s>' + message['role'] + '\n' + message['content'] + '</s>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="session")
def chat_folder(
    save_model: Callable[..., Any], write_tokenizer: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A random model of 384 ids and 1,024 positions with a chat template, whose tokenizer puts BOS before a text."""
    folder = tmp_path_factory.mktemp("chat")
    save_model(folder, max_position_embeddings=1024)
    write_tokenizer(folder, chat_template=CHAT_TEMPLATE)
    return folder


@pytest.fixture(scope="session")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tasks, with twelve documents each."""
    folder = tmp_path_factory.mktemp("tasks")
    write_tasks(folder, 12)
    return folder
