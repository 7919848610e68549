package notify_test

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/notify"
)

func TestTakenPortNamesItAndTheCure(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = notify.StartEmbedded(notify.Options{Dir: t.TempDir(), Port: port, Name: "test"})
	want := fmt.Sprintf("start nats: 127.0.0.1:%d is used by another program (set nats.listen to a free port, or nats.url to the server that runs there)",
		port)
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestEmbeddedWithoutAPort(t *testing.T) {
	t.Parallel()
	b, err := notify.StartEmbedded(notify.Options{Dir: t.TempDir(), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Shutdown()
	if b.URL() != "" {
		t.Errorf("listens at %s", b.URL())
	}
	sub, err := b.Conn().SubscribeSync("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Conn().Publish("x", []byte("y")); err != nil {
		t.Fatal(err)
	}
	msg, err := sub.NextMsgWithContext(t.Context())
	if err != nil || string(msg.Data) != "y" {
		t.Errorf("got %v, %v", msg, err)
	}
}

func TestUnwritableDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := notify.StartEmbedded(notify.Options{Dir: file, Name: "test"}); err == nil ||
		!strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
}

func TestConnectMissingCredentials(t *testing.T) {
	t.Parallel()
	_, err := notify.Connect(&notify.Config{URL: "nats://127.0.0.1:1", CredentialsFile: "/nowhere.creds"}, "x",
		slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "credentials_file: open /nowhere.creds") {
		t.Errorf("got %v", err)
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, c := range map[string]struct {
		config notify.Config
		want   []string // paths
	}{
		"empty":    {notify.Config{}, nil},
		"embedded": {notify.Config{Embedded: &yes, Listen: "0.0.0.0:4223"}, nil},
		"no port":  {notify.Config{Listen: "none"}, nil},
		"elsewhere": {notify.Config{
			URL: "nats://a:4222, tls://b", CredentialsFile: "x.creds",
			TLS: &notify.TLS{CAFile: "ca.pem"},
		}, nil},
		"both":               {notify.Config{Embedded: &yes, URL: "nats://a"}, []string{"embedded"}},
		"neither":            {notify.Config{Embedded: &no}, []string{"url"}},
		"listen with url":    {notify.Config{URL: "nats://a", Listen: "none"}, []string{"listen"}},
		"port 0":             {notify.Config{Listen: "127.0.0.1:0"}, []string{"listen"}},
		"port too high":      {notify.Config{Listen: "127.0.0.1:99999"}, []string{"listen"}},
		"no port in address": {notify.Config{Listen: "localhost"}, []string{"listen"}},
		"http":               {notify.Config{URL: "http://a"}, []string{"url"}},
		"no host":            {notify.Config{URL: "nats://"}, []string{"url"}},
		"lost credentials":   {notify.Config{CredentialsFile: "x"}, []string{"credentials_file"}},
		"half a key pair":    {notify.Config{URL: "nats://a", TLS: &notify.TLS{KeyFile: "k"}}, []string{"tls.cert_file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range c.config.Validate() {
				got = append(got, p.Path)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConfigHidesPasswords(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://me:secret@host", "nats://me:secret@ho st", "nats://me:sec%ret@host"} {
		c := notify.Config{URL: url}
		found := c.Validate()
		if len(found) == 0 {
			t.Errorf("%s was accepted", url)
		}
		for _, p := range found {
			if strings.Contains(fmt.Sprint(p), "secret") || strings.Contains(fmt.Sprint(p), "sec%ret") {
				t.Errorf("the password is in %v", p)
			}
		}
	}
}
