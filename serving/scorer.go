package serving

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
	"sync/atomic"
	"time"
)

// maxAnswer limits how many bytes of one answer are read.
const maxAnswer = 1 << 20

// giveUpAfter is the number of consecutive requests without an answer after which the remaining texts are skipped.
const giveUpAfter = 8

// Text is a text to be classified.
type Text struct {
	Item   string
	Hash   string
	Fields map[string]string // text columns by name
}

// Answer is the service's answer about one text.
type Answer struct {
	Values     Answers
	Confidence float64 // 0 if the service reports none
	Release    string  // digest of the release that answered, if the answer has it at serving.health_release
	Whole      string  // the complete answer of a language model, as JSON
	Format     string  // what was wrong with an answer whose values are FormatError; else ""
	Took       time.Duration
}

// Scorer asks a classifier over HTTP, or a language model of an Ollama server. It is safe for concurrent use, and keeps
// its connections open.
type Scorer struct {
	config  Config
	targets []Target
	client  *http.Client
	size    int            // texts in one request
	model   *languageModel // nil for an HTTP service
	broken  error          // why nothing can be asked; nil for a valid configuration
}

// reply is an answer or an error.
type reply struct {
	Answer
	err error
}

// ask sends one request: about one text, or about several if there is a batch endpoint.
func (s *Scorer) ask(ctx context.Context, part []Text) []reply {
	if s.model != nil {
		answer, err := s.model.classify(ctx, part[0])
		return []reply{{answer, err}}
	}
	if s.config.Batch != nil {
		return s.classifyBatch(ctx, part)
	}
	answer, err := s.classify(ctx, part[0])
	return []reply{{answer, err}}
}

// NewScorer returns a scorer for a validated configuration.
func NewScorer(config Config) *Scorer {
	config = config.WithDefaults()
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: min(10*time.Second, config.Timeout.D())}).DialContext,
		MaxIdleConns:        config.Concurrency + 1,
		MaxIdleConnsPerHost: config.Concurrency + 1, // one more for Health; with fewer, each text would need a new connection
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // an answer is a few dozen bytes
	}
	s := &Scorer{config: config, targets: config.List(), size: 1}
	if config.Ollama != nil {
		s.model, s.broken = newLanguageModel(config)
	}
	s.client = &http.Client{Transport: transport, Timeout: config.Timeout.D(), CheckRedirect: keepMethod}
	if config.Batch != nil {
		s.size = config.Batch.Size
	}
	return s
}

// keepMethod follows redirects, except those that would turn a POST into a GET without its text.
func keepMethod(req *http.Request, via []*http.Request) error {
	const most = 10
	if req.Method != via[0].Method || len(via) > most {
		return http.ErrUseLastResponse
	}
	return nil
}

// Close drops idle connections.
func (s *Scorer) Close() {
	s.client.CloseIdleConnections()
	if s.model != nil {
		s.model.client.Close()
	}
}

// Score asks about texts concurrently and calls `got` once for each answer, one call at a time and in no particular
// order. Answers that `got` received remain valid after an error. The error is nil if every text was answered; it wraps
// ErrAsleep if the service is unreachable, ErrService if its answers cannot be used. After a failed text the others are
// still asked, until the service is unreachable or several requests in a row have failed.
func (s *Scorer) Score(ctx context.Context, texts []Text, got func(Text, Answer)) error {
	if s.broken != nil {
		return fmt.Errorf("score: %w", s.broken)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var (
		next   atomic.Int64
		mu     sync.Mutex // guards the variables below, and serialises got
		failed int
		inARow int
		gaveUp bool
		first  error
		wg     sync.WaitGroup
	)
	worker := func() {
		defer wg.Done()
		for {
			from := int(next.Add(int64(s.size))) - s.size
			if from >= len(texts) || ctx.Err() != nil {
				return
			}
			part := texts[from:min(from+s.size, len(texts))]
			replies := s.ask(ctx, part)

			mu.Lock()
			answered, fault := false, error(nil)
			for i, r := range replies {
				switch err := r.err; {
				case err == nil:
					answered = true
					got(part[i], r.Answer)
				case ctx.Err() != nil: // a consequence of the cancellation, not the cause
				default:
					failed++
					fault = err
					if first == nil || errors.Is(err, ErrAsleep) && !errors.Is(first, ErrAsleep) {
						first = err
					}
				}
			}
			switch {
			case answered:
				inARow = 0
			case fault != nil:
				inARow++
				gaveUp = gaveUp || inARow >= giveUpAfter
				if errors.Is(fault, ErrAsleep) || gaveUp {
					stop(fault)
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
	case gaveUp && failed < len(texts):
		return fmt.Errorf("score: %d of %d texts failed (stopped after %d failures in a row), the first: %w",
			failed, len(texts), giveUpAfter, first)
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
	start := time.Now()
	var out Answer
	err := s.post(ctx, s.config.Classify, encode(s.renamed(text.Fields)), "item "+text.Item, maxAnswer,
		func(body []byte) error {
			object, err := decodeAnswer(body)
			if err == nil {
				out, err = s.read(object)
			}
			return err
		})
	out.Took = time.Since(start)
	return out, err
}

// encode writes texts as JSON, with <, > and & unescaped. It cannot fail: invalid UTF-8 becomes U+FFFD.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// read parses the answer about one text.
func (s *Scorer) read(object map[string]any) (out Answer, err error) {
	out.Values, out.Confidence, err = readAnswer(s.targets, object)
	out.Release = releaseIn(object, s.config.HealthRelease)
	return out, err
}

// post sends a JSON document and calls `use` with the answer. An error of `use` is reported as a fault of the service.
func (s *Scorer) post(ctx context.Context, to string, body []byte, about string, most int64, use func([]byte) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the classifier: %w; correct its URL under serving", err)
	}
	req.Header.Set("Content-Type", "application/json")
	// The header is present but empty: net/http may then retry on a fresh connection if an idle one turns out to be
	// closed, and sends no header. A repeated classification is harmless.
	req.Header["Idempotency-Key"] = []string{}
	status, answer, err := s.do(req, most)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return statusError(req.URL.Redacted(), status, answer, about)
	}
	if err := use(answer); err != nil {
		return &ServiceError{URL: req.URL.Redacted(), About: about, Cause: err}
	}
	return nil
}

// renamed returns the text columns under the service's field names.
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

// do sends a request and reads the whole answer, so that the connection can be reused.
func (s *Scorer) do(req *http.Request, most int64) (status int, body []byte, err error) {
	url := req.URL.Redacted()
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, transportError(req.Context(), url, err, s.config.Timeout.D())
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return 0, nil, transportError(req.Context(), url, err, s.config.Timeout.D())
	}
	if int64(len(body)) > most {
		return 0, nil, &ServiceError{URL: url, Cause: fmt.Errorf("the answer is larger than %d bytes", most)}
	}
	return resp.StatusCode, body, nil
}
