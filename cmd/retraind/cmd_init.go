package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/systemd"
	"github.com/retraind/retraind/watch/postgres"
)

func newInit(a *app) *cobra.Command {
	var e configs.Example
	var force, notify bool
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a commented configuration, the SQL for the label table and the unit files",
		Long: `Write retraind.yaml, retraind.sql and the systemd files into a directory (default: the working
directory).

Existing files are overwritten only with --force. The table's owner runs the SQL once; retraind init sql prints
it again for the present configuration.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
				if err := mistyped(cmd, dir); err != nil {
					return err
				}
			}
			e.Silent = !notify
			if e.Recipe != "" && !slices.Contains(configs.Recipes(), e.Recipe) {
				return fail(exitUsage, "--recipe %s: there is no such recipe; use %s; nothing was written", e.Recipe,
					strings.Join(configs.Recipes(), " or "))
			}
			if err := placeRecipe(&e, dir); err != nil {
				return err
			}
			return a.init(dir, e, force)
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.Model, "model", "relevance", "name of the model")
	f.StringVar(&e.DSN, "dsn-file", "pg-dsn", "file for the connection string; a relative path is below DIR")
	f.StringVar(&e.Table, "table", "public.items", "table with the labels")
	f.StringSliceVar(&e.ID, "id", []string{"id"}, "key column of the table, or the columns of a composite key, such as host,number")
	f.StringSliceVar(&e.Text, "text", []string{"title", "content"}, "text columns of the table")
	f.StringVar(&e.Label, "label", "category", "label column of the table")
	f.StringVar(&e.Capture, "capture", "",
		"how changes are detected: outbox (triggers), logical (the server's log) or poll (default outbox)")
	f.StringVar(&e.Watermark, "watermark", "", "column whose value grows with each write, for --capture poll")
	f.BoolVar(&notify, "notify", true,
		"let the triggers notify retraind; write --notify=false if the application uses PREPARE TRANSACTION")
	f.StringVar(&e.State, "state", "/var/lib/retraind", "state directory; a relative path is below DIR")
	f.StringVar(&e.Recipe, "recipe", "", "configuration to start with: "+strings.Join(configs.Recipes(), " or ")+
		" (default: the embedded classifier)")
	f.StringVar(&e.Dir, "scripts", "", "directory of a recipe's scripts (default /srv/MODEL)")
	f.BoolVar(&force, "force", false, "overwrite files that exist")
	cmd.AddCommand(newInitSQL(a), newInitSystemd(a))
	return cmd
}

// placeRecipe makes the paths of a recipe absolute. It resolves the directory of the scripts against the working
// directory, and the file with the connection string against dir, to which the prompts are written, too.
func placeRecipe(e *configs.Example, dir string) (err error) {
	if e.Recipe == "" {
		return nil
	}
	if e.Dir = cmp.Or(e.Dir, filepath.Join("/srv", e.Model)); !filepath.IsAbs(e.Dir) {
		if e.Dir, err = filepath.Abs(e.Dir); err != nil {
			return err
		}
	}
	if e.Prompts, err = filepath.Abs(dir); err == nil && !filepath.IsAbs(e.DSN) {
		e.DSN = filepath.Join(e.Prompts, e.DSN)
	}
	return err
}

func (a *app) init(dir string, e configs.Example, force bool) error {
	text := e.Render()
	l, err := configs.Parse(filepath.Join(dir, "retraind.yaml"), []byte(text))
	if err != nil {
		return misfits(err)
	}
	sql, err := migrations(l.File, "", "retraind", "")
	if err != nil {
		return err
	}
	me, err := self()
	if err != nil {
		return err
	}
	units, err := systemd.Files(me, l.File.State, l.File.Needs())
	if err != nil {
		return err
	}
	files := map[string]string{"retraind.yaml": text, configs.SchemaFile: string(configs.Schema()), "retraind.sql": sql}
	maps.Copy(files, e.PromptFiles())
	for _, u := range units {
		files[filepath.Join("systemd", u.Name)] = u.Text
	}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil && !force {
			return fail(exitNo, "%s exists already: nothing was written; --force overwrites it", path)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(files[name]), 0o644); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(map[string]any{"dir": dir, "files": names})
	}
	a.nextSteps(dir, names, l.File, e)
	return nil
}

// initFlags maps each key of the configuration for which init has a flag to that flag.
var initFlags = map[string]string{
	"dsn_file": "dsn-file", "table": "table", "id": "id", "text": "text", "label": "label", "capture": "capture",
	"watermark": "watermark", "state": "state",
}

// misfits returns an error that names the flags with invalid values in place of keys, because the user has not seen a
// file.
func misfits(err error) error {
	var bad *configs.InvalidError
	if !errors.As(err, &bad) {
		return err
	}
	var lines []string
	for _, p := range bad.Problems {
		keys := strings.Split(p.Path, ".")
		flag, ok := initFlags[strings.TrimRight(keys[len(keys)-1], "[]0123456789")]
		if !ok {
			flag = "model"
		}
		lines = append(lines, "--"+flag+": "+p.Text())
	}
	return fail(exitUsage, "%s; nothing was written", strings.Join(lines, "; "))
}

// nextSteps prints the commands to run next. Only PASSWORD, HOST and DATABASE must be replaced.
func (a *app) nextSteps(dir string, names []string, f *configs.File, e configs.Example) {
	model := e.Model
	m := f.Models[model]
	config := filepath.Join(dir, "retraind.yaml")
	fmt.Fprintf(a.stdout, "wrote to %s:\n", dir)
	for _, name := range names {
		fmt.Fprintf(a.stdout, "  %s\n", name)
	}
	if sameFile(config, packagedConfig) {
		a.nextServiceSteps(dir, config, m.Labels.Postgres.DSNFile, model)
		return
	}
	listen := "127.0.0.1:8082"
	if u, err := url.Parse(m.Serving.Classify); err == nil {
		listen = u.Host
	}
	if e.Recipe != "" {
		a.recipeSteps(dir, config, m, e)
		return
	}
	fmt.Fprintf(a.stdout, `
next, in this order:
  1. as the table's owner, in its database: psql -f %s
     and a password for the new role:       \password retraind
  2. write postgres://retraind:PASSWORD@HOST/DATABASE into %s (mode 0600)
  3. check the configuration:               retraind check %s
  4. run the daemon:                        retraind run -c %[3]s
     and the classifier service:            retraind serve-classifier --listen %[4]s --model %[5]s
  5. train the first release now:           retraind trigger %[6]s --wait -c %[3]s
     or wait for the quiet hours; then:     retraind status -c %[3]s

To run step 4 as services, install the files under systemd/ at the paths that `+"`retraind init systemd`"+` prints.
`, filepath.Join(dir, "retraind.sql"), m.Labels.Postgres.DSNFile, config, listen, filepath.Join(f.State, "models",
		model, "current"), model)
}

// nextServiceSteps prints the commands for the installed service. The user of the service must be able to read the
// connection string.
func (a *app) nextServiceSteps(dir, config, dsn, model string) {
	fmt.Fprintf(a.stdout, `
next, in this order:
  1. as the table's owner, in its database: psql -f %s
     and a password for the new role:       \password retraind
  2. write postgres://retraind:PASSWORD@HOST/DATABASE into %s
     make it readable by the service only:  chown root:retraind %[2]s && chmod 0640 %[2]s
  3. check as the service's user:           sudo -u retraind retraind check %[3]s
  4. run the daemon:                        systemctl enable --now retraind
     and the classifier service:            systemctl enable --now retraind-classifier@%[4]s
  5. train the first release now:           retraind trigger %[4]s --wait
     or wait for the quiet hours; then:     retraind status

These units are installed by `+"`make install`"+`; without it, install the files under systemd/ at the paths that
`+"`retraind init systemd`"+` prints.
`, filepath.Join(dir, "retraind.sql"), dsn, config, model)
}

// recipeSteps prints commands that can be copied once the recipe's paths point to the scripts.
func (a *app) recipeSteps(dir, config string, m *configs.Model, e configs.Example) {
	prompts := ""
	if names := slices.Sorted(maps.Keys(e.PromptFiles())); len(names) > 0 {
		prompts = "\n     and your prompts and categories into " + strings.Join(names, ", ")
	}
	fmt.Fprintf(a.stdout, `
next, in this order:
  1. write the names of your scripts, service and files into %s
     (scripts are looked up in %s)%s
  2. as the table's owner, in its database: psql -f %s
     and a password for the new role:       \password retraind
  3. write postgres://retraind:PASSWORD@HOST/DATABASE into %s (mode 0600)
  4. check the configuration:               retraind check %[1]s
     and what a run needs:                  retraind check --pipeline default -c %[1]s
  5. run the daemon:                        retraind run -c %[1]s
  6. train the first release now:           retraind trigger %[6]s --wait -c %[1]s
     or wait for the quiet hours; then:     retraind status -c %[1]s

To run step 5 as a service, install the files under systemd/ at the paths that `+"`retraind init systemd`"+` prints.
`, config, e.Dir, prompts, filepath.Join(dir, "retraind.sql"), m.Labels.Postgres.DSNFile, e.Model)
}

// migrations returns the SQL of all models, or of one, with the grants for the daemon's role if a role is given.
func migrations(f *configs.File, model, role string, capture postgres.Capture) (string, error) {
	var b strings.Builder
	for _, name := range f.Names() {
		if model != "" && name != model {
			continue
		}
		if f.Models[name].Labels.Postgres == nil {
			fmt.Fprintf(&b, "-- model %s: no table, nothing to set up\n", name)
			continue
		}
		pg := f.Models[name].Labels.Postgres.WithCapture(capture)
		sql, err := postgres.Migration(name, pg)
		if err != nil {
			return "", err
		}
		b.WriteString(sql)
		if role == "" {
			continue
		}
		grants, err := postgres.Grants(name, pg, role)
		if err != nil {
			return "", err
		}
		b.WriteString("\n" + grants)
	}
	return b.String(), nil
}

func newInitSQL(a *app) *cobra.Command {
	var down bool
	var model, role, capture string
	cmd := &cobra.Command{
		Use: "sql", Short: "Print the SQL that installs change detection on the label tables",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, _, err := a.load(cmd)
			if err != nil {
				return err
			}
			if _, ok := l.File.Models[model]; model != "" && !ok {
				return noModel(model, l.File.Names())
			}
			if !down {
				sql, err := migrations(l.File, model, role, postgres.Capture(capture))
				if err == nil {
					fmt.Fprint(a.stdout, sql)
				}
				return err
			}
			for _, name := range l.File.Names() {
				if model != "" && name != model || l.File.Models[name].Labels.Postgres == nil {
					continue
				}
				sql, err := postgres.Down(name, l.File.Models[name].Labels.Postgres.WithCapture(postgres.Capture(capture)))
				if err != nil {
					return err
				}
				fmt.Fprint(a.stdout, sql)
			}
			if role != "" {
				fmt.Fprint(a.stdout, "\n"+postgres.KeptRole(role))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&down, "down", false, "print the SQL that removes change detection")
	cmd.Flags().StringVar(&model, "model", "", "print only the SQL for this model")
	cmd.Flags().StringVar(&capture, "capture", "", "capture to print the SQL for, if not the configured one: outbox, logical or poll")
	cmd.Flags().StringVar(&role, "role", "retraind", "database role of the daemon; if empty, no grants are printed")
	return cmd
}

func newInitSystemd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "systemd", Short: "Print the unit files, each with its path", Args: cobra.NoArgs,
		Long: `Print the unit files, each with its path, and after them the files that grant the daemon what the configuration needs:
write access to the directories of steps (ReadWritePaths; a comment shows the file permissions to set yourself), start,
stop and restart of units (a polkit rule), and services of docker compose (through retraind-docker.service, which
forwards only the requests for these services). Generate them again when the configuration changes.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, needs := systemd.State, systemd.Needs{}
			switch l, _, err := a.load(cmd); {
			case err == nil:
				state, needs = l.File.State, l.File.Needs()
			case !errors.Is(err, fs.ErrNotExist) || a.config != "": // without a configuration, use the defaults
				return err
			}
			me, err := self()
			if err != nil {
				return err
			}
			files, err := systemd.Files(me, state, needs)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(files)
			}
			for _, f := range files {
				fmt.Fprintf(a.stdout, "# %s\n%s\n", f.Path, f.Text)
			}
			return nil
		},
	}
}
