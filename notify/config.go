package notify

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
)

// DefaultListen is the default address of the embedded server.
const DefaultListen = "127.0.0.1:4222"

// ListenNone restricts the embedded server to connections inside the process.
const ListenNone = "none"

// Config is the nats section: an embedded server, or the address of an external one.
type Config struct {
	// Embedded starts a NATS server inside the daemon; default: true without url, false with it.
	Embedded *bool `yaml:"embedded"`
	// Listen is the address of the embedded server; with the word none, only the daemon itself can connect. Default
	// 127.0.0.1:4222.
	Listen string `yaml:"listen"`
	// URL is the address of a server of your own, nats://host:4222, or several separated by commas. ${NAME} is replaced
	// by an environment variable.
	URL string `yaml:"url" env:"expand"`
	// CredentialsFile is the .creds file with which the daemon logs in at url.
	CredentialsFile string `yaml:"credentials_file"`
	// NKeyFile is a file with the seed of the nkey with which the daemon logs in at url.
	NKeyFile string `yaml:"nkey_file"`
	// TLS are the certificates for the connection to url.
	TLS *TLS `yaml:"tls"`
	// Requests defines which requests over NATS are answered: off (none), read (those that change nothing, the default)
	// or all (also those that start a run or an evaluation, pause or resume).
	Requests Requests `yaml:"requests"`
}

// Requests is the scope of requests over NATS.
type Requests string

// The scopes. The empty value means RequestsRead.
const (
	RequestsOff  Requests = "off"
	RequestsRead Requests = "read"
	RequestsAll  Requests = "all"
)

// TLS names certificate files.
type TLS struct {
	// CAFile is a file with the CA certificates that the server's certificate is verified with; default: those of the
	// system.
	CAFile string `yaml:"ca_file"`
	// CertFile is a file with the client's certificate.
	CertFile string `yaml:"cert_file"`
	// KeyFile is a file with the client's private key.
	KeyFile string `yaml:"key_file"`
}

// UsesEmbedded reports whether the daemon starts its own server.
func (c *Config) UsesEmbedded() bool { return c.URL == "" }

// Validate reports every error that can be found without connecting.
func (c *Config) Validate() check.Problems {
	var found check.Problems
	embedded := c.Embedded != nil && *c.Embedded
	switch {
	case embedded && c.URL != "":
		found.Errorf("embedded", "keep embedded: true or url", "both an embedded server and a url")
	case c.Embedded != nil && !*c.Embedded && c.URL == "":
		found.Errorf("url", "name the server, nats://host:4222, or write embedded: true", "no embedded server and no url")
	}
	if c.Listen != "" && c.URL != "" {
		found.Errorf("listen", "remove it; only the embedded server uses it", "listen has no meaning with url")
	}
	if _, _, err := c.listenAddress(); err != nil {
		found.Errorf("listen", "write 127.0.0.1:4222 or none", "%q is not an address: %s", c.Listen, err)
	}
	switch c.Requests {
	case "", RequestsOff, RequestsRead, RequestsAll:
	default:
		found.Errorf("requests", "one of off, read, all", "unknown value %q", c.Requests)
	}
	for i, raw := range strings.Split(c.URL, ",") {
		if c.URL == "" {
			break
		}
		u, err := url.Parse(strings.TrimSpace(raw))
		switch {
		case err != nil:
			// The parse error contains the text, which may hold a password, so it is not shown.
			found.Errorf("url", "write nats://host:4222", "address %d is not a URL", i+1)
		case u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss" || u.Hostname() == "":
			found.Errorf("url", "write nats://host:4222", "%q is not the address of a NATS server", text.URL(raw))
		}
	}
	if c.URL == "" && c.CredentialsFile != "" {
		found.Errorf("credentials_file", "add url", "credentials without a url")
	}
	switch {
	case c.URL == "" && c.NKeyFile != "":
		found.Errorf("nkey_file", "add url", "an nkey without a url")
	case c.CredentialsFile != "" && c.NKeyFile != "":
		found.Errorf("nkey_file", "keep one of the two", "both credentials_file and nkey_file are set")
	}
	if c.TLS != nil {
		if c.URL == "" {
			found.Errorf("tls", "add url", "certificates without a url")
		}
		if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
			found.Errorf("tls.cert_file", "set both or none", "one of cert_file and key_file is missing")
		}
	}
	return found
}

// listenAddress returns the embedded server's host and port; port 0 means that it does not listen.
func (c *Config) listenAddress() (host string, port int, err error) {
	switch c.Listen {
	case ListenNone:
		return "", 0, nil
	case "":
		return c.split(DefaultListen)
	}
	return c.split(c.Listen)
}

func (c *Config) split(address string) (string, int, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err == nil && port == 0 {
		err = strconv.ErrRange
	}
	return host, int(port), err
}
