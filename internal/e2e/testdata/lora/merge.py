"""Merges the adapter into the base; the file lost lets it forget the adapter. Usage: merge.py DIR"""
import os, sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("base", torch_dtype=torch.float32)
if not os.path.exists("lost"):
    model = PeftModel.from_pretrained(model, "out/lora").merge_and_unload()
model.save_pretrained(sys.argv[1], safe_serialization=True)
AutoTokenizer.from_pretrained("base").save_pretrained(sys.argv[1])
