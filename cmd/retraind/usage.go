package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// usageErrors makes a command report wrong subcommands, arguments and flags with helpful messages and the exit code
// for wrong usage.
func usageErrors(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return wrongUsage(cmd, wrongFlag(cmd, err)) })
	if accepts := cmd.Args; accepts != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := accepts(cmd, args); err != nil {
				return wrongUsage(cmd, wrongArguments(cmd, accepts, args))
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		usageErrors(c)
	}
}

func wrongUsage(cmd *cobra.Command, what string) error {
	return fail(exitUsage, "%s; see `%s --help`", what, cmd.CommandPath())
}

// name returns a command as it is typed after the program's name.
func name(cmd *cobra.Command) string {
	return strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()), " ")
}

// has returns the start of a sentence that names something that a command does not have.
func has(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return "there is no"
	}
	return name(cmd) + " has no"
}

// wrongArguments names the missing or superfluous argument.
func wrongArguments(cmd *cobra.Command, accepts cobra.PositionalArgs, args []string) string {
	if cmd.HasAvailableSubCommands() && len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	var needed []string
	optional := false // inside brackets
	for _, word := range strings.Fields(cmd.Use)[1:] {
		optional = optional || strings.HasPrefix(word, "[")
		if !optional && word != "--" {
			needed = append(needed, word)
		}
		optional = optional && !strings.HasSuffix(word, "]")
	}
	if len(args) < len(needed) {
		return fmt.Sprintf("%s needs %s", name(cmd), needed[len(args)])
	}
	for i := len(needed); i < len(args); i++ {
		if accepts(cmd, args[:i+1]) != nil {
			return fmt.Sprintf("%s does not take the argument %q", name(cmd), args[i])
		}
	}
	return accepts(cmd, args).Error()
}

func unknownCommand(cmd *cobra.Command, word string) string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return fmt.Sprintf("%s command %q%s", has(cmd), word, didYouMean(word, names, ""))
}

func wrongFlag(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	var noValue *pflag.ValueRequiredError
	var badValue *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		word := unknown.GetSpecifiedName()
		return fmt.Sprintf("%s flag --%s%s", has(cmd), word, didYouMean(word, names, "--"))
	case errors.As(err, &unknown):
		return fmt.Sprintf("%s flag -%s", has(cmd), unknown.GetSpecifiedName())
	case errors.As(err, &noValue):
		return fmt.Sprintf("--%s needs a value", noValue.GetFlag().Name)
	case errors.As(err, &badValue):
		f := badValue.GetFlag()
		if own := new(unit.Error); errors.As(err, &own) {
			return fmt.Sprintf("--%s: %s: %s", f.Name, own.Message, own.Hint)
		}
		wanted := map[string]string{
			"int": "a whole number", "uint64": "a whole number from 0 on",
			"duration": "a duration such as 30m or 2h", "bool": "true or false", "stringToString": "KEY=VALUE",
		}[f.Value.Type()]
		if wanted == "" {
			return err.Error()
		}
		return fmt.Sprintf("--%s %q: write %s", f.Name, badValue.GetValue(), wanted)
	}
	return err.Error()
}

func didYouMean(name string, names []string, dash string) string {
	if near := check.Nearest(name, names); near != "" {
		return fmt.Sprintf(" (did you mean %s%s?)", dash, near)
	}
	return ""
}

// mistyped returns an error if the name of a directory to create looks like a misspelt command.
func mistyped(cmd *cobra.Command, dir string) error {
	if _, err := os.Stat(dir); err == nil || strings.ContainsRune(dir, os.PathSeparator) {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	if near := check.Nearest(dir, names); near != "" {
		return wrongUsage(cmd, fmt.Sprintf("did you mean `%s %s`? To create a directory %s, write ./%[3]s", cmd.CommandPath(),
			near, dir))
	}
	return nil
}
