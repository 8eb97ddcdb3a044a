"""What `wrap` leaves raw in the model families: tables of positions and tokens, added to inputs."""

_OF_BERT = ("position_embedding/embeddings",)
_OF_TOKENS = "token_and_position_embedding/position_embedding/embeddings"

LEFT_RAW: dict[str, tuple[str, ...]] = {
    "BERT": _OF_BERT,
    "BertTextClassifier": _OF_BERT,
    "DistilBERT": (_OF_TOKENS,),
    "RoBERTa": ("embeddings/position_embedding/embeddings",),
    "GPT-2": _OF_BERT,
    "GPT2CausalLM": _OF_BERT,
    # A number for each distance of two positions, added to attention scores: encoder and decoder.
    "T5": ("self_attention/embeddings",) * 2,
    "ViT": (
        "vit_patching_and_embedding/class_token",
        "vit_patching_and_embedding/position_embedding/embeddings",
    ),
    "DeiT": tuple(
        f"deit_patching_and_embedding/{name}"
        for name in ("class_token", "distillation_token", "position_embedding")
    ),
    "Whisper": ("encoder_position_embedding/embeddings", f"decoder_{_OF_TOKENS}"),
}
