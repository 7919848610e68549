package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
)

// ServiceRoot is the root of the subjects of requests by NATS: retraind.api.v1.MODEL.VERB. It must not be a subject of
// any stream.
const ServiceRoot = "retraind.api.v1"

// WholeDaemon, in place of a model's name in a request for the status, means all models.
const WholeDaemon = "_daemon"

// ServiceOptions are the options for requests by NATS.
type ServiceOptions struct {
	Version string // version of the program; one that is no semantic version is shown as 0.0.0
	Host    string
	Models  []string
	Write   bool // whether requests may change something
}

// order is the body of a request over NATS. An empty body means the defaults.
type order struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at"`
	Reason   string    `json:"reason"`
	Pipeline string    `json:"pipeline"`
	Run      string    `json:"run"`
	Limit    int       `json:"limit"`
}

// atATime limits the concurrent requests.
const atATime = 8

// requestPatience limits the time of one request.
const requestPatience = 2 * time.Minute

// ServeNATS answers requests by NATS until ctx ends. Requests go to the same backend as those on the control socket.
func ServeNATS(ctx context.Context, conn *nats.Conn, backend Backend, o ServiceOptions, log *slog.Logger) error {
	s := &service{
		ctx: ctx, conn: conn, backend: backend, o: o, log: log.With("component", "nats-api"),
		room: make(chan struct{}, atATime),
	}
	version := o.Version
	if !semver.MatchString(version) {
		version = "0.0.0"
	}
	svc, err := micro.AddService(conn, micro.Config{
		Name: "retraind", Version: version, Description: "Retraining of deployed text classifiers",
		Metadata: map[string]string{"host": o.Host, "models": strings.Join(o.Models, ",")},
	})
	if err != nil {
		return fmt.Errorf("nats service: %w", err)
	}
	root := svc.AddGroup(ServiceRoot)
	for _, e := range s.endpoints() {
		err := root.AddEndpoint(e.verb, micro.HandlerFunc(func(r micro.Request) { s.serve(e, r) }),
			micro.WithEndpointSubject("*."+e.verb),
			micro.WithEndpointMetadata(map[string]string{"effect": e.effect()}))
		if err != nil {
			return errors.Join(fmt.Errorf("nats service: %w", err), svc.Stop())
		}
	}
	go s.warn(conn)
	<-ctx.Done()
	if err := svc.Stop(); err != nil && !conn.IsClosed() {
		s.log.Debug("stop the service", "err", err)
	}
	return context.Cause(ctx)
}

var semver = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

type service struct {
	ctx     context.Context //nolint:containedctx // requests come by callbacks
	conn    *nats.Conn
	backend Backend
	o       ServiceOptions
	log     *slog.Logger
	room    chan struct{}
}

// endpoint is one verb.
type endpoint struct {
	verb  string
	write bool
	do    func(ctx context.Context, model string, o order) (any, error)
}

func (e endpoint) effect() string {
	if e.write {
		return "write"
	}
	return "read"
}

func (s *service) endpoints() []endpoint {
	return []endpoint{
		{"status", false, s.status},
		{"explain", false, func(ctx context.Context, model string, o order) (any, error) {
			return s.backend.Explain(ctx, model, o.Run, time.Time{})
		}},
		{"runs", false, func(ctx context.Context, model string, o order) (any, error) {
			if o.Limit < 0 || o.Limit > 1000 {
				return nil, fmt.Errorf("%w: limit %d is not between 1 and 1000", errBadRequest, o.Limit)
			}
			if o.Limit == 0 {
				o.Limit = 20
			}
			return s.backend.Runs(ctx, model, o.Limit)
		}},
		{"releases", false, func(ctx context.Context, model string, _ order) (any,
			error,
		) {
			return s.backend.Releases(ctx, model)
		}},
		{"trigger", true, func(ctx context.Context, model string, o order) (any, error) {
			return s.backend.Trigger(ctx, model, Request{Reason: o.Reason, Pipeline: o.Pipeline, By: "NATS", ID: o.ID, At: o.At})
		}},
		{"evaluate", true, func(ctx context.Context, model string, _ order) (any,
			error,
		) {
			return s.backend.Evaluate(ctx, model)
		}},
		{"pause", true, func(ctx context.Context, model string, o order) (any, error) {
			return struct{}{}, s.backend.Pause(ctx, model, Pause{By: "NATS", Reason: o.Reason})
		}},
		{"resume", true, func(ctx context.Context, model string, _ order) (any, error) {
			return struct{}{}, s.backend.Resume(ctx, model, "NATS")
		}},
	}
}

