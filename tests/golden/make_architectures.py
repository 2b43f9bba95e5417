#!/usr/bin/env python3
"""Makes tests/golden/architectures: tiny random models of every architecture weir runs, as GGUF files in f16 (weights are rounded to f16 first, so they
are exact), with the logits that `transformers` computes for them in float64, over keys and values in f16.

Needs torch, transformers and the conversion scripts of a llama.cpp source tree (they come with the source package of llama-cpp-python):

    python3 tests/golden/make_architectures.py --llama-cpp DIR [NAME...]

CI reads the results and needs none of that. File NAME.gguf; NAME.logits: int32 positions, int32 vocabulary, int32 tokens[positions],
float32 logits[positions][vocabulary], little endian. Of encoders NAME.hidden instead, the same with the last hidden states for logits. bert has
a vocabulary as well, and bert.embeddings.json: texts, their ids and their embeddings (mean of the hidden states, of unit length).
"""
import argparse
import json
import pathlib
import struct
import sys
import tempfile
import traceback

import torch
import transformers as tf
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

HERE = pathlib.Path(__file__).parent / "architectures"
POSITIONS = 64
VOCAB = 64

SMALL = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False)
HEAD16 = dict(head_dim=16)


def rope(kind="default", theta=10000.0, **more):
    return dict(rope_parameters={"rope_type": kind, "rope_theta": theta, **more})


def small(**changes):
    return {**SMALL, **changes}


def latent(**changes):
    """Multi-head latent attention; the first layer is dense. Every width differs from the others, so that none can stand for another."""
    return small(**{**dict(num_key_value_heads=4, kv_lora_rank=32, qk_nope_head_dim=24, qk_rope_head_dim=16, v_head_dim=20, first_k_dense_replace=1,
                           moe_intermediate_size=40, num_experts_per_tok=3, n_shared_experts=1, routed_scaling_factor=1.0, norm_topk_prob=False,
                           scoring_func="softmax", rms_norm_eps=1e-6), **changes})


def yarn_mscale(mscale):
    return rope("yarn", factor=8.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0, mscale=mscale, mscale_all_dim=mscale)


