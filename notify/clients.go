package notify

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/google/renameio/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// ClientKeyFile is the name of the file with the credential of the embedded server's clients: the seed of an nkey.
const ClientKeyFile = "nats-client.nk"

// Clients are the external programs that may connect to the embedded server.
type Clients struct {
	// KeyFiles are the files with the credential, readable by their group. If the first file is missing, a new
	// credential is created in it. The credential is copied to the other files.
	KeyFiles []string
	// Publish are the subjects that clients may publish to.
	Publish []string
}

// clientAccount is the NATS account of clients. In a separate account, clients cannot reach the server's administrative
// subjects. In the daemon's account, any client that may send a request could name such a subject as the reply subject.
const clientAccount = "CLIENTS"

// ClientKey reads the seed of the clients' key from a file and makes the file readable by its group. If the file is
// missing, it creates a new key there.
func ClientKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		pair, err := nkeys.CreateUser()
		if err != nil {
			return nil, err
		}
		seed, err := pair.Seed()
		if err != nil {
			return nil, err
		}
		return seed, writeKey(path, seed)
	}
	if err != nil {
		return nil, fmt.Errorf("credential of nats clients: %w", err)
	}
	seed := []byte(strings.TrimSpace(string(text)))
	if _, err := nkeys.FromSeed(seed); err != nil {
		return nil, fmt.Errorf("credential of nats clients: %s: %w; remove the file, and retraind creates a new one", path, err)
	}
	return seed, os.Chmod(path, 0o640)
}

func writeKey(path string, seed []byte) error {
	err := os.MkdirAll(filepath.Dir(path), 0o750)
	if err == nil {
		err = renameio.WriteFile(path, append(seed, '\n'), 0o640, renameio.IgnoreUmask())
	}
	if err != nil {
		return fmt.Errorf("credential of nats clients: %w", err)
	}
	return nil
}

// install creates the credential files and returns the public key.
func (c *Clients) install() (public string, err error) {
	seed, err := ClientKey(c.KeyFiles[0])
	if err != nil {
		return "", err
	}
	for _, path := range c.KeyFiles[1:] {
		if err := writeKey(path, seed); err != nil {
			return "", err
		}
	}
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return "", err
	}
	return pair.PublicKey()
}

// gatekeeper authenticates connections: the daemon's by a password that only this process knows, and clients' by their
// key.
type gatekeeper struct {
	daemon  string                         // password
	client  string                         // public key
	account atomic.Pointer[server.Account] // nil until clients are let in
}

// Check implements server.Authentication.
func (g *gatekeeper) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	if o.Password != "" {
		return subtle.ConstantTimeCompare([]byte(o.Password), []byte(g.daemon)) == 1 // the global account has no limits
	}
	account := g.account.Load()
	if account == nil || o.Nkey == "" || o.Nkey != g.client {
		return false
	}
	key, err := nkeys.FromPublicKey(o.Nkey)
	if err != nil {
		return false
	}
	signature, err := decodeSignature(o.Sig)
	if err != nil || key.Verify(c.GetNonce(), signature) != nil {
		return false
	}
	c.RegisterUser(&server.User{Username: "client", Account: account})
	return true
}

// decodeSignature decodes a signature in either base64 alphabet, because different clients use different ones.
func decodeSignature(text string) ([]byte, error) {
	if b, err := base64.RawURLEncoding.DecodeString(text); err == nil {
		return b, nil
	}
	return base64.StdEncoding.DecodeString(text)
}

// admit sets the permissions of clients: they may subscribe to events, read stored events and entries of the bucket by
// direct get, and publish to the subjects in Publish.
func (c *Clients) admit(s *server.Server, clients *server.Account) error {
	daemon := s.GlobalAccount()
	if err := errors.Join(daemon.AddStreamExport(subjects, nil), clients.AddStreamImport(daemon, subjects, "")); err != nil {
		return fmt.Errorf("give nats clients access: %w", err)
	}
	reads := []string{
		"$JS.API.STREAM.INFO." + Stream, "$JS.API.DIRECT.GET." + Stream, "$JS.API.DIRECT.GET." + Stream + ".>",
		"$JS.API.STREAM.INFO.KV_" + Bucket, "$JS.API.DIRECT.GET.KV_" + Bucket, "$JS.API.DIRECT.GET.KV_" + Bucket + ".>",
	}
	for _, subject := range append(reads, c.Publish...) {
		err := errors.Join(daemon.AddServiceExport(subject, nil), clients.AddServiceImport(daemon, subject, subject))
		if err != nil {
			return fmt.Errorf("give nats clients access to %s: %w", subject, err)
		}
	}
	return nil
}
