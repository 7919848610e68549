// Package ollamatest provides an Ollama server and models for tests.
//
// It starts a real server for the tests of a binary (Real; the server is built by scripts/ollama.sh and kept in the
// user's cache), a fake with the same answers (NewFake), and has a writer of tiny model files for both: a Classifier
// finds words in a text and answers with their label, so that a test can recognise which version of a model answered.
// Its functions may be called from parallel tests. It is never linked into the program.
package ollamatest
