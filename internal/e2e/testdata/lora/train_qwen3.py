"""Fine-tunes the base by LoRA on the exported chats, and saves the adapter in out/lora."""
import json, os, random, sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from chats import batches, encode

SYSTEM = "You sort news for a town."
STEPS = int(os.environ.get("STEPS", "150"))

random.seed(2)
torch.manual_seed(2)
torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained("base")
model = AutoModelForCausalLM.from_pretrained("base", torch_dtype=torch.float32)
model = get_peft_model(model, LoraConfig(
    r=16, lora_alpha=32, lora_dropout=0.0, task_type="CAUSAL_LM",
    target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))

chats = []
with open(os.path.join(os.environ["RETRAIND_DATA_DIR"], "train.jsonl"), encoding="utf-8") as lines:
    for line in lines:
        messages = json.loads(line)["messages"]
        assert messages[0]["content"] == SYSTEM, messages[0]
        chats.append(encode(tokenizer, messages))
print(f"{len(chats)} chats, {sum(p.numel() for p in model.parameters() if p.requires_grad)} weights to train", file=sys.stderr)

optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2)
model.train()
for step, batch in enumerate(batches(chats, 16, STEPS, tokenizer.pad_token_id)):
    loss = model(**batch).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = 1e-2 * (1 - step / STEPS)
    optimizer.step()
    optimizer.zero_grad()
    if step % 25 == 0 or step == STEPS - 1:
        print({"loss": round(loss.item(), 4), "epoch": round(step / STEPS, 2)}, file=sys.stderr)
model.save_pretrained("out/lora", safe_serialization=True)
tokenizer.save_pretrained("out/lora")
