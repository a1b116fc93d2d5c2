"""What a folder that holds no checkpoint of a known format looks like, and what to do."""

from pathlib import Path

SIGNS = (  # a pattern of file names, what it tells; the first that is met is said
    (
        "*.gguf",
        "holds a GGUF file ({}): `python run_convert_gguf.py --gguf FILE --output_dir DIR` makes a folder of it",
    ),
    ("*.onnx", "an ONNX model ({}): take the folder that it was exported from"),
    ("onnx/*.onnx", "an ONNX model ({}): take the folder that it was exported from"),
    ("weights*.npz", "MLX weights ({}): take the Hugging Face folder that they were made from"),
    ("tf_model.h5", "TensorFlow weights ({}): take the folder with *.safetensors"),
    ("flax_model.msgpack", "Flax weights ({}): take the folder with *.safetensors"),
    ("consolidated*.safetensors", "Mistral's own form ({}): take the model's Hugging Face folder, with config.json"),
    ("global_step*", "a DeepSpeed checkpoint ({}): its zero_to_fp32.py makes one file of the shards"),
    ("*.distcp", "a sharded checkpoint of FSDP ({}): merge it, by `accelerate merge-weights`"),
    ("pytorch_model_fsdp_*", "a sharded checkpoint of FSDP ({}): merge it, by `accelerate merge-weights`"),
    ("*.part", "a download that is not finished ({})"),
    ("*.incomplete", "a download that is not finished ({})"),
    ("checkpoint-*", "a folder of a Trainer's checkpoints: name one of them, such as {}"),
    ("*/config.json", "no checkpoint itself, but below it lies {}: name that folder"),
    ("*/params.json", "no checkpoint itself, but below it lies {}: name that folder"),
    ("*.safetensors", "weights ({}), but no config.json beside them: copy the one they were made with"),
    ("*.bin", "weights ({}), but no config.json beside them: copy the one they were made with"),
    ("*.pth", "weights ({}) that are not called consolidated.NN.pth: rename them, beside params.json"),
    ("*.pt", "weights ({}) of no form that is read: save them by transformers' save_pretrained"),
)
EXPECTED = (
    "expected params.json and consolidated.NN.pth (Meta), config.json and model.safetensors or pytorch_model.bin"
    " (Hugging Face), or adapter_config.json (peft)"
)


def appearance(folder: Path) -> str:
    """What `folder` looks like and what to do, to be put after its name."""
    configured = (folder / "config.json").is_file()
    for pattern, sign in SIGNS:
        if configured and "no config.json" in sign:
            continue
        found = sorted(folder.glob(pattern))
        if found:
            looks = sign.format(found[0].relative_to(folder))
            return f"{looks}; {EXPECTED}" if not sign.startswith(("holds", "no checkpoint")) else looks
    if configured:
        return "config.json is there, but no weights: neither model.safetensors nor pytorch_model.bin, nor an index"
    content = "it is empty" if not any(folder.iterdir()) else "nothing in it is known"
    return f"{content}; {EXPECTED}"
