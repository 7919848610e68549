package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
)

func newConfig(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Show the configuration or its schema, or reload it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigShow(a), newConfigSchema(a), newConfigReload(a))
	return cmd
}

func newConfigShow(a *app) *cobra.Command {
	var origin bool
	cmd := &cobra.Command{
		Use: "show [FILE]", Short: "Show every value, including defaults, and its origin",
		Long: `Show every value of a configuration as the daemon would use it, including defaults. With --origin, also show where each
value came from: a line of the file, a flag, a RETRAIND_ variable, or the default. Passwords are not shown.

A running daemon may still use an earlier version of the file: retraind status shows that.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.config = args[0]
			}
			l, s, err := a.load(cmd)
			if err != nil {
				return err
			}
			values := l.Values(cmd.Flags(), s)
			if a.json {
				return a.printJSON(values)
			}
			var rows [][]string
			for _, v := range values {
				row := []string{v.Path, shownValue(v.Value), ""}
				if origin {
					row[2] = v.From()
				}
				rows = append(rows, row)
			}
			p := newPage(a.stdout)
			p.table(0, []string{"key", "value", "from"}, rows...)
			return p.print()
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "show where each value came from")
	return cmd
}

// shownValue formats a value as it is written in the configuration file.
func shownValue(v any) string {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice {
		return fmt.Sprint(v)
	}
	parts := make([]string, r.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(r.Index(i).Interface())
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func newConfigSchema(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of a configuration, for editors",
		Long: `Print the JSON Schema of a configuration. Editors that know yaml-language-server (VS Code, Neovim, Emacs and others)
complete keys and mark errors with it, if the first line of the file is
  # yaml-language-server: $schema=./` + configs.SchemaFile + `
retraind init writes the schema and this line. Rules that depend on several keys are checked only by retraind check.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.stdout.Write(configs.Schema())
			return err
		},
	}
}

func newConfigReload(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Let the daemon read its configuration again, and show the result",
		Long: `Let the daemon read its configuration again, as after SIGHUP or a change of the file, and show the result. An invalid file
is refused with exit code 1, and the daemon keeps the configuration in force.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			ctx := context.Background()
			if err := c.Reload(ctx); err != nil {
				return err
			}
			s, err := c.Snapshot(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(s.Config)
			}
			say(a.stdout, "%s is in force", s.Config.Path)
			if len(s.Config.RestartNeeded) > 0 {
				say(a.stdout, "restart needed for %s", strings.Join(s.Config.RestartNeeded, ", "))
			}
			return nil
		},
	}
}
