// Package classifier is the embedded default model: a softmax regression over TF-IDF of words and character n-grams. One
// model answers several targets; its confidences are calibrated.
//
// It owns the trainer, the file format of a Model, a small HTTP server for it, and the cache of embeddings, so that
// everything runs on a machine without Python or a GPU.
//
// Threading: a Model never changes once trained or loaded and may be used by any number of goroutines; a Server swaps
// its Model atomically, and requests in progress keep the one they began with.
//
// It never decides whether a model is good enough to serve, and never writes outside the directory it was given.
package classifier