// status returns the status of one model, or of all.
func (s *service) status(ctx context.Context, model string, _ order) (any, error) {
	all, err := s.backend.Snapshot(ctx)
	if err != nil || model == WholeDaemon {
		return all, err
	}
	for _, m := range all.Models {
		if m.Name == model {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%w: no model %q is configured; configured: %s", ErrNotFound, model, strings.Join(s.o.Models, ", "))
}

// serve answers one request in the background. It refuses the request if too many others are being answered.
func (s *service) serve(e endpoint, r micro.Request) {
	if reply := r.Reply(); strings.HasPrefix(reply, "$") || strings.HasPrefix(reply, "retraind.") {
		s.log.Warn("a request was ignored: its reply subject is not allowed", "reply", reply, "request",
			r.Subject())
		return
	}
	select {
	case s.room <- struct{}{}:
	default:
		s.fail(r, 503, fmt.Sprintf("%d requests are in progress, the maximum; try again later", atATime))
		return
	}
	go func() {
		defer func() { <-s.room }()
		s.answer(e, r)
	}()
}

func (s *service) answer(e endpoint, r micro.Request) {
	model := strings.TrimSuffix(strings.TrimPrefix(r.Subject(), ServiceRoot+"."), "."+e.verb)
	o, err := readOrder(r)
	switch {
	case err != nil:
		s.fail(r, 400, err.Error())
		return
	case e.write && !s.o.Write:
		s.fail(r, 403, "requests over NATS may only read: to allow changes, set nats.requests to all")
		return
	}
	if e.write {
		if err := (Request{ID: o.ID, At: o.At}).Fresh(time.Now()); err != nil {
			s.refuse(r, err)
			return
		}
		s.log.Info("request over NATS", "request", r.Subject(), "id", o.ID)
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(s.ctx), requestPatience)
	defer stop()
	v, err := e.do(ctx, model, o)
	if err != nil {
		s.refuse(r, err)
		return
	}
	body, err := json.Marshal(v)
	if err != nil {
		s.fail(r, 500, err.Error())
		return
	}
	if most := s.conn.MaxPayload(); int64(len(body)) > most {
		s.fail(r, 500, fmt.Sprintf("the answer has %d bytes, and the NATS server accepts at most %d: ask for less, or use the control socket",
			len(body), most))
		return
	}
	s.reply(r, nil, body)
}

// reply publishes an answer on the connection. It does not use the methods of the request, because they store their
// error in the request, which the library reads as soon as the request's handler has returned.
func (s *service) reply(r micro.Request, header nats.Header, body []byte) {
	if err := s.conn.PublishMsg(&nats.Msg{Subject: r.Reply(), Header: header, Data: body}); err != nil {
		s.log.Debug("answer a request", "request", r.Subject(), "err", err)
	}
}

// readOrder decodes a body strictly, so that a misspelt key is not ignored.
func readOrder(r micro.Request) (o order, err error) {
	body := bytes.TrimSpace(r.Data())
	if len(body) > maxBody {
		return o, fmt.Errorf("the request has %d bytes; at most %d are accepted", len(body), maxBody)
	}
	if len(body) > 0 {
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&o); err != nil {
			return o, fmt.Errorf("the request is not valid: %w", err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return o, errors.New("there is more data after the request")
		}
	}
	if o.ID == "" {
		o.ID = r.Headers().Get(nats.MsgIdHdr)
	}
	return o, nil
}

// refuse answers with an error code that a client can act on.
func (s *service) refuse(r micro.Request, err error) {
	text := err.Error()
	for _, kind := range []error{ErrNotFound, ErrRefused, errBadRequest} {
		text = strings.TrimPrefix(text, kind.Error()+": ")
	}
	code := 500
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		code = refusal.Code
	case errors.Is(err, ErrNotFound):
		code = 404
	case errors.Is(err, ErrRefused):
		code = 409
	case errors.Is(err, errBadRequest):
		code = 400
	}
	s.fail(r, code, text)
}

func (s *service) fail(r micro.Request, code int, text string) {
	body, err := json.Marshal(map[string]any{"error": text, "code": code})
	if err != nil {
		body = nil
	}
	s.reply(r, nats.Header{
		micro.ErrorHeader:     {strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")},
		micro.ErrorCodeHeader: {strconv.Itoa(code)},
	}, body)
}

// warn logs an error if a stream captures the subjects of requests, because clients would mistake the stream's
// acknowledgement for the answer.
func (s *service) warn(conn *nats.Conn) {
	js, err := jetstream.New(conn)
	if err != nil {
		return
	}
	ctx, stop := context.WithTimeout(s.ctx, 10*time.Second)
	defer stop()
	if name, err := js.StreamNameBySubject(ctx, ServiceRoot+".>"); err == nil {
		s.log.Error("a JetStream stream stores requests to retraind, so their senders get its acknowledgement instead of the answer: remove retraind.api from the stream's subjects",
			"stream", name)
	}
}
