"""Converts a model of the story to GGUF, with the arguments of llama.cpp's script of this name:
convert_hf_to_gguf.py DIR --outfile FILE --outtype q8_0"""
import argparse, json, os

import gguf
import numpy as np
from safetensors.numpy import load_file

parser = argparse.ArgumentParser()
parser.add_argument("dir")
parser.add_argument("--outfile", required=True)
parser.add_argument("--outtype", choices=["f32", "q8_0"], required=True)
args = parser.parse_args()

with open(os.path.join(args.dir, "config.json"), encoding="utf-8") as f:
    config = json.load(f)
with open(os.path.join(args.dir, "tokenizer.json"), encoding="utf-8") as f:
    tokenizer = json.load(f)
with open(os.path.join(args.dir, "tokenizer_config.json"), encoding="utf-8") as f:
    template = json.load(f)["chat_template"]
assert config["model_type"] == "qwen2", config["model_type"]

quantised = gguf.GGMLQuantizationType.Q8_0 if args.outtype == "q8_0" else gguf.GGMLQuantizationType.F32
w = gguf.GGUFWriter(args.outfile, "qwen2")
w.add_type("model")
w.add_name("tiny")
w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if args.outtype == "q8_0" else gguf.LlamaFileType.ALL_F32)
w.add_quantization_version(gguf.GGML_QUANT_VERSION)
w.add_block_count(config["num_hidden_layers"])
w.add_context_length(config["max_position_embeddings"])
w.add_embedding_length(config["hidden_size"])
w.add_feed_forward_length(config["intermediate_size"])
w.add_head_count(config["num_attention_heads"])
w.add_head_count_kv(config["num_key_value_heads"])
w.add_layer_norm_rms_eps(config["rms_norm_eps"])
w.add_rope_freq_base(config["rope_theta"])

special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
vocabulary = sorted(tokenizer["model"]["vocab"].items(), key=lambda entry: entry[1])
assert [index for _, index in vocabulary] == list(range(config["vocab_size"]))
w.add_tokenizer_model("gpt2")
w.add_tokenizer_pre("qwen2")
w.add_token_list([token for token, _ in vocabulary])
w.add_token_types([gguf.TokenType.CONTROL if index in special else gguf.TokenType.NORMAL for _, index in vocabulary])
w.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]])
ids = {content: index for index, content in special.items()}
w.add_bos_token_id(ids["<|endoftext|>"])
w.add_eos_token_id(ids["<|im_end|>"])
w.add_pad_token_id(ids["<|endoftext|>"])
w.add_add_bos_token(False)
w.add_chat_template(template)

names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config["num_hidden_layers"])
for name, weights in load_file(os.path.join(args.dir, "model.safetensors")).items():
    to = names.get_name(name, try_suffixes=(".weight", ".bias"))
    weights = weights.astype(np.float32)
    if weights.ndim == 2 and quantised != gguf.GGMLQuantizationType.F32:
        w.add_tensor(to, gguf.quants.quantize(weights, quantised), raw_dtype=quantised)
    else:
        w.add_tensor(to, weights)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
