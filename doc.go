// Package retraind is the root of the module retraind, a daemon that keeps a deployed text classifier accurate.
//
// It contains only the tests of the repository itself: packages import only packages of lower levels, files are
// short, packages have comments, and the documents match the code. The program is cmd/retraind. Start reading at
// internal/daemon, which assembles the packages; docs/design.md describes how a label change passes through them.
// Nothing imports this package.
package retraind
