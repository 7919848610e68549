//go:build e2e

package status

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// chromium drives a headless browser through its debugging protocol, over two pipes: messages are JSON, each ended by a
// NUL. It is for one goroutine.
type chromium struct {
	t       *testing.T
	to      *os.File
	answers chan cdpAnswer
	id      int
	session string
}

// cdpAnswer is an answer, or an event, which has a method and no id.
type cdpAnswer struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// cdpPatience limits one command: axe takes a second or two on a page.
const cdpPatience = time.Minute

// startChromium starts the browser that RETRAIND_CHROMIUM names, with an empty page. It ends with the test.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	path := os.Getenv("RETRAIND_CHROMIUM")
	if path == "" {
		t.Fatal("RETRAIND_CHROMIUM names no browser: run make e2e")
	}
	in, to := pipe(t)
	from, out := pipe(t)
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, path, "--headless=new", "--no-sandbox", "--disable-gpu",
		"--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe",
		"--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{in, out} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	c := &chromium{t: t, to: to, answers: make(chan cdpAnswer, 1000)}
	go c.read(from)
	t.Cleanup(func() {
		time.AfterFunc(10*time.Second, kill)
		c.to.WriteString(`{"id": 0, "method": "Browser.close"}` + "\x00")
		cmd.Wait() //nolint:errcheck // it ends as it is told to, or is killed
		kill()
	})
	var target struct{ TargetID string }
	c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	c.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		c.call(domain+".enable", nil, nil)
	}
	return c
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func (c *chromium) read(from *os.File) {
	defer close(c.answers)
	for r := bufio.NewReader(from); ; {
		b, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var a cdpAnswer
		if json.Unmarshal(b[:len(b)-1], &a) == nil {
			c.answers <- a
		}
	}
}

// call sends a command and waits for its answer. An error that the page logs meanwhile fails the test.
func (c *chromium) call(method string, params, result any) {
	c.t.Helper()
	c.id++
	message := map[string]any{"id": c.id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if c.session != "" {
		message["sessionId"] = c.session
	}
	b, err := json.Marshal(message)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.to.Write(append(b, 0)); err != nil {
		c.t.Fatalf("chromium: %s: %v", method, err)
	}
	a := c.await(method, func(a cdpAnswer) bool { return a.ID == c.id })
	if a.Error != nil {
		c.t.Fatalf("chromium: %s: %s", method, a.Error.Message)
	}
	if result != nil {
		if err := json.Unmarshal(a.Result, result); err != nil {
			c.t.Fatalf("chromium: %s: %v in %s", method, err, a.Result)
		}
	}
}

func (c *chromium) await(what string, wanted func(cdpAnswer) bool) cdpAnswer {
	c.t.Helper()
	limit := time.After(cdpPatience)
	for {
		select {
		case a, ok := <-c.answers:
			if !ok {
				c.t.Fatalf("chromium ended during %s", what)
			}
			if a.Method == "Log.entryAdded" || a.Method == "Runtime.exceptionThrown" {
				c.t.Errorf("the page reports %s", a.Params)
			}
			if wanted(a) {
				return a
			}
		case <-limit:
			c.t.Fatalf("chromium: no answer to %s within %s", what, cdpPatience)
		}
	}
}

// open loads a page in a window of the given width and color scheme, and waits until it has loaded.
func (c *chromium) open(url string, width int, scheme string) {
	c.t.Helper()
	c.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600,
	}, nil)
	c.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{
		{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"},
	}}, nil)
	c.call("Page.navigate", map[string]any{"url": url}, nil)
	c.await("the page", func(a cdpAnswer) bool { return a.Method == "Page.loadEventFired" })
}

// eval evaluates a JavaScript expression in the page, awaits a promise, and decodes the result.
func (c *chromium) eval(expression string, into any) {
	c.t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	c.call("Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true,
	}, &out)
	if e := out.ExceptionDetails; e != nil {
		c.t.Fatalf("chromium: %s %s", e.Text, e.Exception.Description)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(out.Result.Value, into); err != nil {
		c.t.Fatalf("chromium: %v in %s", err, out.Result.Value)
	}
}

// screenshot saves the whole page as a picture if RETRAIND_SCREENSHOTS names a directory.
func (c *chromium) screenshot(name string) {
	c.t.Helper()
	if dir := os.Getenv("RETRAIND_SCREENSHOTS"); dir != "" {
		c.capture(filepath.Join(dir, name+".png"), map[string]any{"captureBeyondViewport": true})
	}
}

func (c *chromium) capture(path string, params map[string]any) {
	c.t.Helper()
	var shot struct{ Data string }
	c.call("Page.captureScreenshot", params, &shot)
	b, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil { //nolint:gosec // documentation is public
		c.t.Fatal(err)
	}
}
