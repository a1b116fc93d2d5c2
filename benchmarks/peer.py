"""One peer in its own process, see serve.py: transformers, lm_eval (lm-evaluation-harness), cappr (CAPPr).

It runs in the peers' environment and imports nothing of the project, whose folders must not be on its path:
lm-evaluation-harness needs another package called `evaluate`.

All peers get token ids, except CAPPr, which takes only text. lm-evaluation-harness and CAPPr do not score the end of
sequence.
"""

import os
import time
from collections.abc import Callable, Sequence

import torch
from serve import Process
from torch import Tensor
from weights import hugging_face_config, random_weights

ROWS = 16  # in a batch
BATCH_SIZES = (1, 2, 4, 8, 16)  # to try with CAPPr
TRIAL = 16  # examples of a trial

Request = tuple[list[int], list[int]]  # context, target


def load_model(process: Process):
    """transformers' LlamaForCausalLM with its defaults, with the weights of all systems."""
    from transformers import LlamaConfig, LlamaForCausalLM

    workload = process.workload
    torch.set_default_dtype(process.dtype)
    with torch.device(process.device):
        model = LlamaForCausalLM(LlamaConfig(**hugging_face_config(workload["shape"], workload["max_seq_len"])))
    torch.set_default_dtype(torch.float32)
    weights = random_weights(workload["shape"], workload["seed"], process.dtype, process.device)
    model.load_state_dict(weights, strict=True)
    return model.eval()


def load_tokenizer(process: Process):
    """transformers' LLaMA tokenizer."""
    from transformers import LlamaTokenizerFast

    return LlamaTokenizerFast(vocab_file=process.workload["tokenizer_path"], legacy=False, add_prefix_space=True)


@torch.inference_mode()
def transformers_score(model, requests: Sequence[Request], eos_id: int) -> list[Tensor]:
    """One row per request. All logits are computed, but the softmax only at the scored positions."""
    scores = []
    for begin in range(0, len(requests), ROWS):
        batch = requests[begin : begin + ROWS]
        tokens, mask = pad([context + target for context, target in batch], eos_id, model.device)
        logits = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
        for row, (context, target) in zip(logits, batch, strict=True):
            first = len(context) - 1
            log_probs = torch.log_softmax(row[first : first + len(target) + 1].float(), dim=-1)
            wanted = torch.tensor([*target, eos_id], device=model.device)
            scores.append(log_probs.gather(1, wanted[:, None])[:, 0].cpu())
    return scores


@torch.inference_mode()
def transformers_generate(model, requests: Sequence[Request], eos_id: int, max_gen_len: int) -> list[list[int]]:
    """Greedy continuations by `generate`."""
    continuations = []
    for begin in range(0, len(requests), ROWS):
        contexts = [context for context, _ in requests[begin : begin + ROWS]]
        tokens, mask = pad(contexts, eos_id, model.device, left=True)
        rows = model.generate(
            input_ids=tokens,
            attention_mask=mask,
            max_new_tokens=max_gen_len,
            do_sample=False,
            eos_token_id=eos_id,
            pad_token_id=eos_id,
        )
        for row in rows[:, tokens.shape[1] :].tolist():
            continuations.append(row[: row.index(eos_id)] if eos_id in row else row)
    return continuations


def pad(rows: Sequence[list[int]], filler: int, device: torch.device, left: bool = False) -> tuple[Tensor, Tensor]:
    """Ids and mask, (B, longest) each."""
    length = max(len(row) for row in rows)
    missing = [length - len(row) for row in rows]
    joined = [([filler] * n + row) if left else (row + [filler] * n) for row, n in zip(rows, missing, strict=True)]
    masks = [([0] * n + [1] * (length - n)) if left else ([1] * (length - n) + [0] * n) for n in missing]
    return torch.tensor(joined, device=device), torch.tensor(masks, device=device)


def lm_eval_run(process: Process, model) -> Callable:
    """Log-probabilities summed over the target tokens, by the function that the harness calls with token ids."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=model, tokenizer=load_tokenizer(process), batch_size=ROWS)

    def run(requests: Sequence[Request]) -> list[list[float]]:
        pairs = [(("", ""), context, target) for context, target in requests]
        return [[log_prob] for log_prob, _ in harness._loglikelihood_tokens(pairs, disable_tqdm=True)]

    return run


def cappr_run(process: Process, model) -> tuple[Callable, str]:
    """CAPPr with the prompts' common prefix in its cache, each prompt once for all label words, the best batch size.

    CAPPr pads the completions of an example to the longest. The texts of a channel run differ in length, so each pair
    is an example of its own there.
    """
    from cappr import Example
    from cappr.huggingface.classify import cache, log_probs_conditional, log_probs_conditional_examples

    texts = process.workload["texts"]
    prefix, prompts, completions = texts["prefix"], texts["prompts"], texts["completions"]
    words = process.workload["words"]
    pair = (model, load_tokenizer(process))

    def score(count: int, batch_size: int) -> list[list[float]]:
        """Score the first `count` examples."""
        options = {"show_progress_bar": False, "batch_size": batch_size}
        with cache(pair, prefix, logits_all=False) as cached:
            if process.workload["method"] == "direct":
                scores = log_probs_conditional(prompts[:count], completions, cached, **options)
                return [log_probs for example in scores for log_probs in example]
            examples = [Example(prompt, [text], normalize=False) for text in completions[:count] for prompt in prompts]
            return [scores for (scores,) in log_probs_conditional_examples(examples, cached, **options)]

    count = process.workload["sample"] // words

    def seconds(batch_size: int) -> float:
        begin = time.perf_counter()
        score(min(TRIAL, count), batch_size)
        return time.perf_counter() - begin

    score(1, 1)  # the first call is slower
    best = min(BATCH_SIZES, key=seconds)

    def run(requests: Sequence[Request]) -> list[list[float]]:
        return score(len(requests) // words, best)

    return run, f"batch size {best}, the fastest of {', '.join(map(str, BATCH_SIZES))}"


def main() -> None:
    process = Process()
    workload = process.workload
    model = load_model(process)
    requests = [(context, target) for context, target in workload["requests"][: workload["sample"]]]
    eos_id, note = workload["eos_id"], ""
    if process.system == "lm_eval":
        run, note = lm_eval_run(process, model), f"batch size {ROWS}, no end of sequence"
    elif process.system == "cappr":
        run, note = cappr_run(process, model)
        note += ", no end of sequence"
    elif workload["method"] == "generate":

        def run(requests: Sequence[Request]) -> list:
            return transformers_generate(model, requests, eos_id, workload["max_gen_len"])

    else:

        def run(requests: Sequence[Request]) -> list:
            return transformers_score(model, requests, eos_id)

    process.serve(run, requests, model.get_input_embeddings(), note)


if __name__ == "__main__":
    main()
