package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// maxAnswer caps what is read of one answer.
const maxAnswer = 1 << 20

// giveUpAfter is the number of texts in a row that may fail before the rest is not asked about.
const giveUpAfter = 8

// Text is a text to be classified.
type Text struct {
	Item   string
	Hash   string
	Fields map[string]string // text columns by name
}

// Answer is what the service said about one text.
type Answer struct {
	Values     Answers
	Confidence float64 // 0 when the service tells none
	Release    string  // digest of the release that answered, when the answer has it beside the first target
	Took       time.Duration
}

// Scorer asks a classifier over HTTP. Safe for concurrent use; it keeps its connections.
type Scorer struct {
	config  Config
	targets []Target
	client  *http.Client
	size    int // texts in one request

	classifyURL, batchURL *url.URL
	buffers               sync.Pool
}

// reply is an answer, or why there is none.
type reply struct {
	Answer
	err error
}

// ask asks about a part of the texts: one, or as many as a request of the batch endpoint takes.
func (s *Scorer) ask(t *timed, part []Text) []reply {
	if s.config.Batch != nil {
		return s.classifyBatch(t, part)
	}
	answer, err := s.classify(t, part[0])
	return []reply{{answer, err}}
}

// NewScorer returns a scorer for a configuration that has been validated.
func NewScorer(config Config) *Scorer {
	config = config.WithDefaults()
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: min(10*time.Second, config.Timeout.D())}).DialContext,
		MaxIdleConns:        config.Concurrency + 1,
		MaxIdleConnsPerHost: config.Concurrency + 1, // one beside for Health; fewer would dial again for every text
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // an answer is a few dozen bytes
	}
	s := &Scorer{config: config, targets: config.List(), client: &http.Client{Transport: transport, Timeout: config.Timeout.D()}, size: 1}
	s.classifyURL, _ = url.Parse(config.Classify)
	if config.Batch != nil {
		s.size = config.Batch.Size
		s.batchURL, _ = url.Parse(config.Batch.URL)
	}
	return s
}

// Close drops idle connections.
func (s *Scorer) Close() { s.client.CloseIdleConnections() }

// Score asks about texts, several at a time, and calls got once for each answer, one call at a time and in no order.
// What was answered before an error stays given. The error is nil when every text was answered; it wraps ErrAsleep when
// the service is away, ErrService when it answers in a way that cannot be used. A text that fails does not keep the
// others from being asked, until several in a row have failed.
func (s *Scorer) Score(ctx context.Context, texts []Text, got func(Text, Answer)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var (
		next   atomic.Int64
		mu     sync.Mutex // guards the rest, and serialises got
		failed int
		inARow int
		first  error
		wg     sync.WaitGroup
	)
	worker := func() {
		defer wg.Done()
		t := &timed{parent: ctx, timeout: s.config.Timeout.D()}
		defer t.close()
		for {
			from := int(next.Add(int64(s.size))) - s.size
			if from >= len(texts) || ctx.Err() != nil {
				return
			}
			part := texts[from:min(from+s.size, len(texts))]
			replies := s.ask(t, part)

			mu.Lock()
			for i, r := range replies {
				switch err := r.err; {
				case err == nil:
					inARow = 0
					got(part[i], r.Answer)
				case ctx.Err() != nil: // a consequence, not a cause
				default:
					failed++
					inARow++
					if first == nil || errors.Is(err, ErrAsleep) && !errors.Is(first, ErrAsleep) {
						first = err
					}
					if errors.Is(err, ErrAsleep) || inARow >= giveUpAfter {
						stop(err)
					}
				}
			}
			mu.Unlock()
		}
	}
	for range min(s.config.Concurrency, (len(texts)+s.size-1)/s.size) {
		wg.Add(1)
		go worker()
	}
	wg.Wait()
	switch {
	case first != nil && failed > 1:
		return fmt.Errorf("score: %d of %d texts failed, the first: %w", failed, len(texts), first)
	case first != nil:
		return fmt.Errorf("score: %w", first)
	case ctx.Err() != nil:
		return fmt.Errorf("score: %w", context.Cause(ctx))
	}
	return nil
}

