// Package guard is a filter between an unprivileged user and a Docker engine. It serves the engine's API on its own
// socket. It forwards the requests that retraind and compose's command line need for the configured services, and
// refuses all others. Members of the group docker can become root on the machine; users of this socket cannot.
//
// A new container must have exactly those rights on the host (mounts, devices, networks, ports, capabilities) that the
// service's present container has (see precedent). A person must start the first container of a service. Only images of
// the service may be built, tagged and started. Requests that change something are logged with the user who sent them.
// The only state is the recorded rights of the services, in the directory Config.State. A Guard is safe for concurrent
// use.
package guard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultEngine is the default address of the Docker engine.
const DefaultEngine = "unix:///var/run/docker.sock"

// Service is a docker compose service whose container may be replaced.
type Service struct {
	Dir     string // directory of the compose file, as in the container's label
	Name    string
	Project string // "" for any project of Dir
}

// Config configures a Guard.
type Config struct {
	Engine   string // default: DefaultEngine
	Services []Service
	UID      uint32 // user who may use the socket, besides root
	State    string // directory for the recorded rights; with "" they are kept in memory only
	Log      *slog.Logger
}

// Guard filters requests. It is an http.Handler, but refuses connections that Serve has not accepted.
type Guard struct {
	config Config
	engine *http.Client
	proxy  *httputil.ReverseProxy

	mu      sync.Mutex             // guards the fields below
	seen    map[Service]*precedent // the recorded rights
	unsaved map[Service]bool       // those that could not be stored in Config.State
}

// New returns a guard of the engine. It does not connect.
func New(config Config) (*Guard, error) {
	config.Engine = cmp.Or(config.Engine, DefaultEngine)
	socket, ok := strings.CutPrefix(config.Engine, "unix://")
	if !ok || !filepath.IsAbs(socket) {
		return nil, fmt.Errorf("engine %q: write unix:///PATH", config.Engine)
	}
	for _, s := range config.Services {
		if !filepath.IsAbs(s.Dir) || s.Name == "" {
			return nil, fmt.Errorf("service %q in %q: want a name and an absolute directory", s.Name, s.Dir)
		}
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "unix", socket)
		},
		DisableCompression: true,
	}
	g := &Guard{
		config: config, engine: &http.Client{Transport: transport},
		seen: map[Service]*precedent{}, unsaved: map[Service]bool{},
	}
	g.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "docker", "docker"
			r.Out.Header.Del("X-Registry-Auth")
			r.Out.Header.Del("X-Registry-Config")
			r.Out.Header.Del("Upgrade")
		},
		Transport: transport, FlushInterval: -1, ErrorLog: slog.NewLogLogger(config.Log.Handler(), slog.LevelWarn),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			answer(w, http.StatusBadGateway, "the Docker engine does not answer: "+err.Error())
		},
	}
	return g, nil
}

// Serve answers on a listener until the context ends.
func (g *Guard) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: g, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, peerOf(c))
		},
		ErrorLog: slog.NewLogLogger(g.config.Log.Handler(), slog.LevelWarn),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type peerKey struct{}

// peerOf returns the user at the other end of a connection, nil if the kernel does not report it.
func peerOf(c net.Conn) (peer *unix.Ucred) {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) { peer, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return peer
}

// ServeHTTP forwards a request, or refuses it. A request whose path begins with OnlyDecide is never forwarded: the
// answer is the decision.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	peer, _ := r.Context().Value(peerKey{}).(*unix.Ucred)
	if peer == nil || peer.Uid != 0 && peer.Uid != g.config.UID {
		g.refuse(w, r, peer, errors.New("this user may not use the helper's socket"))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxContext)
	path, only := strings.CutPrefix(r.URL.Path, OnlyDecide)
	if only {
		r.URL.Path = path
	}
	pass, err := g.route(r, only)
	switch {
	case err != nil && only: // not logged: only the decision was requested
		decline(w, err)
		return
	case err != nil:
		g.refuse(w, r, peer, err)
		return
	case only:
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		g.config.Log.Info("forwarded to the engine", "request", r.Method+" "+r.URL.Path, "uid", peer.Uid, "pid", peer.Pid)
	}
	pass(w, r)
}

// refuse declines a request and logs it.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, peer *unix.Ucred, err error) {
	log := g.config.Log
	if peer != nil {
		log = log.With("uid", peer.Uid, "pid", peer.Pid)
	}
	if decline(w, err) {
		log.Warn("refused", "request", r.Method+" "+r.URL.Path, "err", err)
	}
}

// decline answers with an error. It returns false if the error is not a refusal but the failure of a request to the
// engine.
func decline(w http.ResponseWriter, err error) bool {
	var away *engineError
	if errors.As(err, &away) {
		answer(w, away.status, away.Error())
		return false
	}
	answer(w, http.StatusForbidden, prefix+err.Error())
	return true
}

// prefix is the start of each refusal.
const prefix = "retraind docker-helper: "

// answer writes an error in the engine's format.
func answer(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// engineError is the failure of a request that the guard itself has sent to the engine.
type engineError struct {
	status  int
	message string
}

func (e *engineError) Error() string { return e.message }

// ask sends one of the guard's own requests to the engine and decodes the answer.
func (g *Guard) ask(ctx context.Context, path string, out any) error {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return err
	}
	resp, err := g.engine.Do(req)
	if err != nil {
		return &engineError{http.StatusBadGateway, "the Docker engine does not answer: " + err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &engineError{http.StatusBadGateway, err.Error()}
	}
	if resp.StatusCode != http.StatusOK {
		var said struct{ Message string }
		_ = json.Unmarshal(body, &said)
		return &engineError{resp.StatusCode, cmp.Or(said.Message, resp.Status)}
	}
	return decode(body, out)
}

const (
	maxContext = 8 << 30 // limit of a build context, which may contain a model
	maxBody    = 1 << 20 // limit of other request bodies
	maxAnswer  = 32 << 20
)

// configured returns the configured service to which a container with these labels belongs.
func (g *Guard) configured(labels map[string]string) (Service, bool) {
	i := slices.IndexFunc(g.config.Services, func(s Service) bool {
		return labels[labelService] == s.Name && samePath(labels[labelDir], s.Dir) && labels[labelProject] != "" &&
			(s.Project == "" || labels[labelProject] == s.Project)
	})
	if i < 0 {
		return Service{}, false
	}
	return g.config.Services[i], true
}

func samePath(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	ra, errA := filepath.EvalSymlinks(a)
	rb, errB := filepath.EvalSymlinks(b)
	return errA == nil && errB == nil && ra == rb
}
