// Package weights reads files of weights: GGUF, safetensors, and the LoRA adapters and merged models that consist of them.
//
// It owns the formats, and the check of the chain from a trained adapter to the file that is served: each link must be
// whole, and be made of the one before (Chain). Sizes that a file claims are never believed, so that a truncated or
// hostile file costs an error and no memory. It reads heads and single rows, never whole models; it loads no model and
// writes nothing.
package weights
