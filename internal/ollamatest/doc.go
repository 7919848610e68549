// Package ollamatest gives tests an Ollama server and models for it.
//
// It owns the real server of a test binary (Real, built by scripts/ollama.sh and kept in the user's cache), a fake that
// answers as the real one does (NewFake), and a writer of tiny model files that both understand: a Classifier finds words
// in a text and answers with their label, so that a test sees which version of a model answered. Its functions may be
// called from parallel tests. It is never linked into the program.
package ollamatest
