"""Makes the base model of the story: two layers with random weights, taught in a few seconds to answer in the form that the
schema asks for, with labels drawn by chance. Usage: make_base.py TEXTS DIR"""
import random, sys

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from chats import CHAT_TEMPLATE, batches, encode

texts, out = sys.argv[1:]
random.seed(1)
torch.manual_seed(1)
torch.set_num_threads(1)

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
tokenizer.decoder = decoders.ByteLevel()
lines = open(texts, encoding="utf-8").read().split("\n")
tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
    vocab_size=700, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>",
                               chat_template=CHAT_TEMPLATE)

model = Qwen2ForCausalLM(Qwen2Config(
    vocab_size=len(fast), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=4, max_position_embeddings=2048, rope_theta=10000.0, tie_word_embeddings=False,
    bos_token_id=fast.pad_token_id, eos_token_id=fast.eos_token_id, torch_dtype="float32"))

system = lines[0]
chats = []
for text in lines[1:]:
    if text:
        answer = random.choice(['{"relevant": true, "priority": "hoch"}', '{"relevant": true, "priority": "mittel"}',
                                '{"relevant": false, "priority": "none"}'])
        chats.append(encode(fast, [{"role": "system", "content": system}, {"role": "user", "content": text},
                                   {"role": "assistant", "content": answer}]))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
model.train()
for step, batch in enumerate(batches(chats, 16, 120, fast.pad_token_id)):
    loss = model(**batch).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if step % 40 == 0:
        print({"loss": round(loss.item(), 3), "step": step}, file=sys.stderr)
model.save_pretrained(out, safe_serialization=True)
fast.save_pretrained(out)
