"""Hugging Face folders against GGUF files of the same values: the same tokens and the same logits, bit for bit.

The folders are made here from the fixtures of tests/golden/architectures and from the real model: names, row order and norms are turned back into what
transformers writes, config.json comes from what the fixtures were made with (make_architectures.py).
"""

import json
import pathlib
import re
import struct
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import gguf  # noqa: E402
import numpy as np  # noqa: E402

GOLDEN = weir.ROOT / "tests" / "golden" / "architectures"
VOCAB = 64
TEXT = "the cat sat on the mat and then the other cat sat there with that hat on its head all day " * 2

LATENT = {"num_key_value_heads": 4, "q_lora_rank": None, "kv_lora_rank": 32, "qk_nope_head_dim": 24, "qk_rope_head_dim": 16, "v_head_dim": 20,
          "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 3, "moe_intermediate_size": 40, "first_k_dense_replace": 1,
          "moe_layer_freq": 1, "routed_scaling_factor": 1.0, "norm_topk_prob": False, "scoring_func": "softmax", "head_dim": 16}
YARN = {"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32, "beta_fast": 32, "beta_slow": 1}

# name of the fixture: (model_type, further fields of config.json)
MODELS = {
    "llama": ("llama", {}),
    "llama3-rope": ("llama", {"rope_theta": 5e5, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}}),
    "llama-linear-rope": ("llama", {"rope_scaling": {"type": "linear", "factor": 4.0}}),
    "llama-yarn": ("llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 32}}),
    "mistral": ("mistral", {"sliding_window": 24}),
    "mixtral": ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}),
    "qwen2": ("qwen2", {"use_sliding_window": False, "sliding_window": 4096}),
    "qwen2moe": ("qwen2_moe", {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 48}),
    "qwen3": ("qwen3", {"tie_word_embeddings": True}),
    "qwen3moe": ("qwen3_moe", {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": True}),
    "gemma": ("gemma", {"hidden_act": "gelu"}),
    "gemma2": ("gemma2", {"hidden_activation": "gelu_pytorch_tanh", "sliding_window": 16, "query_pre_attn_scalar": 16, "attn_logit_softcapping": 2.0,
                          "final_logit_softcapping": 4.0, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}),
    "gemma3": ("gemma3_text", {"hidden_activation": "gelu_pytorch_tanh", "sliding_window": 16, "query_pre_attn_scalar": 16, "sliding_window_pattern": 6}),
    "phi3": ("phi3", {"sliding_window": None}),
    "phi3-longrope": ("phi3", {"original_max_position_embeddings": 32, "rope_scaling": {
        "type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]}}),
    "smollm3": ("smollm3", {"rope_theta": 2e6, "no_rope_layers": [1, 1, 1, 0]}),
    "granite": ("granite", {"attention_multiplier": 0.2, "embedding_multiplier": 3.0, "residual_multiplier": 0.4, "logits_scaling": 2.5}),
    "olmo2": ("olmo2", {}),
    "starcoder2": ("starcoder2", {"use_bias": True, "sliding_window": None, "hidden_act": "gelu_pytorch_tanh", "rms_norm_eps": None, "norm_epsilon": 1e-5}),
    "glm4": ("glm4", {"attention_bias": True}),
    "command-r": ("cohere", {"logit_scale": 0.25, "rms_norm_eps": None, "layer_norm_eps": 1e-5, "use_qk_norm": False}),
    "falcon": ("falcon", {"rms_norm_eps": None, "layer_norm_epsilon": 1e-5, "intermediate_size": None, "head_dim": None, "max_position_embeddings": None,
                          "num_hidden_layers": None, "n_layer": 3, "multi_query": True, "parallel_attn": True, "bias": False, "alibi": False,
                          "new_decoder_architecture": False}),
    "gpt2": ("gpt2", {"rms_norm_eps": None, "layer_norm_epsilon": 1e-5, "hidden_size": None, "n_embd": 64, "intermediate_size": None, "n_inner": None,
                      "num_hidden_layers": None, "n_layer": 3, "num_attention_heads": None, "n_head": 4, "max_position_embeddings": None,
                      "n_positions": 256, "head_dim": None, "activation_function": "gelu_new"}),
    "deepseek2-lite": ("deepseek_v2", {**LATENT, "n_routed_experts": 6, "n_shared_experts": 2, "topk_method": "greedy", "n_group": 1, "topk_group": 1,
                                       "rope_scaling": {**YARN, "mscale": 0.707, "mscale_all_dim": 0.707}}),
    "deepseek2": ("deepseek_v2", {**LATENT, "q_lora_rank": 24, "n_group": 4, "topk_group": 2, "topk_method": "group_limited_greedy",
                                  "routed_scaling_factor": 2.5}),
    "deepseek2-v3": ("deepseek_v3", {**LATENT, "q_lora_rank": 24, "n_group": 4, "topk_group": 2, "topk_method": "noaux_tc", "norm_topk_prob": True,
                                     "scoring_func": "sigmoid", "routed_scaling_factor": 2.5,
                                     "rope_parameters": {**YARN, "rope_type": "yarn", "rope_theta": 1e4, "mscale": 1.0, "mscale_all_dim": 1.0}}),
}
PERMUTED = {"llama", "mistral", "mixtral", "smollm3", "granite"}
GEMMAS = {"gemma", "gemma2", "gemma3_text"}
SANDWICH = {"gemma2", "gemma3_text", "olmo2"}
LATENTS = {"deepseek_v2", "deepseek_v3"}
NAMES = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
         "ffn_up_shexp": "mlp.shared_expert.up_proj", "ffn_down_shexp": "mlp.shared_expert.down_proj", "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
         "post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
# What one model type names in its own way.
OWN = {"starcoder2": {"ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj", "ffn_norm": "post_attention_layernorm"},
       "glm4": {"post_attention_norm": "post_self_attn_layernorm", "post_ffw_norm": "post_mlp_layernorm", "ffn_up": "mlp.gate_up_proj"},
       "phi3": {"ffn_up": "mlp.gate_up_proj"},
       "falcon": {"attn_qkv": "self_attention.query_key_value", "attn_output": "self_attention.dense", "ffn_up": "mlp.dense_h_to_4h",
                  "ffn_down": "mlp.dense_4h_to_h"},
       "gpt2": {"attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_norm": "ln_2", "ffn_up": "mlp.c_fc",
                "ffn_down": "mlp.c_proj"},
       **dict.fromkeys(LATENTS, {
           "attn_q_a": "self_attn.q_a_proj", "attn_q_a_norm": "self_attn.q_a_layernorm", "attn_q_b": "self_attn.q_b_proj",
           "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa", "attn_kv_a_norm": "self_attn.kv_a_layernorm", "ffn_gate_shexp": "mlp.shared_experts.gate_proj",
           "ffn_up_shexp": "mlp.shared_experts.up_proj", "ffn_down_shexp": "mlp.shared_experts.down_proj"})}
TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output_norm.bias": "model.norm.bias",
       "output.weight": "lm_head.weight"}
OWN_TOP = {"falcon": {"token_embd.weight": "transformer.word_embeddings.weight", "output_norm.weight": "transformer.ln_f.weight",
                      "output_norm.bias": "transformer.ln_f.bias"},
           "gpt2": {"token_embd.weight": "wte.weight", "position_embd.weight": "wpe.weight", "output_norm.weight": "ln_f.weight",
                    "output_norm.bias": "ln_f.bias"}}
ENCODER = {"token_embd": "word_embeddings", "position_embd": "position_embeddings", "token_types": "token_type_embeddings", "token_embd_norm": "LayerNorm",
           "attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value", "attn_output": "attention.output.dense",
           "attn_output_norm": "attention.output.LayerNorm", "ffn_up": "intermediate.dense", "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm"}
EXPERTS = {"ffn_gate_exps": ("gate_proj", "w1"), "ffn_up_exps": ("up_proj", "w3"), "ffn_down_exps": ("down_proj", "w2")}


def halves(rows, heads):
    """The rows of q or k as transformers has them: in each head the first of all pairs, then the second of all."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def hf_tensors(model_type, fields, tensors):
    """{name: array} under transformers' names, of {GGUF name: array}."""
    out = {}
    for name, data in tensors.items():
        if name.startswith("rope_"):
            continue
        if model_type in GEMMAS and name.endswith("norm.weight"):
            data = data - np.float32(1)
        if model_type == "gpt2":  # the causal mask is in old files, too
            out["h.0.attn.bias"] = np.ones((1, 1, 4, 4), np.float32)
        if model_type == "gpt2" and name.startswith("blk.") and data.ndim == 2:
            data = data.T
        top = {**TOP, **OWN_TOP.get(model_type, {})}.get(name)
        if top:
            out[top] = data
            continue
        layer, part, kind = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name).groups()
        prefix = {"falcon": "transformer.h.{}.", "gpt2": "h.{}."}.get(model_type, "model.layers.{}.").format(layer)
        if model_type in PERMUTED and part in ("attn_q", "attn_k"):
            data = halves(data, fields["num_attention_heads" if part == "attn_q" else "num_key_value_heads"])
        if part == "exp_probs_b":
            out[prefix + "mlp.gate.e_score_correction_bias"] = data
            continue
        if part == "attn_v_b":  # joined with attn_k_b
            continue
        if part == "attn_k_b":
            rows = np.concatenate([data.swapaxes(1, 2), tensors[name.replace("k_b", "v_b")]], axis=1)
            out[prefix + "self_attn.kv_b_proj.weight"] = rows.reshape(-1, rows.shape[-1])
            continue
        if part in EXPERTS:
            pattern = "block_sparse_moe.experts.{}." + EXPERTS[part][1] if model_type == "mixtral" else "mlp.experts.{}." + EXPERTS[part][0]
            for i, expert in enumerate(data):
                out[prefix + pattern.format(i) + ".weight"] = expert
            continue
        if part in OWN.get(model_type, {}):
            new = OWN[model_type][part]
        elif part == "ffn_gate_inp":
            new = "block_sparse_moe.gate" if model_type == "mixtral" else "mlp.gate"
        elif part == "ffn_norm":
            new = "pre_feedforward_layernorm" if model_type in SANDWICH else "post_attention_layernorm"
        else:
            new = NAMES[part]
        if part == "ffn_gate_inp_shexp":
            data = data.reshape(1, -1)
        out[f"{prefix}{new}.{kind}"] = data
    return out


class E4m3(np.ndarray):
    """Bytes that are F8_E4M3 numbers."""


# uint16 is how bfloat16 is carried here.
DTYPES = {np.dtype(np.float32): "F32", np.dtype(np.float16): "F16", np.dtype(np.uint16): "BF16", np.dtype(np.int32): "I32", np.dtype(np.int64): "I64",
          np.dtype(np.int8): "I8", np.dtype(np.uint8): "U8"}


def dtype_and_bytes(data):
    return "F8_E4M3" if isinstance(data, E4m3) else DTYPES[data.dtype], np.ascontiguousarray(data).tobytes()


def write_safetensors(path, tensors):
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, data in tensors.items():
        dtype, blob = dtype_and_bytes(data)
        header[name] = {"dtype": dtype, "shape": list(data.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def write_shards(folder, tensors, count):
    names = list(tensors)
    where = {}
    for i in range(count):
        file = f"model-{i + 1:05}-of-{count:05}.safetensors"
        part = names[i::count]
        write_safetensors(folder / file, {n: tensors[n] for n in part})
        where.update({n: file for n in part})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def tiny_vocabulary():
    letters = [chr(c) for c in (*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1))] + ["\u0120", ".", ","]
    merges = [("t", "h"), ("th", "e"), ("\u0120", "the")]
    tokens = ["<pad>", "<s>", "</s>", *letters, *("".join(m) for m in merges), "<x>", "<y>", "<z>"]
    return tokens, merges


def tiny_tokenizer():
    tokens, merges = tiny_vocabulary()
    added = [{"id": i, "content": t, "special": True, "lstrip": False, "rstrip": False, "normalized": False} for i, t in enumerate(tokens[:3])]
    return {"version": "1.0", "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "post_processor": None, "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)}, "merges": [list(m) for m in merges]}}