# name: (configuration class, model class, arguments)
SPECS = {
    "llama": (tf.LlamaConfig, tf.LlamaForCausalLM, small(**HEAD16)),
    "llama3-rope": (tf.LlamaConfig, tf.LlamaForCausalLM, small(**HEAD16, **rope("llama3", 500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                                               original_max_position_embeddings=32))),
    "llama-linear-rope": (tf.LlamaConfig, tf.LlamaForCausalLM, small(**HEAD16, **rope("linear", factor=4.0))),
    "llama-yarn": (tf.LlamaConfig, tf.LlamaForCausalLM, small(**HEAD16, **rope("yarn", factor=4.0, original_max_position_embeddings=32))),
    "mistral": (tf.MistralConfig, tf.MistralForCausalLM, small(**HEAD16, sliding_window=24)),
    "mixtral": (tf.MixtralConfig, tf.MixtralForCausalLM, small(**HEAD16, num_local_experts=4, num_experts_per_tok=2, sliding_window=None)),
    "qwen2": (tf.Qwen2Config, tf.Qwen2ForCausalLM, small(hidden_size=64)),
    "qwen3": (tf.Qwen3Config, tf.Qwen3ForCausalLM, small(**HEAD16, tie_word_embeddings=True)),
    "qwen2moe": (tf.Qwen2MoeConfig, tf.Qwen2MoeForCausalLM, small(hidden_size=64, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=32,
                                                                  shared_expert_intermediate_size=48)),
    "qwen3moe": (tf.Qwen3MoeConfig, tf.Qwen3MoeForCausalLM, small(**HEAD16, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32,
                                                                  norm_topk_prob=True)),
    "gemma": (tf.GemmaConfig, tf.GemmaForCausalLM, small(**HEAD16, tie_word_embeddings=True, num_key_value_heads=1)),
    "gemma2": (tf.Gemma2Config, tf.Gemma2ForCausalLM, small(**HEAD16, tie_word_embeddings=True, sliding_window=16, query_pre_attn_scalar=16,
                                                            attn_logit_softcapping=2.0, final_logit_softcapping=4.0)),
    "gemma3": (tf.Gemma3TextConfig, tf.Gemma3ForCausalLM, small(**HEAD16, tie_word_embeddings=True, num_hidden_layers=7, sliding_window=16,
                                                                query_pre_attn_scalar=16)),
    "phi3": (tf.Phi3Config, tf.Phi3ForCausalLM, small(hidden_size=64, sliding_window=None)),
    "phi3-longrope": (tf.Phi3Config, tf.Phi3ForCausalLM, small(
        hidden_size=64, sliding_window=None, original_max_position_embeddings=32,
        **rope("longrope", short_factor=[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], long_factor=[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
               original_max_position_embeddings=32))),
    "smollm3": (tf.SmolLM3Config, tf.SmolLM3ForCausalLM, small(hidden_size=64, num_hidden_layers=4)),
    "granite": (tf.GraniteConfig, tf.GraniteForCausalLM, small(hidden_size=64, embedding_multiplier=3.0, residual_multiplier=0.4,
                                                               attention_multiplier=0.2, logits_scaling=2.5)),
    "olmo2": (tf.Olmo2Config, tf.Olmo2ForCausalLM, small(hidden_size=64)),
    "starcoder2": (tf.Starcoder2Config, tf.Starcoder2ForCausalLM, small(hidden_size=64, use_bias=True, tie_word_embeddings=True, sliding_window=None)),
    "glm4": (tf.Glm4Config, tf.Glm4ForCausalLM, small(**HEAD16, attention_bias=True)),
    "command-r": (tf.CohereConfig, tf.CohereForCausalLM, small(hidden_size=64, logit_scale=0.25, tie_word_embeddings=True)),
    "falcon": (tf.FalconConfig, tf.FalconForCausalLM, dict(
        vocab_size=VOCAB, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, multi_query=True, num_kv_heads=1, parallel_attn=True, bias=False,
        new_decoder_architecture=False, alibi=False, max_position_embeddings=256, tie_word_embeddings=True)),
    "gpt2": (tf.GPT2Config, tf.GPT2LMHeadModel, dict(vocab_size=VOCAB, n_positions=256, n_ctx=256, n_embd=64, n_layer=3, n_head=4)),
    "gpt-oss": (tf.GptOssConfig, tf.GptOssForCausalLM, small(
        **HEAD16, hidden_size=32, intermediate_size=32, num_hidden_layers=4, num_local_experts=4, num_experts_per_tok=2, sliding_window=16,
        **rope("yarn", 150000.0, factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False, original_max_position_embeddings=32))),
    # As DeepSeek-V2-Lite, V2 and V3 are.
    "deepseek2-lite": (tf.DeepseekV2Config, tf.DeepseekV2ForCausalLM, latent(q_lora_rank=None, n_routed_experts=6, n_shared_experts=2, **yarn_mscale(0.707))),
    "deepseek2": (tf.DeepseekV2Config, tf.DeepseekV2ForCausalLM, latent(
        q_lora_rank=24, n_routed_experts=8, n_group=4, topk_group=2, topk_method="group_limited_greedy", routed_scaling_factor=2.5)),
    "deepseek2-v3": (tf.DeepseekV3Config, tf.DeepseekV3ForCausalLM, latent(
        q_lora_rank=24, n_routed_experts=8, n_group=4, topk_group=2, norm_topk_prob=True, routed_scaling_factor=2.5, scoring_func="sigmoid",
        **yarn_mscale(1.0))),
}

ENCODER = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4)
ENCODERS = {
    "bert": (tf.BertConfig, tf.BertModel, dict(**ENCODER, max_position_embeddings=128)),
    "nomic-bert": (tf.NomicBertConfig, tf.NomicBertModel, dict(**ENCODER, max_position_embeddings=2048)),
}
SPECS |= ENCODERS
# What the published nomic-bert models have in their configurations beside that, and the conversion asks for.
NOMIC = dict(architectures=["NomicBertModel"], model_type="nomic_bert", n_embd=64, n_head=4, n_inner=96, n_layer=3, n_positions=8192, vocab_size=VOCAB,
             activation_function="swiglu", causal=False, qkv_proj_bias=False, mlp_fc1_bias=False, mlp_fc2_bias=False, prenorm=False, rotary_emb_fraction=1.0,
             rotary_emb_interleaved=False, rotary_emb_scale_base=None, rotary_emb_base=1000, layer_norm_epsilon=1e-12, type_vocab_size=2)


def add_encoder_files(source, name):
    """What sentence-transformers lays beside an encoder: the conversion takes the pooling from it."""
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": name == "bert", "pooling_mode_cls_token": name != "bert"}))
    (source / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]))
    if name == "nomic-bert":
        saved = json.loads((source / "config.json").read_text())
        (source / "config.json").write_text(json.dumps({**saved, **NOMIC}))


# Five special tokens, letters that start words and letters that continue them, and a few more: VOCAB in all.
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *("##" + c for c in LETTERS), "the", "##er", "weir", ".", ",", "!", "水"]
TEXTS = ["The weir", "the river, the weir.", "Wäir!", "水水", "a", "", "WATER RUNS OVER THE WEIR, the weir raises the river.", "7 is unknown", "x" * 101]


def bert_tokenizer():
    return tf.BertTokenizer(vocab={piece: i for i, piece in enumerate(PIECES)})


