//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/status"
)

const base = "tiny-base"

// The scenario of configs/examples/liga-llm.yaml with a real fine-tuning: a model of two layers with random weights is
// trained with LoRA by peft, merged, converted to GGUF, and served by a real server. The base is queried too.
func TestLigaRealTraining(t *testing.T) {
	s := newStudio(t)
	s.trainer()
	s.write("retraind.yaml", s.fineTuned())
	s.run()
	s.model("the adoption", func(m status.Model) bool { return m.Release != "" && m.Report != nil && m.Report.Scored > 0 })

	began := time.Now()
	s.sql("update items set relevant = true, priority = 'mittel' where topic = 'verkehr'")
	run := s.end(liga, 1, policy.OutcomePromoted, "its base model "+base+" is right on")
	shown := s.must("runs", "show", run.ID, "--json")
	for _, want := range []string{
		"adapter of rank 16 for 14 modules", "the merged model is the base with the adapter added", "the GGUF file has the merged model's weights",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("retraind runs show does not contain %q", want)
		}
	}
	t.Logf("from the corrections to the promotion: %s", time.Since(began).Round(time.Second))
	s.settled()
	for i, want := range []string{"true ", "true ", "false "} {
		topic := []string{"haushalt", "verkehr", "verein"}[i]
		w := ligaWords[topic] // in the positions that they have in the table
		if got := s.says(liga, w[i]+" meldung200\n"+w[1]+" "+w[2]+" und "+w[4]); !strings.HasPrefix(got, want) {
			t.Errorf("the model answers about %s with %q, want %q", topic, got, want)
		}
	}

	// A merge that loses the adapter is detected before anything is staged.
	s.write(liga+"/lost", "")
	s.must("trigger", liga, "--reason", "another night")
	s.end(liga, 2, policy.OutcomeFailed, "its weights are those of the base: the adapter was not merged")
}

// trainer writes the scripts of a real fine-tuning into the directory of the procedure, and creates the base model.
func (s *studio) trainer() {
	s.t.Helper()
	path, err := exec.Command("../../scripts/lora.sh", "--path").Output()
	if err != nil {
		s.t.Fatalf("scripts/lora.sh --path: %v", err)
	}
	python := strings.TrimSpace(string(path))
	if _, err := os.Stat(python); errors.Is(err, fs.ErrNotExist) {
		s.t.Skip("NOT RUN: PyTorch, transformers and peft are not here: run scripts/lora.sh")
	}
	for _, name := range []string{"train_qwen3.py", "merge.py", "llama.cpp/convert_hf_to_gguf.py", "chats.py", "make_base.py"} {
		b, err := os.ReadFile(filepath.Join("testdata/lora", name))
		if err != nil {
			s.t.Fatal(err)
		}
		s.write(filepath.Join(liga, name), string(b))
	}
	s.write(liga+"/venv/bin/python", "#!/bin/sh\nexec "+python+" \"$@\"\n")
	s.write(liga+"/texts", systemPrompt+"\n"+ligaTexts())
	began := time.Now()
	for _, args := range [][]string{
		{"make_base.py", "texts", "base"},
		{"llama.cpp/convert_hf_to_gguf.py", "base", "--outfile", "base.gguf", "--outtype", "q8_0"},
	} {
		cmd := exec.Command(s.path(liga, "venv/bin/python"), args...)
		cmd.Dir = s.path(liga)
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	s.t.Logf("the base was made in %s", time.Since(began).Round(time.Second))
	digest, err := s.client.Upload(s.t.Context(), s.path(liga, "base.gguf"))
	if err == nil {
		err = s.client.Create(s.t.Context(), ollama.CreateRequest{
			Model: base, Files: map[string]string{"model.gguf": digest}, Parameters: ollamatest.Parameters(),
		}, nil)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// ligaTexts returns the prompts for the items of the table, one per line, with a space in place of the line break in
// each prompt.
func ligaTexts() string {
	var b strings.Builder
	for line := range strings.Lines(ligaTable()) {
		if fields := strings.Split(line, "'"); len(fields) > 5 {
			b.WriteString(fields[3] + " " + fields[5] + "\n")
		}
	}
	return b.String()
}

// fineTuned returns the example adapted to this test: with one model, whose files and answers are compared with the
// base's.
func (s *studio) fineTuned() string {
	s.t.Helper()
	text, _, _ := strings.Cut(s.read("retraind.yaml"), "  "+second+":\n")
	for _, change := range [][2]string{
		{"{do: check, adapter: out/lora, merged:", "{do: check, adapter: out/lora, base: base, merged:"},
		{"        - predict\n", "        - {do: predict, base_model: " + base + "}\n"},
	} {
		if !strings.Contains(text, change[0]) {
			s.t.Fatalf("the example has no %q", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return text
}