def values(tensor):
    """A tensor of a GGUF file as an array in the file's float type, rows first."""
    return np.array(tensor.data).reshape(tuple(int(d) for d in reversed(tensor.shape)))


def copy_fields(reader, writer, prefixes):
    for field in reader.fields.values():
        if field.name.startswith(prefixes) and field.name != "general.architecture":
            kind = field.types[0]
            writer.add_key_value(field.name, field.contents(), kind, sub_type=field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)


class Folders(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.tmp = pathlib.Path(holder.name)
        self.text = self.tmp / "text"
        self.text.write_text(TEXT)

    def logits(self, model, *options, count=64):
        out = self.tmp / "logits"
        code, _, err = weir.run("eval", "logits", model, "-f", self.text, "--count", count, "-o", out, *options)
        self.assertEqual(code, 0, err)
        return out.read_bytes()

    def refused(self, model, *words):
        code, _, err = weir.run("inspect", model)
        self.assertEqual(code, 3, err)
        for word in words:
            self.assertIn(word, err)
        return err

    def tiny(self, name, shards=1):
        """(folder, GGUF file) of a fixture, both with the same small vocabulary."""
        model_type, more = MODELS[name]
        reader = gguf.GGUFReader(GOLDEN / f"{name}.gguf")
        arch = reader.fields["general.architecture"].contents()

        def key(k, otherwise=None):
            return reader.fields[f"{arch}.{k}"].contents() if f"{arch}.{k}" in reader.fields else otherwise

        tensors = {t.name: values(t) for t in reader.tensors}
        fields = {"model_type": model_type, "hidden_size": key("embedding_length"), "intermediate_size": key("feed_forward_length"),
                  "num_hidden_layers": key("block_count"), "num_attention_heads": key("attention.head_count"),
                  "num_key_value_heads": key("attention.head_count_kv"), "max_position_embeddings": key("context_length"), "head_dim":
                  key("attention.key_length"), "rms_norm_eps": float(key("attention.layer_norm_rms_epsilon", 1e-5)), "rope_theta": key("rope.freq_base", 1e4),
                  "vocab_size": VOCAB, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, **more}
        folder = self.tmp / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(fields))
        (folder / "tokenizer.json").write_text(json.dumps(tiny_tokenizer()))
        hf = hf_tensors(model_type, fields, tensors)
        if shards == 1:
            write_safetensors(folder / "model.safetensors", hf)
        else:
            write_shards(folder, hf, shards)
        file = self.tmp / f"{name}.gguf"
        self.write_gguf(file, reader, arch, tensors)
        return folder, file

    @staticmethod
    def write_gguf(path, reader, arch, tensors, kind=None):
        writer = gguf.GGUFWriter(path, arch)
        copy_fields(reader, writer, (arch + ".",))
        tokens, merges = tiny_vocabulary()
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(tokens)
        writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
        writer.add_token_merges([" ".join(m) for m in merges])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        for name, data in tensors.items():
            if kind is not None and data.ndim > 1 and data.shape[-1] % 32 == 0:
                writer.add_tensor(name, gguf.quants.quantize(data.astype(np.float32), kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, data)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def test_logits_are_those_of_the_gguf_file(self):
        for name in MODELS:
            with self.subTest(name):
                folder, file = self.tiny(name, shards=1 + len(name) % 3)
                self.assertEqual(self.logits(folder), self.logits(file))

    def test_an_encoder(self):
        folder = self.encoder()
        for text in ("the weir", "W\u00e4ir! \u6c34 [SEP] WATER, over the weir.", ""):
            answers = [weir.run("embed", model, "--json", text) for model in (folder, GOLDEN / "bert.gguf")]
            self.assertEqual(answers[0][0], 0, answers[0][2])
            self.assertEqual(answers[0][1], answers[1][1])
        code, _, err = weir.run("embed", folder, "--load-type", "q8_0", "the weir")
        self.assertEqual(code, 0, err)

    def test_pooling_of_an_encoder(self):
        folder = self.encoder()
        pooling = folder / "1_Pooling" / "config.json"
        for said, want in (({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"), ({"pooling_mode": "lasttoken"}, "last"), (None, None)):
            pooling.unlink() if said is None else pooling.write_text(json.dumps(said))
            self.assertEqual(json.loads(weir.run("inspect", folder, "--json")[1])["embedding"]["pooling"], want)
        for said in ({"pooling_mode_max_tokens": True}, {"pooling_mode": "max"}, {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}):
            pooling.write_text(json.dumps(said))
            self.refused(folder, "1_Pooling/config.json", "pooling_mode")

    def test_what_an_encoder_is_not_known_with(self):
        folder = self.encoder()
        for file, change, word in (("config.json", {"hidden_act": "gelu_new"}, "hidden_act"), ("config.json", {"is_decoder": True}, "is_decoder"),
                                   ("config.json", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
                                   ("tokenizer.json", {"normalizer": None}, "BertNormalizer"), ("tokenizer.json", {"pre_tokenizer": None}, "BertPreTokenizer")):
            good = (folder / file).read_text()
            (folder / file).write_text(json.dumps({**json.loads(good), **change}))
            self.refused(folder, file, word)
            (folder / file).write_text(good)

    def encoder(self):
        """The fixture `bert` as a folder of sentence-transformers."""
        reader = gguf.GGUFReader(GOLDEN / "bert.gguf")
        get = {name: field.contents() for name, field in reader.fields.items()}
        folder = self.tmp / "bert"
        (folder / "1_Pooling").mkdir(parents=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}))
        (folder / "config.json").write_text(json.dumps({
            "model_type": "bert", "hidden_act": "gelu", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
            "max_position_embeddings": 128, "layer_norm_eps": 1e-12, "position_embedding_type": "absolute", "pad_token_id": 0}))
        pieces = [p if kind != 1 else p[1:] if p[0] == "\u2581" else "##" + p
                  for p, kind in zip(get["tokenizer.ggml.tokens"], get["tokenizer.ggml.token_type"])]
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        around = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
        (folder / "tokenizer.json").write_text(json.dumps({
            "added_tokens": [{"id": i, "content": t, "special": True} for i, t in enumerate(special)],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": {"type": "TemplateProcessing", "single": around},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                      "vocab": {p: i for i, p in enumerate(pieces)}}}))
        (folder / "tokenizer_config.json").write_text(json.dumps({f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep", "mask")}))
        tensors = {}
        for t in reader.tensors:
            name, _, kind = t.name.rpartition(".")
            layer = re.fullmatch(r"blk\.(\d+)\.(\w+)", name)
            new = f"encoder.layer.{layer[1]}.{ENCODER[layer[2]]}" if layer else f"embeddings.{ENCODER[name]}"
            kind = {"weight": "gamma", "bias": "beta"}[kind] if name == "token_embd_norm" else kind  # as the oldest files have it
            tensors[f"bert.{new}.{kind}"] = values(t)
        tensors["bert.pooler.dense.weight"] = tensors["cls.predictions.transform.dense.weight"] = np.zeros((64, 64), np.float32)
        tensors["bert.embeddings.position_ids"] = np.zeros((1, 128), np.float32)
        write_safetensors(folder / "model.safetensors", tensors)
        return folder

    def test_load_type_is_what_a_quantized_file_holds(self):
        folder, _ = self.tiny("llama")
        reader = gguf.GGUFReader(GOLDEN / "llama.gguf")
        tensors = {t.name: values(t) for t in reader.tensors}
        plain = self.logits(folder)
        for option, kind in (("q8_0", gguf.GGMLQuantizationType.Q8_0), ("q4_0", gguf.GGMLQuantizationType.Q4_0),
                             ("bf16", gguf.GGMLQuantizationType.BF16)):
            with self.subTest(option):
                file = self.tmp / f"{option}.gguf"
                self.write_gguf(file, reader, "llama", tensors, kind)
                got = self.logits(folder, "--load-type", option)
                self.assertNotEqual(got, plain)
                if option != "bf16":  # the tool leaves rows of 48 in f16 only where blocks do not fit
                    self.assertEqual(got, self.logits(file))

    def test_what_is_not_supported_is_refused_by_name(self):
        folder, _ = self.tiny("llama")
        good = json.loads((folder / "config.json").read_text())
        for change, words in (({"model_type": "mamba"}, ('"mamba"', "llama, mistral")),
                              ({"quantization_config": {"quant_method": "bitsandbytes"}}, ('"bitsandbytes"', "not supported")),
                              ({"num_hidden_layers": "3"}, ("num_hidden_layers must be an integer",)),
                              ({"rms_norm_eps": None}, ("rms_norm_eps is missing",)),
                              ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, ('"dynamic"',)),
                              ({"hidden_act": "relu"}, ("hidden_act",))):
            with self.subTest(change):
                (folder / "config.json").write_text(json.dumps({**good, **change}))
                self.refused(folder, "config.json", *words)
        (folder / "config.json").write_text("{")
        self.refused(folder, "config.json")
        (folder / "config.json").unlink()
        self.refused(folder, "without config.json")

    def test_unknown_variants_of_a_model_type_are_refused_by_field(self):
        yarn = MODELS["deepseek2-v3"][1]["rope_parameters"]
        for name, changes in (("command-r", {"use_qk_norm": True, "hidden_act": "gelu", "layer_norm_eps": None}),
                              ("falcon", {"alibi": True, "multi_query": False, "bias": True, "activation": "relu", "n_layer": None}),
                              ("gpt2", {"activation_function": "gelu", "n_positions": None}),
                              ("starcoder2", {"hidden_act": "gelu"}),
                              ("deepseek2-v3", {"scoring_func": "softmax", "topk_method": "greedy", "moe_layer_freq": 2, "kv_lora_rank": None,
                                                "rope_interleave": False, "n_group": None, "rope_parameters": {**yarn, "mscale": 0.5}}),
                              ("deepseek2", {"norm_topk_prob": True, "topk_method": "noaux_tc"})):
            folder, _ = self.tiny(name)
            good = json.loads((folder / "config.json").read_text())
            usual = {"n_layer": "num_hidden_layers", "n_positions": "max_position_embeddings", "rope_parameters": "mscale"}
            for field, value in changes.items():
                with self.subTest(name=name, field=field):
                    (folder / "config.json").write_text(json.dumps({**good, field: value}))
                    self.refused(folder, "config.json", usual.get(field, field))

    def test_a_broken_folder_is_refused(self):
        folder, _ = self.tiny("llama", shards=2)
        index = folder / "model.safetensors.index.json"
        good = index.read_text()
        for bad in ("../x.safetensors", "/etc/passwd", "x.bin", 3):
            index.write_text(json.dumps({"weight_map": {"a": bad}}))
            self.refused(folder, "weight_map")
        index.write_text(json.dumps({"weight_map": {"a": "none.safetensors"}}))
        self.refused(folder, "none.safetensors")
        index.write_text(good)
        shard = folder / "model-00001-of-00002.safetensors"
        data = shard.read_bytes()
        shard.write_bytes(data[:-1])
        self.refused(folder, shard.name)
        shard.write_bytes(data)
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        for part, value in (("model", {"type": "Unigram", "vocab": []}), ("pre_tokenizer", {"type": "Whitespace"}), ("added_tokens", [{"id": 1}])):
            (folder / "tokenizer.json").write_text(json.dumps({**tokenizer, part: value}))
            self.refused(folder, "tokenizer.json")
        (folder / "tokenizer.json").write_text('{"x":[' + "0," * (8 << 20) + "0]}")  # 17 MB, of which memory holds 20 times as much
        self.refused(folder, "tokenizer.json", "more than 8388608 values")
        (folder / "tokenizer.json").unlink()
        self.refused(folder, "tokenizer.json is missing")


def split(regex):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}


WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
# vocabulary of the shared data: (pre_tokenizer, ignore_merges)
BYTE_LEVEL = {"gpt-2": (BYTES, False), "llama-bpe": (split(WORDS % "{1,3}"), True), "qwen2": (split(WORDS % ""), False),
              "starcoder": ({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTES]}, False)}


def sentencepiece_merges(scores):
    """As transformers makes them of {piece: score}."""
    ids = {p: i for i, p in enumerate(scores)}
    merges = []
    for piece, score in scores.items():
        local = [(piece[:i], piece[i:], score) for i in range(1, len(piece)) if piece[:i] in ids and piece[i:] in ids]
        merges += sorted(local, key=lambda m: (ids[m[0]], ids[m[1]]))
    return [[left, right] for left, right, _ in sorted(merges, key=lambda m: -m[2])]


class Vocabularies(unittest.TestCase):
    """The tokens of the shared test texts through tokenizer.json, against those through the GGUF file."""

    def check(self, name, make):
        file = weir.SHARED / "data" / "tokenizers" / f"ggml-vocab-{name}.gguf"
        if not file.exists():
            self.skipTest(f"{file} is not there")
        fields = {n: f.contents() for n, f in gguf.GGUFReader(file).fields.items() if n.startswith("tokenizer.")}
        tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
        with tempfile.TemporaryDirectory() as tmp:
            folder = pathlib.Path(tmp)
            config = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1,
                      "max_position_embeddings": 64, "rms_norm_eps": 1e-6}
            for key in ("bos", "eos"):
                config[f"{key}_token_id"] = fields.get(f"tokenizer.ggml.{key}_token_id")
            (folder / "config.json").write_text(json.dumps(config))
            added = [{"id": i, "content": t, "special": kinds[i] != 4} for i, t in enumerate(tokens) if kinds[i] in (2, 3, 4)]
            tokenizer = {"added_tokens": added, **make(fields, {t: i for i, t in enumerate(tokens)})}
            (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
            (folder / "tokenizer_config.json").write_text(json.dumps({"add_bos_token": fields.get("tokenizer.ggml.add_bos_token", name != "gpt-2")}))
            write_safetensors(folder / "model.safetensors", {"model.embed_tokens.weight": np.zeros((len(tokens), 32), np.float16)})
            text = file.with_name(file.name + ".inp").read_text()
            got = weir.run("tokenize", folder, "--text", text, "--json", "--no-bos")
            want = weir.run("tokenize", file, "--text", text, "--json", "--no-bos")
            self.assertEqual(got[0], 0, got[2])
            self.assertEqual(got[1], want[1])

    def test_byte_level(self):
        for name, (pre, ignore) in BYTE_LEVEL.items():
            with self.subTest(name):
                self.check(name, lambda fields, vocab, pre=pre, ignore=ignore: {
                    "pre_tokenizer": pre, "model": {"type": "BPE", "ignore_merges": ignore, "vocab": vocab, "merges": fields["tokenizer.ggml.merges"]}})

    def test_sentencepiece(self):
        def make(fields, vocab):
            scores = {t: s for t, s, k in zip(vocab, fields["tokenizer.ggml.scores"], fields["tokenizer.ggml.token_type"]) if k == 1}
            return {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                                                      {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
                    "pre_tokenizer": None,
                    "model": {"type": "BPE", "byte_fallback": True, "unk_token": "<unk>", "vocab": vocab, "merges": sentencepiece_merges(scores)}}
        for name in ("llama-spm",):
            with self.subTest(name):
                self.check(name, make)


def write_real_texts(folder, reader):
    """All of the real model's folder but its tensors; returns config.json."""
    def get(name):
        return reader.fields[name].contents()

    tokens, kinds = get("tokenizer.ggml.tokens"), get("tokenizer.ggml.token_type")
    config = {"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
              "num_key_value_heads": 3, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 100000,
              "tie_word_embeddings": True, "eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 2, "hidden_act": "silu", "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = tiny_tokenizer()
    tokenizer["added_tokens"] = [{"id": i, "content": t, "special": True} for i, t in enumerate(tokens) if kinds[i] == 3]
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, tokenizer["pre_tokenizer"]]}
    tokenizer["model"] = {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)}, "merges": get("tokenizer.ggml.merges")}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "unk_token": "<|endoftext|>", "chat_template": get("tokenizer.chat_template")}))
    return config


class RealModel(Folders):
    test_logits_are_those_of_the_gguf_file = test_load_type_is_what_a_quantized_file_holds = None
    test_what_is_not_supported_is_refused_by_name = test_a_broken_folder_is_refused = None
    test_unknown_variants_of_a_model_type_are_refused_by_field = None
    test_an_encoder = test_pooling_of_an_encoder = test_what_an_encoder_is_not_known_with = None

    def make(self):
        reader = gguf.GGUFReader(weir.MODEL)
        folder = self.tmp / "smollm2"
        folder.mkdir()
        config = write_real_texts(folder, reader)
        file = self.tmp / "bf16.gguf"
        writer = gguf.GGUFWriter(file, "llama")
        copy_fields(reader, writer, ("llama.", "tokenizer."))
        tensors = {}
        for t in reader.tensors:
            data = gguf.quants.dequantize(t.data, t.tensor_type)
            if data.ndim == 1:
                tensors[t.name] = data
                writer.add_tensor(t.name, data)
                continue
            raw = gguf.quants.quantize(data, gguf.GGMLQuantizationType.BF16)
            writer.add_tensor(t.name, raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
            tensors[t.name] = np.ascontiguousarray(raw).view(np.uint16)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        write_safetensors(folder / "model.safetensors", hf_tensors("llama", config, tensors))
        return folder, file

    def test_the_real_model(self):
        folder, file = self.make()
        self.assertEqual(self.logits(folder, count=16), self.logits(file, count=16))
        for command in (("run", "-p", "The capital of France is", "-n", 24, "--temp", 0), ("tokenize", "--text", "Hello 1234 <|im_end|> w\u00f6rld")):
            answers = [weir.run(command[0], model, *command[1:]) for model in (folder, file)]
            self.assertEqual(answers[0][0], 0, answers[0][2])
            self.assertEqual(answers[0][1], answers[1][1])
        with weir.Server(model=folder) as server:
            self.assertEqual(server.model, "smollm2")


if __name__ == "__main__":
    unittest.main()
