// Package retraind is the root of the module: a daemon that keeps a deployed text classifier accurate.
//
// It owns no code, only the tests of the repository itself: imports go down, files are short, packages are described and
// documents are true. The program is cmd/retraind. Start reading at internal/daemon, which assembles the packages; docs/design.md
// describes the way of a label change through them. Nothing imports this package.
package retraind
