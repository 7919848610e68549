// Command retraind keeps a deployed text classifier accurate: it watches label changes, measures how accurate the
// deployed model still is, and retrains, deploys, verifies or rolls back by a policy.
//
// The package translates between the operating system and the packages below: flags, environment, signals, exit codes
// and text for people. It contains no other logic, and nothing imports it.
package main

import (
	"io"
	"os"
	_ "time/tzdata" // time zones of quiet hours, for machines without them
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run runs the whole program. Tests call it.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(&app{stdin: stdin, stdout: stdout, stderr: stderr})
	root.SetArgs(args)
	return exitCode(root.Execute(), stderr)
}
