package notify

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/retraind/retraind/internal/text"
)

// Connect opens a connection to the external server that the configuration names. It returns an error only for
// permanent faults, such as a missing credentials file. If the server is unreachable, the connection is in the state
// RECONNECTING, and start-up continues.
func Connect(c *Config, name string, log *slog.Logger) (*nats.Conn, error) {
	options := append(settings(name), nats.RetryOnFailedConnect(true),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats disconnected", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("nats connected", "url", text.URL(nc.ConnectedUrl())) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Error("nats reported an error", "err", err) }),
		nats.ClosedHandler(func(nc *nats.Conn) {
			if err := nc.LastError(); err != nil {
				log.Error("nats connection closed", "err", err)
			}
		}),
	)
	identity, err := identify(c)
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(c.URL, append(options, identity...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	return conn, nil
}

// Probe connects once, without retrying, to check that a connection is possible.
func Probe(c *Config, name string) (*nats.Conn, error) {
	identity, err := identify(c)
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(c.URL, append(identity, nats.Name(name), nats.Timeout(probePatience))...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	return conn, nil
}

// probePatience is how long Probe waits for the server.
const probePatience = 5 * time.Second

// identify returns the options for authentication and TLS.
func identify(c *Config) (options []nats.Option, err error) {
	if c.CredentialsFile != "" {
		if _, err := os.ReadFile(c.CredentialsFile); err != nil {
			return nil, fmt.Errorf("connect to nats: credentials_file: %w", err)
		}
		options = append(options, nats.UserCredentials(c.CredentialsFile))
	}
	if c.NKeyFile != "" {
		option, err := nats.NkeyOptionFromSeed(c.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("connect to nats: nkey_file: %w", err)
		}
		options = append(options, option)
	}
	if c.TLS != nil {
		if c.TLS.CAFile != "" {
			options = append(options, nats.RootCAs(c.TLS.CAFile))
		}
		if c.TLS.CertFile != "" {
			options = append(options, nats.ClientCert(c.TLS.CertFile, c.TLS.KeyFile))
		}
		options = append(options, nats.Secure())
	}
	return options, nil
}

// settings returns the options of every connection: it reconnects forever, and does not buffer messages, because the
// outbox already stores them.
func settings(name string) []nats.Option {
	return []nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(time.Second),
		nats.ReconnectJitter(time.Second, 5*time.Second),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(20 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DrainTimeout(5 * time.Second),
	}
}
