// Package weights reads files of weights: GGUF, safetensors, and the LoRA adapters and merged models that consist of
// them.
//
// It knows the formats, and checks the chain from a trained adapter to the served file: each link must be complete and
// made from the one before (Chain). It does not trust sizes in a file, so that a truncated or hostile file causes an
// error and no large allocation. It reads headers, whole adapters, and single rows of models; it loads no model and
// writes nothing.
package weights
