package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/serving/ollama"
)

// cmdOllama provides an Ollama server that appears to use the fake GPU; it is a real server if one is built. "ollama
// start MODEL…" starts it with models and sets OLLAMA to its URL; "ollama load MODEL 20m" loads a model for that time,
// as a client does; "ollama has [MODEL…]" waits until exactly these models are loaded; "ollama left MODEL 18m 20m"
// checks that a model stays loaded for a time between the two; "ollama hold" delays answers until "ollama go".
func cmdOllama(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: ollama start|load|has|left|hold|go …")
	}
	w := of(ts)
	switch what, args := args[0], args[1:]; {
	case what == "start":
		url := ollamatest.RealOrFake(w.t)
		w.ollama = ollamatest.Client(w.t, url)
		for _, name := range args {
			ollamatest.Classifier{Else: []string{"news"}, Version: name}.Install(w.t, url, name, "")
		}
		ts.Setenv("OLLAMA", ollamatest.Proxy(w.t, url, w.onGPU))
		useCard(ts, w)
	case what == "hold":
		w.hold.Lock()
	case what == "go":
		w.hold.Unlock()
	case what == "load" && len(args) == 2:
		keep, err := time.ParseDuration(args[1])
		ts.Check(err)
		ts.Check(w.ollama.Load(context.Background(), args[0], keep))
	case what == "has":
		waittest.Eventually(w.t, fmt.Sprint("exactly ", args, " loaded"), func() bool {
			names := []string{}
			for _, r := range w.running() {
				names = append(names, strings.TrimSuffix(r.Name, ":latest"))
			}
			slices.Sort(names)
			return slices.Equal(names, args)
		})
	case what == "left" && len(args) == 3:
		least, err := time.ParseDuration(args[1])
		ts.Check(err)
		most, err := time.ParseDuration(args[2])
		ts.Check(err)
		i := slices.IndexFunc(w.running(), func(r ollama.Running) bool { return r.Name == ollama.Tagged(args[0]) })
		if i < 0 {
			ts.Fatalf("%s is not loaded", args[0])
		}
		if left := time.Until(w.running()[i].Expires); left < least || left > most {
			ts.Fatalf("%s stays for %s", args[0], left)
		}
	default:
		ts.Fatalf("usage: ollama start|load|has|left|hold|go …")
	}
}

// running lists the models that the script's server has loaded.
func (w *world) running() []ollama.Running {
	list, _ := w.ollama.Running(context.Background())
	return list
}

// onGPU changes the answers of a server without a GPU, so that its models appear to be wholly on one.
func (w *world) onGPU(rw http.ResponseWriter, r *http.Request, forward http.Handler) {
	switch r.URL.Path {
	case "/api/chat":
		w.hold.RLock()
		defer w.hold.RUnlock()
		fallthrough
	default:
		forward.ServeHTTP(rw, r)
		return
	case "/api/ps":
	}
	answer := httptest.NewRecorder()
	forward.ServeHTTP(answer, r)
	var list struct {
		Models []map[string]any `json:"models"`
	}
	_ = json.Unmarshal(answer.Body.Bytes(), &list)
	for _, m := range list.Models {
		m["size_vram"] = m["size"]
	}
	_ = json.NewEncoder(rw).Encode(list)
}

// useCard fills the fake GPU while a model is loaded, and for 300 ms longer: a real server's list is empty before the
// memory is free.
func useCard(ts *testscript.TestScript, w *world) {
	sleep, err := exec.LookPath("sleep")
	ts.Check(err)
	program, err := os.ReadFile(sleep)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("ollama"), program, 0o700))
	runner := exec.Command(ts.MkAbs("ollama"), "600") // the driver's list has its PID, which leads to its name
	ts.Check(runner.Start())
	state := ts.Getenv("FAKE_NVML_STATE")
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.t.Cleanup(func() {
		stop()
		<-done
		_ = runner.Process.Kill()
		_ = runner.Wait()
	})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var last time.Time
		for {
			if len(w.running()) > 0 {
				last = time.Now()
			}
			text := "used 0\n"
			if time.Since(last) < 300*time.Millisecond {
				text = fmt.Sprintf("used 20480\ncompute %d 20000\n", runner.Process.Pid)
			}
			if os.WriteFile(state+".new", []byte(text), 0o600) == nil {
				_ = os.Rename(state+".new", state)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
}
