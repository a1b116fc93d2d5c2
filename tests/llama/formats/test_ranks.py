"""Every architecture on several real processes, each of which reads its part of the files, against transformers."""

import json

import pytest
import torch

WORKER = '''
"""[FOLDER ...]: load each on all ranks and print, from rank 0, log-probabilities and greedy tokens of every rank."""
import json
import sys

import torch.distributed as dist

from llama import Request, load
from llama.generation import Sampling
from llama.parallel import finish, world_size
from llama.shared import all_batches

IDS = tuple(range(3, 83))


def measure(folder):
    llama = load(folder, model_parallel_size=world_size())
    requests = [Request(IDS[:1], IDS[1:]), Request(IDS[:40], IDS[40:60])]
    generation = llama.generation([IDS[:9], IDS[:60]], [0, 0], Sampling(8, 0, 1))
    scores = [log_probs.tolist() for _, log_probs in sorted(all_batches(llama.scoring(requests)))]
    held = sum(weight.numel() for weight in {weight.data_ptr(): weight for weight in llama.model.parameters()}.values())
    return {"log_probs": scores, "greedy": [new for _, new in sorted(all_batches(generation))], "held": held}


measured = [measure(folder) for folder in sys.argv[1:]]
of_ranks = [None] * dist.get_world_size()
dist.all_gather_object(of_ranks, measured)
if dist.get_rank() == 0:
    print(json.dumps(of_ranks))
finish()
'''
FOUR = {"num_key_value_heads": 4}
KINDS = {
    "llama": ("Llama", {"head_dim": 16, "attention_bias": True, "mlp_bias": True, "max_shard_size": "20KB"} | FOUR),
    "tied": ("Llama", {"tie_word_embeddings": True} | FOUR),
    "mistral": ("Mistral", FOUR),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True} | FOUR),
    "qwen3": ("Qwen3", {"head_dim": 16} | FOUR),
}
IDS = list(range(3, 83))


@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_agrees_with_transformers(ranks, save_model, run_script, tmp_path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    models = {kind: save_model(tmp_path / kind, name, **config) for kind, (name, config) in KINDS.items()}
    run = run_script(worker, *(tmp_path / kind for kind in KINDS), processes=ranks)
    assert run.returncode == 0, run.stderr
    first, *others = json.loads(run.stdout)
    assert all(other == first for other in others)
    for kind, found in zip(KINDS, first, strict=True):
        model = models[kind]
        with torch.inference_mode():
            expected = torch.log_softmax(model(torch.tensor([IDS])).logits[0].double(), dim=-1)
        for start, end, scores in zip((1, 40), (80, 60), found["log_probs"], strict=True):
            target = torch.tensor(IDS[start:end])
            theirs = expected[start - 1 : end - 1].gather(1, target[:, None])[:, 0]
            torch.testing.assert_close(torch.tensor(scores[:-1]).double(), theirs, atol=1e-4, rtol=0)
        for context, new in zip((IDS[:9], IDS[:60]), found["greedy"], strict=True):
            ids = torch.tensor([context])
            tokens = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0
            )[0, len(context) :].tolist()
            assert new == [token for token in tokens if token != 2]
        cut = sum(weight.numel() for weight in model.parameters() if weight.dim() == 2)
        assert found["held"] <= cut / ranks + 1000  # norms and a few biases are held whole
