"""The forward pass against transformers' LLaMA on the same weights, with and without a cache, packed and padded."""

import pytest
import torch

from llama import load
from llama.formats.meta import Params
from llama.generation import Sampling
from llama.shared import all_batches

KINDS = {
    "multi-head": {},
    "grouped-query": {"n_kv_heads": 2},
    "multi-query": {"n_kv_heads": 1},
    "one head": {"n_heads": 1},
    "nothing at its default": {"n_kv_heads": 2, "rope_theta": 500.0, "norm_eps": 0.02, "ffn_dim_multiplier": 1.3},
}


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("params", KINDS.values(), ids=KINDS)
def test_agrees_with_transformers(
    params, shards, make_checkpoint, to_transformers, full_log_probs, one_process, tmp_path
) -> None:
    folder = make_checkpoint(tmp_path, shards=shards, seed=len(params), **params)
    ours, theirs = load(str(folder)), to_transformers(folder)

    ids = torch.randint(384, (48,), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = torch.log_softmax(theirs(ids[None]).logits[0].double(), dim=-1)
    torch.testing.assert_close(full_log_probs(ours.model, ids.tolist()), expected, atol=1e-4, rtol=0)

    contexts = [tuple(ids[:length].tolist()) for length in (1, 9, 30)]
    new = dict(all_batches(ours.generation(contexts, [0, 0, 0], Sampling(16, temperature=0, top_p=1))))
    for index, context in enumerate(contexts):
        tokens = theirs.generate(
            torch.tensor([context]),
            attention_mask=torch.ones(1, len(context), dtype=torch.long),
            max_new_tokens=16,
            do_sample=False,
            eos_token_id=ours.tokenizer.eos_id,
            pad_token_id=0,
        )[0, len(context) :].tolist()
        assert new[index] == [token for token in tokens if token != ours.tokenizer.eos_id]


@pytest.mark.parametrize(
    ("params", "hidden_dim"),
    [
        ({"dim": 4096, "multiple_of": 256}, 11008),  # LLaMA 7B
        ({"dim": 5120, "multiple_of": 256}, 13824),  # 13B
        ({"dim": 8192, "multiple_of": 256}, 22016),  # 65B
        ({"dim": 8192, "multiple_of": 4096, "ffn_dim_multiplier": 1.3}, 28672),  # Llama 2 70B
    ],
)
def test_hidden_dim_is_that_of_metas_models(params, hidden_dim) -> None:
    assert Params(n_layers=1, n_heads=32, **params).hidden_dim == hidden_dim


@torch.inference_mode()
@pytest.mark.parametrize("cuts", [(1,), (5,), (1, 2, 3, 11)])
def test_cached_pieces_equal_one_pass(cuts, small) -> None:
    model = small.model
    tokens = torch.randint(384, (2, 12), generator=torch.Generator().manual_seed(2))
    cache = model.new_cache(batch_size=2, slots=20)  # more slots than tokens: the free ones are not seen
    hidden = []
    for start, end in zip((0, *cuts), (*cuts, 12), strict=True):
        hidden.append(model(tokens[:, start:end], torch.arange(start, end)[None], cache=cache))
    torch.testing.assert_close(torch.cat(hidden, dim=1), model(tokens), atol=1e-5, rtol=1e-5)
