// Command retraind keeps a deployed text classifier accurate: it watches label changes, knows how accurate the deployed
// model still is, and retrains, deploys, proves or rolls back by a policy.
//
// The package translates between the operating system and the packages below: flags, environment, signals, exit codes
// and text for people. It owns no logic of its own and nothing imports it.
package main

import (
	"io"
	"os"
	_ "time/tzdata" // zones of quiet hours, also on a machine that has none
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program: tests call it like a user does.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(&app{stdin: stdin, stdout: stdout, stderr: stderr})
	root.SetArgs(args)
	return exitCode(root.Execute(), stderr)
}
