"""Chats as tokens, with the loss on the answer alone."""
import random

import torch

CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def encode(tokenizer, messages):
    """The tokens of a chat, and how many of them come before the answer."""
    prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(messages[-1]["content"] + "<|im_end|>", add_special_tokens=False)["input_ids"]
    return before + answer, len(before)


def batches(chats, size, steps, pad):
    for _ in range(steps):
        some = random.sample(chats, min(size, len(chats)))
        longest = max(len(ids) for ids, _ in some)
        ids = torch.full((len(some), longest), pad)
        labels = torch.full((len(some), longest), -100)
        mask = torch.zeros((len(some), longest), dtype=torch.long)
        for row, (tokens, start) in enumerate(some):
            n = len(tokens)
            ids[row, :n] = torch.tensor(tokens)
            labels[row, start:n] = torch.tensor(tokens[start:])
            mask[row, :n] = 1
        yield {"input_ids": ids, "labels": labels, "attention_mask": mask}
