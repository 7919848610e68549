package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// ErrNoBinaries means that no PostgreSQL server is installed on this machine.
var ErrNoBinaries = errors.New("no PostgreSQL server binaries found")

// Binaries returns the directory of initdb and postgres. The newest version in Debian's layout takes precedence over
// pg_config and PATH, because pg_config may belong to a client package without a server.
func Binaries() (string, error) {
	looked := []string{"/usr/lib/postgresql/*/bin", "pg_config --bindir", "PATH"}
	var candidates []string
	if dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin"); err == nil {
		sort.Slice(dirs, func(i, j int) bool { return majorOf(dirs[i]) > majorOf(dirs[j]) })
		candidates = append(candidates, dirs...)
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(real))
		}
	}
	for _, dir := range candidates {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%w in %s (type: %s)", ErrNoBinaries, strings.Join(looked, ", "), installCommand())
}

// installCommand returns the command that installs the binaries on Debian and Ubuntu.
func installCommand() string {
	if os.Geteuid() == 0 {
		return "apt-get install -y postgresql"
	}
	return "sudo apt-get install -y postgresql"
}

// majorOf returns 15 for /usr/lib/postgresql/15/bin.
func majorOf(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
