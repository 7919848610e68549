// Package e2e holds the end-to-end tests that need programs which `make test` does not assume: a Docker engine with
// compose, Python with scikit-learn, an Ollama server. They run with the build tag e2e, as `make e2e`, which installs or
// builds what they need.
//
// Each test acts as an operator: it starts the real program on a real database and a real service, and checks what a
// person would read. Tests run one after the other, each with its own database and state directory. The package is
// never linked into the program.
package e2e
