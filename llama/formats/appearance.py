"""Error messages for folders that are not a supported checkpoint: their apparent format, and what to do."""

from pathlib import Path

SIGNS = (  # a pattern of file names and its message; the first match is used
    (
        "*.gguf",
        "contains a GGUF file ({}): convert it with `python run_convert_gguf.py --gguf FILE --output_dir DIR`",
    ),
    ("*.onnx", "an ONNX model ({}): use the folder that it was exported from"),
    ("onnx/*.onnx", "an ONNX model ({}): use the folder that it was exported from"),
    ("weights*.npz", "MLX weights ({}): use the Hugging Face folder that they were converted from"),
    ("tf_model.h5", "TensorFlow weights ({}): use a folder with *.safetensors"),
    ("flax_model.msgpack", "Flax weights ({}): use a folder with *.safetensors"),
    ("consolidated*.safetensors", "Mistral's own format ({}): use the model's Hugging Face folder, with config.json"),
    ("global_step*", "a DeepSpeed checkpoint ({}): merge its shards with its zero_to_fp32.py"),
    ("*.distcp", "a sharded FSDP checkpoint ({}): merge it with `accelerate merge-weights`"),
    ("pytorch_model_fsdp_*", "a sharded FSDP checkpoint ({}): merge it with `accelerate merge-weights`"),
    ("*.part", "an unfinished download ({})"),
    ("*.incomplete", "an unfinished download ({})"),
    ("checkpoint-*", "a folder of Trainer checkpoints: use one of them, such as {}"),
    ("*/config.json", "not a checkpoint, but it contains {}: use that folder"),
    ("*/params.json", "not a checkpoint, but it contains {}: use that folder"),
    ("*.safetensors", "weights ({}) without config.json: copy the config.json of the model"),
    ("*.bin", "weights ({}) without config.json: copy the config.json of the model"),
    ("*.pth", "weights ({}) that are not named consolidated.NN.pth: rename them, next to params.json"),
    ("*.pt", "weights ({}) in an unsupported format: save them with transformers' save_pretrained"),
)
EXPECTED = (
    "expected params.json and consolidated.NN.pth (Meta), config.json and model.safetensors or pytorch_model.bin"
    " (Hugging Face), or adapter_config.json (peft)"
)


def appearance(folder: Path) -> str:
    """What `folder` appears to be and what to do, as the rest of a message after its name."""
    configured = (folder / "config.json").is_file()
    for pattern, sign in SIGNS:
        if configured and "without config.json" in sign:
            continue
        paths = sorted(folder.glob(pattern))
        if paths:
            looks = sign.format(paths[0].relative_to(folder))
            return f"{looks}; {EXPECTED}" if not sign.startswith(("contains", "not a checkpoint")) else looks
    if configured:
        return "contains config.json but no weights: neither model.safetensors nor pytorch_model.bin, nor an index"
    content = "the folder is empty" if not any(folder.iterdir()) else "unknown format"
    return f"{content}; {EXPECTED}"
