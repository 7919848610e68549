package configs

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/retraind/retraind/internal/check"
)

// secretFile resolves the name of a file with a secret: a relative one is looked up first among the credentials that
// systemd passes to the unit (LoadCredential=), then like other relative paths.
func secretFile(name string, abs func(string) string) string {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && name != "" && !filepath.IsAbs(name) {
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
	}
	return abs(name)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// open reports whether everyone on the machine may read a file.
func open(mode fs.FileMode) bool { return mode.Perm()&0o004 != 0 }

// secrets refuses passwords that everyone on the machine may read: in the configuration file, which has the given mode,
// and in the files that it names for passwords.
func (l *Loaded) secrets(mode fs.FileMode) check.Problems {
	var p check.Problems
	plain := func(path, text, instead string) {
		if open(mode) && hidden(path, text) != text && !l.doc.Expanded(path) {
			hint := "chmod 0640 " + l.Path
			if instead != "" {
				hint += ", or " + instead
			}
			p.Errorf(path, hint, "this file contains a password, and everyone on this machine can read it")
		}
	}
	kept := func(path, file string) {
		info, err := os.Stat(file)
		if file != "" && err == nil && info.Mode().IsRegular() && open(info.Mode()) {
			p.Errorf(path, "chmod 0600 "+file, "everyone on this machine can read %s", file)
		}
	}
	plain("nats.url", l.File.NATS.URL, "use credentials_file")
	if l.File.Ollama != nil {
		plain("ollama.url", l.File.Ollama.URL, "")
	}
	kept("nats.credentials_file", l.File.NATS.CredentialsFile)
	kept("nats.nkey_file", l.File.NATS.NKeyFile)
	if t := l.File.NATS.TLS; t != nil {
		kept("nats.tls.key_file", t.KeyFile)
	}
	for _, name := range l.File.Names() {
		here := "models." + name + "."
		serving := l.File.Models[name].Serving
		plain(here+"serving.classify", serving.Classify, "")
		plain(here+"serving.health", serving.Health, "")
		if serving.Batch != nil {
			plain(here+"serving.batch.url", serving.Batch.URL, "")
		}
		if pg := l.File.Models[name].Labels.Postgres; pg != nil {
			plain(here+"labels.postgres.dsn", pg.DSN, "put it into a separate file and name that file in dsn_file")
			kept(here+"labels.postgres.dsn_file", pg.DSNFile)
		}
		if h := l.File.Models[name].Labels.HTTP; h != nil {
			kept(here+"labels.http.secret_file", h.SecretFile)
		}
		kept(here+"heldout.salt_file", l.File.Models[name].Heldout.SaltFile)
		pipelines := l.File.Models[name].Pipeline
		for _, pipeline := range slices.Sorted(maps.Keys(pipelines)) {
			for i, step := range pipelines[pipeline] {
				at := check.Index(here+"pipeline."+pipeline, i)
				if ask := step.Predict(); ask != nil {
					plain(at+".url", ask.URL, "")
				}
				if label := step.Label(); label != nil && label.Write != nil {
					kept(at+".write.dsn_file", label.Write.DSNFile)
				}
			}
		}
		if gpu := l.File.Models[name].GPU; gpu != nil {
			for i, s := range gpu.Stop {
				at := check.Index(here+"gpu.stop", i)
				plain(at+".healthy", s.Healthy, "")
				if s.Compose != nil {
					plain(at+".compose.healthy", s.Compose.Healthy, "")
				}
			}
		}
	}
	return p
}
