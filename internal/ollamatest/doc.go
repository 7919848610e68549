// Package ollamatest provides an Ollama server and models for tests.
//
// It starts a real server for the tests of a binary (Real; the server is built by scripts/ollama.sh and kept in the
// user's cache) or a fake with the same answers (NewFake), and writes tiny model files for both: a Classifier finds
// words in a text and answers with their label, so that a test can recognise which version of a model answered. The
// functions may be called from parallel tests. The package is never linked into the program.
package ollamatest
