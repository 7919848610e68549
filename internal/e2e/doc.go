// Package e2e contains the end-to-end tests that need more programs than `make test`: a Docker engine with compose,
// Python with scikit-learn, an Ollama server. They have the build tag e2e and run with `make e2e`, which installs or
// builds these programs.
//
// Each test acts as an operator: it starts the real program with a real database and a real service, and checks the
// output that a person would read. Tests run one after the other, each with its own database and state directory. The
// package is never linked into the program.
package e2e
