package drift

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
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
	config  ServingConfig
	targets []Target
	client  *http.Client
}

// NewScorer returns a scorer for a configuration that has been validated.
func NewScorer(config ServingConfig) *Scorer {
	config = config.WithDefaults()
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: min(10*time.Second, config.Timeout.D())}).DialContext,
		MaxIdleConns:          config.Concurrency + 1,
		MaxIdleConnsPerHost:   config.Concurrency + 1, // one beside for Health; fewer would dial again for every text
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: config.Timeout.D(),
	}
	return &Scorer{config: config, targets: config.List(), client: &http.Client{Transport: transport, Timeout: config.Timeout.D()}}
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
		mu     sync.Mutex // guards the rest, and serialises got
		next   int
		failed int
		inARow int
		first  error
		wg     sync.WaitGroup
	)
	worker := func() {
		defer wg.Done()
		for {
			mu.Lock()
			if next >= len(texts) || ctx.Err() != nil {
				mu.Unlock()
				return
			}
			text := texts[next]
			next++
			mu.Unlock()

			answer, err := s.classify(ctx, text)

			mu.Lock()
			switch {
			case err == nil:
				inARow = 0
				got(text, answer)
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
			mu.Unlock()
		}
	}
	for range min(s.config.Concurrency, len(texts)) {
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
func (s *Scorer) classify(ctx context.Context, text Text) (Answer, error) {
	body, err := json.Marshal(s.renamed(text.Fields))
	if err != nil {
		return Answer{}, fmt.Errorf("item %s: %w", text.Item, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.Classify, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", s.config.Classify, err)
	}
	req.Header.Set("Content-Type", "application/json")
	// Present but empty: net/http may then send again on a fresh connection when an idle one turns out to be closed, and
	// nothing goes over the wire. Asking for a classification twice does no harm.
	req.Header["Idempotency-Key"] = []string{}
	start := time.Now()
	status, answer, err := s.do(req)
	if err != nil {
		return Answer{}, err
	}
	out := Answer{Took: time.Since(start)}
	if status != http.StatusOK {
		return Answer{}, statusError(s.config.Classify, status, answer, "item "+text.Item)
	}
	object, err := decodeAnswer(answer)
	if err == nil {
		out.Values, out.Confidence, err = readAnswer(s.targets, object)
	}
	if err != nil {
		return Answer{}, &ServiceError{URL: s.config.Classify, About: "item " + text.Item, Cause: err}
	}
	out.Release = releaseIn(object, s.config.HealthRelease)
	return out, nil
}

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

// do sends a request and reads the whole answer, so that the connection can be used again.
func (s *Scorer) do(req *http.Request) (int, []byte, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, transportError(req.Context(), req.URL.Redacted(), err, s.config.Timeout.D())
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, transportError(req.Context(), req.URL.Redacted(), err, s.config.Timeout.D())
	}
	if len(body) > maxAnswer {
		return 0, nil, &ServiceError{URL: req.URL.Redacted(), Cause: fmt.Errorf("the answer is larger than %d bytes", maxAnswer)}
	}
	return resp.StatusCode, body, nil
}
