package notify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/retraind/retraind/notify"
)

// guarded starts a server that requires authentication.
func guarded(t *testing.T, options *server.Options) string {
	t.Helper()
	options.Host, options.Port, options.NoLog, options.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s.ClientURL()
}

// admitted returns an error if a configuration cannot connect.
func admitted(t *testing.T, c *notify.Config) error {
	t.Helper()
	conn, err := notify.Connect(c, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer conn.Close()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		if conn.IsConnected() {
			return conn.FlushTimeout(5 * time.Second)
		}
		if err := conn.LastError(); err != nil && !errors.Is(err, nats.ErrNoServers) {
			return err
		}
	}
	return errors.New("neither accepted nor refused")
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestConnectWithAnNKey(t *testing.T) {
	t.Parallel()
	user, stranger := must[nkeys.KeyPair](t)(nkeys.CreateUser()), must[nkeys.KeyPair](t)(nkeys.CreateUser())
	url := guarded(t, &server.Options{Nkeys: []*server.NkeyUser{{Nkey: must[string](t)(user.PublicKey())}}})
	if err := admitted(t, &notify.Config{URL: url, NKeyFile: write(t, "seed", must[[]byte](t)(user.Seed()))}); err != nil {
		t.Error(err)
	}
	if err := admitted(t, &notify.Config{
		URL:      url,
		NKeyFile: write(t, "seed", must[[]byte](t)(stranger.Seed())),
	}); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a stranger: %v", err)
	}
	if err := admitted(t, &notify.Config{URL: url}); err == nil {
		t.Error("a client without credentials was accepted")
	}
	if _, err := notify.Probe(&notify.Config{URL: url}, "test"); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the probe without credentials: %v", err)
	}
	conn, err := notify.Probe(&notify.Config{URL: url, NKeyFile: write(t, "seed", must[[]byte](t)(user.Seed()))}, "test")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestConnectWithCredentials(t *testing.T) {
	t.Parallel()
	operator, account, user := must[nkeys.KeyPair](t)(nkeys.CreateOperator()),
		must[nkeys.KeyPair](t)(nkeys.CreateAccount()), must[nkeys.KeyPair](t)(nkeys.CreateUser())
	public := func(k nkeys.KeyPair) string { return must[string](t)(k.PublicKey()) }
	claims := jwt.NewOperatorClaims(public(operator))
	signed := must[*jwt.OperatorClaims](t)(jwt.DecodeOperatorClaims(must[string](t)(claims.Encode(operator))))
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(public(account),
		must[string](t)(jwt.NewAccountClaims(public(account)).Encode(operator))); err != nil {
		t.Fatal(err)
	}
	url := guarded(t, &server.Options{TrustedOperators: []*jwt.OperatorClaims{signed}, AccountResolver: resolver})
	credentials := func(by nkeys.KeyPair) string {
		text := must[[]byte](t)(jwt.FormatUserConfig(must[string](t)(jwt.NewUserClaims(public(user)).Encode(by)),
			must[[]byte](t)(user.Seed())))
		return write(t, "user.creds", text)
	}
	if err := admitted(t, &notify.Config{URL: url, CredentialsFile: credentials(account)}); err != nil {
		t.Error(err)
	}
	if err := admitted(t, &notify.Config{
		URL:             url,
		CredentialsFile: credentials(must[nkeys.KeyPair](t)(nkeys.CreateAccount())),
	}); !errors.Is(err,
		nats.ErrAuthorization) {
		t.Errorf("another account's user: %v", err)
	}
}

func TestConnectByTLS(t *testing.T) {
	t.Parallel()
	authority, cert, key := certificate(t)
	pair := must[tls.Certificate](t)(tls.X509KeyPair(cert, key))
	known := x509.NewCertPool()
	known.AppendCertsFromPEM(authority)
	url := guarded(t, &server.Options{TLS: true, TLSTimeout: 5, TLSVerify: true, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: known, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS12,
	}})
	files := notify.TLS{
		CAFile: write(t, "ca.pem", authority), CertFile: write(t, "cert.pem", cert),
		KeyFile: write(t, "key.pem", key),
	}
	if err := admitted(t, &notify.Config{URL: url, TLS: &files}); err != nil {
		t.Error(err)
	}
	other, _, _ := certificate(t)
	distrust := files
	distrust.CAFile = write(t, "other.pem", other)
	if err := admitted(t, &notify.Config{URL: url, TLS: &distrust}); err == nil {
		t.Error("a server of an unknown authority is trusted")
	}
	if err := admitted(t, &notify.Config{URL: url, TLS: &notify.TLS{CAFile: files.CAFile}}); err == nil {
		t.Error("the server let in a client without a certificate")
	}
}

// certificate creates a CA, and a certificate for 127.0.0.1 that is used by server and client.
func certificate(t *testing.T) (authority, cert, key []byte) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, public, by *ecdsa.PrivateKey) []byte {
		return must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, parent, &public.PublicKey, by))
	}
	rootKey := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leafKey := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, NotBefore: root.NotBefore,
		NotAfter:    root.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return encode("CERTIFICATE", sign(root, root, rootKey, rootKey)),
		encode("CERTIFICATE", sign(leaf, root, leafKey, rootKey)),
		encode("PRIVATE KEY", must[[]byte](t)(x509.MarshalPKCS8PrivateKey(leafKey)))
}