// classify asks about one text.
func (s *Scorer) classify(t *timed, text Text) (Answer, error) {
	start := time.Now()
	var out Answer
	fields := s.renamed(text.Fields)
	err := s.post(t, s.classifyURL, appendObject(make([]byte, 0, size(fields)), fields), "item "+text.Item, maxAnswer, func(body []byte) error {
		object, err := decodeAnswer(body)
		if err == nil {
			out, err = s.read(object)
		}
		return err
	})
	out.Took = time.Since(start)
	return out, err
}

// read takes the answer about one text.
func (s *Scorer) read(object map[string]any) (out Answer, err error) {
	out.Values, out.Confidence, err = readAnswer(s.targets, object)
	out.Release = releaseIn(object, s.config.HealthRelease)
	return out, err
}

// post sends a JSON document and gives the answer to use, which must not keep its bytes. What use objects to is the service's
// fault.
func (s *Scorer) post(t *timed, to *url.URL, body []byte, about string, most int64, use func([]byte) error) error {
	if to == nil {
		return errors.New("ask the classifier: its URL cannot be read; correct it under serving")
	}
	buffer, _ := s.buffers.Get().(*bytes.Buffer)
	if buffer == nil {
		buffer = &bytes.Buffer{}
	}
	defer s.buffers.Put(buffer)
	req := (&http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host, Header: postHeader, ContentLength: int64(len(body)),
		Body:    io.NopCloser(bytes.NewReader(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}).WithContext(t.begin())
	// Without the client's own ways, which cost as much as asking a quick service; a redirect takes them.
	status, err := s.do(req, s.client.Transport.RoundTrip, buffer, most)
	if err == nil && (status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect) {
		req.Body, _ = req.GetBody()
		status, err = s.do(req, s.client.Do, buffer, most)
	}
	t.end()
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return statusError(to.Redacted(), status, buffer.Bytes(), about)
	}
	if err := use(buffer.Bytes()); err != nil {
		return &ServiceError{URL: to.Redacted(), About: about, Cause: err}
	}
	return nil
}

// postHeader is never changed. Idempotency-Key is present but empty: net/http may then send again on a fresh connection
// when an idle one turns out to be closed, and nothing goes over the wire. Asking for a classification twice does no harm.
var postHeader = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {}}

// renamed gives the text columns the names that the service knows them by.
func (s *Scorer) renamed(columns map[string]string) map[string]string {
	if len(s.config.Fields) == 0 && columns != nil {
		return columns
	}
	fields := make(map[string]string, len(columns))
	for column, value := range columns {
		if field, ok := s.config.Fields[column]; ok {
			column = field
		}
		fields[column] = value
	}
	return fields
}

// do sends a request and reads the whole answer into a buffer, so that the connection can be used again.
func (s *Scorer) do(req *http.Request, send func(*http.Request) (*http.Response, error), into *bytes.Buffer, most int64) (int, error) {
	into.Reset()
	resp, err := send(req)
	if err != nil {
		return 0, transportError(req.Context(), req.URL.Redacted(), err, s.config.Timeout.D())
	}
	defer resp.Body.Close()
	if _, err := into.ReadFrom(io.LimitReader(resp.Body, most+1)); err != nil {
		return 0, transportError(req.Context(), req.URL.Redacted(), err, s.config.Timeout.D())
	}
	if int64(into.Len()) > most {
		return 0, &ServiceError{URL: req.URL.Redacted(), Cause: fmt.Errorf("the answer is larger than %d bytes", most)}
	}
	return resp.StatusCode, nil
}

// timed bounds each request of one worker. One context serves them all until a request is too slow: a deadline of its
// own for each would cost as much as reading the answer.
type timed struct {
	parent  context.Context
	timeout time.Duration
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
}

// errSlow is why a request was given up.
var errSlow = errors.New("too slow")

// begin starts the time of the next request.
func (t *timed) begin() context.Context {
	if t.ctx != nil && t.ctx.Err() == nil {
		t.timer.Reset(t.timeout)
		return t.ctx
	}
	t.close()
	ctx, cancel := context.WithCancelCause(t.parent)
	t.ctx, t.cancel = ctx, cancel
	t.timer = time.AfterFunc(t.timeout, func() { cancel(errSlow) })
	return ctx
}

// end stops it, once the answer is read.
func (t *timed) end() { t.timer.Stop() }

func (t *timed) close() {
	if t.timer != nil {
		t.timer.Stop()
		t.cancel(nil)
	}
}
