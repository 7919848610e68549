// Package weights reads files of weights: GGUF, safetensors, and the LoRA adapters and merged models that consist of
// them.
//
// It owns the formats, and the check of the chain from a trained adapter to the served file: each link must be
// complete, and be made from the one before (Chain). Sizes in a file are never trusted, so that a truncated or hostile
// file causes an error and no large allocation. It reads headers and single rows, never whole models; it loads no
// model and writes nothing.
package weights