def write_embeddings(model, out):
    tokenizer = bert_tokenizer()
    rows = []
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
        rows.append({"text": text, "ids": ids, "embedding": [round(x, 7) for x in (mean / mean.norm()).tolist()]})
    out.write_text(json.dumps(rows, ensure_ascii=False, indent=0) + "\n")


def half_kv_attention(module, query, key, value, *args, **kwargs):
    """The family's own attention over keys and values in f16, as weir's cache keeps them."""
    eager = sys.modules[type(module).__module__].eager_attention_forward
    return eager(module, query, key.half().to(key.dtype), value.half().to(value.dtype), *args, **kwargs)


def half_latent(module):
    """The same for latent attention, whose cache holds what keys and values are expanded from."""
    expand = module.expand_kv
    module.expand_kv = lambda latent, k_rot: expand(latent.half().to(latent.dtype), k_rot.half().to(k_rot.dtype))


AttentionInterface.register("half_kv", half_kv_attention)
AttentionMaskInterface.register("half_kv", eager_mask)


def randomize(model):
    generator = torch.Generator().manual_seed(20261124)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 1 and "norm" in name.lower() or ".ln_" in name and name.endswith("weight"):
                p.copy_(p + 0.2 * noise)
            elif p.dim() == 1 or "bias" in name or "sinks" in name:
                p.copy_(0.3 * noise)
            elif "embed" in name or "wte" in name or "wpe" in name:
                p.copy_(0.7 * noise)
            else:
                p.copy_(noise * (1.3 / p.shape[-1] ** 0.5))
            p.copy_(p.half().float())
        for name, b in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                b.copy_(0.2 * torch.randn(b.shape, generator=generator))


def convert(source, out, llama_cpp):
    sys.path.insert(0, str(llama_cpp))
    sys.path.insert(0, str(llama_cpp / "gguf-py"))
    import gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
    hparams = ModelBase.load_hparams(source, False)
    cls = get_model_class(get_model_architecture(hparams, ModelType.TEXT), mmproj=False)
    if hparams["model_type"] == "bert":
        cls.get_vocab_base_pre = lambda self, tokenizer: "default"
    else:
        cls.set_vocab = lambda self: None  # the tests feed token ids
    instance = cls(source, gguf.LlamaFileType.MOSTLY_F16, out, model_name="tiny")
    if hparams["model_type"] == "mistral":  # the conversion leaves it out
        instance.gguf_writer.add_sliding_window(hparams["sliding_window"])
    instance.write()


def make(name, llama_cpp):
    config_class, model_class, arguments = SPECS[name]
    config = config_class(**arguments)
    latents = name.startswith("deepseek2")
    config._attn_implementation = "eager" if name == "falcon" or latents else "half_kv"  # Falcon's attention cannot be exchanged
    config._experts_implementation = "eager"
    torch.manual_seed(1)
    model = model_class(config).eval()
    randomize(model)
    for layer in model.model.layers if latents else []:
        half_latent(layer.self_attn)
    tokens = torch.randint(3, VOCAB, (1, POSITIONS), generator=torch.Generator().manual_seed(7))
    with tempfile.TemporaryDirectory() as tmp:
        source = pathlib.Path(tmp) / name
        model.save_pretrained(source)
        # Gemma's conversion cuts the embedding to the size of the vocabulary that it finds here.
        vocabulary = {"vocab": {str(i): i for i in range(VOCAB)}, "type": "WordPiece"}
        (source / "tokenizer.json").write_text(json.dumps({"model": vocabulary, "added_tokens": []}))
        encoder = name in ENCODERS
        if encoder:
            add_encoder_files(source, name)
        if name == "bert":
            bert_tokenizer().save_pretrained(source)
        convert(source, HERE / f"{name}.gguf", llama_cpp)
    with torch.inference_mode():
        outputs = model.double()(tokens)
        if name == "bert":
            write_embeddings(model, HERE / "bert.embeddings.json")
        logits = (outputs.last_hidden_state if encoder else outputs.logits)[0].float()
    with open(HERE / f"{name}.{'hidden' if encoder else 'logits'}", "wb") as f:
        f.write(struct.pack("<ii", POSITIONS, logits.shape[1]))
        f.write(tokens[0].to(torch.int32).numpy().tobytes())
        f.write(logits.numpy().tobytes())
    print(name, "ok, std of outputs", float(logits.std()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-cpp", type=pathlib.Path, required=True)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    HERE.mkdir(exist_ok=True)
    failed = []
    for name in args.names or SPECS:
        try:
            make(name, args.llama_cpp)
        except Exception as e:  # keep going: one family that a new library version broke must not hide the others
            failed.append(name)
            print(name, "FAILED:", repr(e)[:400])
            traceback.print_exc()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
