package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/gpu"
)

// preflightPatience limits the checks of the Docker engine and of units.
const preflightPatience = time.Minute

// preflight is the result of checking a pipeline, with the user who checked it.
type preflight struct {
	User     string                       `json:"user"`
	Findings map[string][]actions.Finding `json:"findings"` // by model
}

// checkPipeline checks the requirements of a pipeline's runs without changing anything. If root calls it, it checks as
// the daemon's user, otherwise as the present user.
func (a *app) checkPipeline(cmd *cobra.Command, pipeline string) error {
	l, _, err := a.load(cmd)
	if err != nil {
		return err
	}
	owner, known := ownerOf(l.File.State)
	var found preflight
	if os.Geteuid() == 0 && known && owner != 0 {
		found, err = a.preflightAs(owner, l, pipeline)
	} else {
		if int(owner) == os.Geteuid() { // the daemon's user
			for _, v := range dockerSettings() {
				name, value, _ := strings.Cut(v, "=")
				if err := os.Setenv(name, value); err != nil {
					return err
				}
			}
		}
		found, err = lookAhead(l, pipeline)
		if err == nil && known && int(owner) != os.Geteuid() {
			say(a.stderr, "retraind: you are not the daemon's user (%s), who may get another result; use sudo", userName(owner))
		}
	}
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(found)
	} else {
		err = showPreflight(newPage(a.stdout), found, pipeline)
	}
	for _, list := range found.Findings {
		if len(list) > 0 && err == nil {
			return silent(exitNo)
		}
	}
	return err
}

// lookAhead checks a pipeline as the present user.
func lookAhead(l *configs.Loaded, pipeline string) (preflight, error) {
	ctx, stop := context.WithTimeout(context.Background(), preflightPatience)
	defer stop()
	me, err := self()
	if err != nil {
		return preflight{}, err
	}
	found := preflight{User: userName(uint32(os.Geteuid())), Findings: map[string][]actions.Finding{}}
	var has []string
	for _, name := range l.File.Names() {
		m := l.File.Models[name]
		for p := range m.Pipeline {
			has = append(has, p)
		}
		steps := m.Steps(pipeline)
		if len(steps) == 0 {
			continue
		}
		dir := filepath.Join(l.File.State, "models", name)
		var stop []gpu.StopConfig
		if m.GPU != nil {
			stop = m.GPU.Stop
		}
		list := actions.Preflight(ctx, actions.Resolve(steps, m.Deploy, me), stop, dir)
		found.Findings[name] = append([]actions.Finding{}, list...)
	}
	if len(found.Findings) == 0 {
		slices.Sort(has)
		return found, fail(exitNotFound, "no model has a pipeline %q; the pipelines are %s", pipeline,
			strings.Join(slices.Compact(has), ", "))
	}
	return found, nil
}

// preflightAs checks a pipeline in a process of another user.
func (a *app) preflightAs(uid uint32, l *configs.Loaded, pipeline string) (preflight, error) {
	var found preflight
	me, err := self()
	if err != nil {
		return found, err
	}
	account, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return found, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return found, err
	}
	credential := &syscall.Credential{Uid: uid, Gid: uint32(gid)}
	groups, err := account.GroupIds()
	if err != nil {
		return found, err
	}
	for _, g := range groups {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			credential.Groups = append(credential.Groups, uint32(n))
		}
	}
	path, err := filepath.Abs(l.Path)
	if err != nil {
		return found, err
	}
	cmd := exec.Command(me, "check", "--json", "--pipeline", pipeline, "--config", path)
	cmd.Env = append(environmentOf(account, l), dockerSettings()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitNo {
		err = nil
	}
	if errors.As(err, &exit) && exit.ExitCode() == exitNotFound {
		return lookAhead(l, pipeline) // the error lists the existing pipelines
	}
	if err != nil {
		return found, fmt.Errorf("check pipeline as user %s: %w: %s", account.Username, err, strings.TrimSpace(said.String()))
	}
	return found, json.Unmarshal(out.Bytes(), &found)
}

// environmentOf returns the environment in which another user reads the same configuration: of this process it passes
// on only the variables that the configuration uses, because the others may be secrets.
func environmentOf(account *user.User, l *configs.Loaded) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + account.HomeDir, "LANG=C.UTF-8"}
	for _, name := range append([]string{"RETRAIND_STATE"}, l.Variables()...) {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// dockerSettings returns the environment variables that say where the Docker engine is and how it builds. It takes
// them from this process, or else from the daemon's unit, which `retraind init systemd` creates.
func dockerSettings() (out []string) {
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "DOCKER_") {
			out = append(out, v)
		}
	}
	if os.Getenv(docker.HostVar) != "" {
		return out
	}
	text, err := exec.Command("systemctl", "show", "--property=Environment", "--value", "retraind.service").Output()
	if err != nil {
		return out
	}
	for _, v := range strings.Fields(string(text)) {
		if strings.HasPrefix(v, "DOCKER_") {
			out = append(out, v)
		}
	}
	return out
}

// ownerOf returns the owner of a directory.
func ownerOf(dir string) (uid uint32, known bool) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return s.Uid, true
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func showPreflight(p *page, found preflight, pipeline string) error {
	for _, model := range sortedNames(found.Findings) {
		list := found.Findings[model]
		if len(list) == 0 {
			p.line(fmt.Sprintf("%s: pipeline %s can run, checked as %s", bold(model), pipeline, found.User), 2)
			continue
		}
		p.line(fmt.Sprintf("%s: pipeline %s, checked as %s", bold(model), pipeline, found.User), 2)
		for _, f := range list {
			where := ""
			if f.Step != "" {
				where = "step " + f.Step + ": "
			}
			p.line("  "+coloured("1", f.Code)+"  "+where+f.Evidence, 4)
			p.line("    fix: "+f.Cure, 9)
		}
	}
	return p.print()
}

func sortedNames(m map[string][]actions.Finding) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
