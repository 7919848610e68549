// Package classifier implements the embedded default model: a softmax regression over TF-IDF of words and character
// n-grams, or over embeddings. For a target that is a set, each member has a logistic regression. One model can answer
// several targets, with calibrated confidences.
//
// It contains the trainer, the file format of a Model, a small HTTP server for models, and the cache of embeddings.
// Everything runs on a machine without Python or a GPU.
//
// Threading: a Model never changes once trained or loaded and may be used by any number of goroutines; a Server
// replaces its Model atomically, and requests in progress continue with the previous Model.
//
// The package never decides whether a model is good enough to serve. It writes only into the release directory and the
// cache file that it is given.
package classifier
