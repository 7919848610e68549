// Package retraind is the root of the module: it holds no code, only the tests of the repository itself (layout_test.go), which
// keep imports going down, files short and packages described.
//
// Start reading at internal/daemon, which assembles the packages; the program is cmd/retraind.
package retraind
