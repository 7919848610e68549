package notify

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// RandomPort is the port number that makes the embedded server choose a free port.
const RandomPort = -1

// Options configure the embedded server.
type Options struct {
	Dir  string // for JetStream's files; must exist or be creatable
	Host string // address to listen on, "127.0.0.1" when empty
	Port int    // 0: do not listen, only clients inside the process can connect; RandomPort: any free one
	Name string // server name, e.g. the host's
	Log  *slog.Logger
	// Clients are the external programs that may connect; nil: everybody with all permissions, for tests.
	Clients *Clients
	// Refused is called for connections refused at the limit, at most once a second, and for each message or connection
	// that the permissions forbid. It may be nil, and must not block.
	Refused func(what string)
}

// maxConns limits the connections, including the daemon's own, because each external one uses a file descriptor. A
// client that does not authenticate is disconnected after 2 s.
const maxConns = 256

// EmbeddedOptions returns the server options for a configuration for which UsesEmbedded is true.
func (c *Config) EmbeddedOptions(dir, name string, log *slog.Logger) (Options, error) {
	host, port, err := c.listenAddress()
	return Options{Dir: dir, Host: host, Port: port, Name: name, Log: log}, err
}

// Broker is a NATS server with JetStream inside this process.
type Broker struct {
	server *server.Server
	conn   *nats.Conn
}

// StartEmbedded starts a server and connects to it inside the process. The caller must call Shutdown.
func StartEmbedded(o Options) (*Broker, error) {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	if o.Port > 0 {
		// Check the address first, because the server would only log an error and run without a port.
		probe, err := net.Listen("tcp", net.JoinHostPort(o.Host, strconv.Itoa(o.Port)))
		if err != nil {
			return nil, listenFault(o, err)
		}
		if err := probe.Close(); err != nil {
			return nil, listenFault(o, err)
		}
	}
	if err := repairJetStream(o.Dir, o.Log); err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	guard := &gatekeeper{daemon: rand.Text()}
	options := &server.Options{
		ServerName: o.Name, Host: o.Host, Port: o.Port, DontListen: o.Port == 0,
		JetStream: true, StoreDir: o.Dir, NoSigs: true, NoSystemAccount: false,
		// Write each event to disk at once: events are few, and must survive a power failure because the outbox deletes
		// acknowledged events.
		SyncAlways:         true,
		MaxConn:            maxConns,
		JetStreamMaxMemory: 32 << 20, JetStreamMaxStore: 1 << 30,
	}
	if o.Clients != nil {
		var err error
		if guard.client, err = o.Clients.install(); err != nil {
			return nil, fmt.Errorf("start nats: %w", err)
		}
		options.CustomClientAuthentication, options.AlwaysEnableNonce = guard, true
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	log := newServerLog(o.Log.With("component", "nats"), o.Refused)
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if log.fatal.Load() != nil || !s.ReadyForConnections(10*time.Second) {
		s.Shutdown()
		s.WaitForShutdown()
		cause := "the server is not ready after 10s"
		if text := log.fatal.Load(); text != nil {
			cause = *text
		}
		return nil, fmt.Errorf("start nats: %s", cause)
	}
	if o.Clients != nil {
		// This must follow the start, because a server enables JetStream for the global account automatically only if
		// it has no other accounts.
		account, err := s.RegisterAccount(clientAccount)
		if err == nil {
			err = o.Clients.admit(s, account)
		}
		if err != nil {
			s.Shutdown()
			s.WaitForShutdown()
			return nil, fmt.Errorf("start nats: %w", err)
		}
		guard.account.Store(account)
	}
	conn, err := nats.Connect("", append(settings(o.Name), nats.InProcessServer(s),
		nats.UserInfo("retraind", guard.daemon))...)
	if err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("start nats: connect inside the process: %w", err)
	}
	return &Broker{server: s, conn: conn}, nil
}

// Conn returns the connection inside the process. Callers must not close it; Shutdown does.
func (b *Broker) Conn() *nats.Conn { return b.conn }

// URL returns the address for other programs, "" if the server does not listen.
func (b *Broker) URL() string {
	if addr, ok := b.server.Addr().(*net.TCPAddr); ok {
		return "nats://" + addr.String()
	}
	return ""
}

// Shutdown closes the connection and stops the server. When it returns, all files are completely written.
func (b *Broker) Shutdown() {
	b.conn.Close()
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// listenFault adds the address and the cure to an error that occurred while listening.
func listenFault(o Options, err error) error {
	address := net.JoinHostPort(o.Host, strconv.Itoa(o.Port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return &takenError{address, err}
	}
	return fmt.Errorf("start nats: cannot listen on %s (correct nats.listen): %w", address, err)
}

// takenError is the error for an address in use. It omits the kernel's message, which adds nothing.
type takenError struct {
	address string
	cause   error
}

func (e *takenError) Error() string {
	return fmt.Sprintf("start nats: %s is used by another program (set nats.listen to a free port, or nats.url to the server that runs there)",
		e.address)
}
func (e *takenError) Unwrap() error { return e.cause }
