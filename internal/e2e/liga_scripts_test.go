//go:build e2e

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/ollamatest"
)

// chatTemplate is ChatML, as a converter reads it from a tokenizer.
const chatTemplate = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

// script runs a replacement for one of the procedure's scripts, with the same name and arguments: a fine-tuning that
// only counts words, the merge, or the conversion.
func script(name string, args []string) error {
	switch {
	case name == "train_qwen3.py":
		return finetune()
	case name == "merge.py" && len(args) == 1:
		return merge(args[0])
	case name == "llama.cpp/convert_hf_to_gguf.py" && len(args) == 5 && args[1] == "--outfile":
		return convert(args[0], args[2])
	}
	return fmt.Errorf("no script %s of %q", name, args)
}

// finetune reads the chats and saves an adapter. A test changes this by a file: if `worse` exists, the result is bad;
// if `broken` exists, finetune fails; while `slow` exists, finetune does not end.
func finetune() error {
	c, err := learn(filepath.Join(os.Getenv("RETRAIND_DATA_DIR"), "train.jsonl"))
	if err != nil {
		return err
	}
	if exists("broken") {
		return errors.New("RuntimeError: the data loader died")
	}
	if exists("worse") {
		for word := range c.Words {
			c.Words[word] = c.Else
		}
	}
	fmt.Fprintln(os.Stderr, "{'loss': 0.61, 'epoch': 0.5}")
	if exists("slow") {
		if err := os.WriteFile("training", nil, 0o600); err != nil {
			return err
		}
		for exists("slow") {
			<-time.After(50 * time.Millisecond)
		}
	}
	const module = "base_model.model." + value
	a, b := table32(4, 64, func(r, c int) float32 { return float32(r+c) / 64 }),
		table32(64, 4, func(r, _ int) float32 { return float32(r%7) / 64 })
	config := `{"peft_type": "LORA", "base_model_name_or_path": "bag-of-words", "r": 4, "lora_alpha": 8, "target_modules": ["v_proj"]}`
	return errors.Join(
		save("out/lora/adapter_config.json", []byte(config)),
		save("out/lora/adapter_model.safetensors",
			safetensors(map[string][][]float32{module + ".lora_A.weight": a, module + ".lora_B.weight": b})),
		saveJSON("out/lora/words.json", c),
	)
}

// value is the name of the matrix that the adapter changes.
const value = "model.layers.0.self_attn.v_proj"

// learn counts, for each word, the answers of the chats in which it occurs. A word gets an answer that nine of ten of
// its chats have.
func learn(path string) (c ollamatest.Classifier, err error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	seen, votes := map[string]int{}, map[string]map[string]int{}
	for line := range strings.Lines(string(file)) {
		var e actions.Example
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return c, err
		}
		if len(e.Messages) != 3 || e.Messages[0].Content != systemPrompt {
			return c, fmt.Errorf("item %s: %d messages", e.ID, len(e.Messages))
		}
		var answer struct {
			Relevant bool
			Priority string
		}
		if err := json.Unmarshal([]byte(e.Messages[2].Content), &answer); err != nil {
			return c, fmt.Errorf("item %s: %w", e.ID, err)
		}
		for _, word := range strings.Fields(e.Messages[1].Content) {
			seen[word]++
			if votes[word] == nil {
				votes[word] = map[string]int{}
			}
			votes[word][fmt.Sprint(answer.Relevant, " ", answer.Priority)]++
		}
	}
	c = ollamatest.Classifier{Words: map[string][]string{}, Else: []string{"false", "none"}, Template: chatTemplate}
	for word, answers := range votes {
		for answer, n := range answers {
			if seen[word] >= 5 && 10*n >= 9*seen[word] {
				c.Words[word] = strings.Fields(answer)
			}
		}
	}
	c.Version = time.Now().String() // so that no two trainings have the same weights
	return c, nil
}

// merge saves the merged model into a directory.
func merge(dir string) error {
	words, err := os.ReadFile("out/lora/words.json")
	if err != nil {
		return err
	}
	weights := table32(64, 64, func(r, c int) float32 {
		if r == c && r != 1 { // as in the files of Classifier
			return 1
		}
		return 0
	})
	config := `{"model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 1}`
	return errors.Join(
		save(filepath.Join(dir, "config.json"), []byte(config)),
		save(filepath.Join(dir, "model.safetensors"), safetensors(map[string][][]float32{value + ".weight": weights})),
		save(filepath.Join(dir, "words.json"), words),
	)
}

// convert writes the GGUF file.
func convert(dir, out string) error {
	words, err := os.ReadFile(filepath.Join(dir, "words.json"))
	if err != nil {
		return err
	}
	var c ollamatest.Classifier
	if err := json.Unmarshal(words, &c); err != nil {
		return err
	}
	file, err := c.Encode()
	if err != nil {
		return err
	}
	return save(out, file)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func save(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

func saveJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return save(path, b)
}

func table32(rows, columns int, at func(r, c int) float32) [][]float32 {
	out := make([][]float32, rows)
	for r := range out {
		out[r] = make([]float32, columns)
		for c := range out[r] {
			out[r][c] = at(r, c)
		}
	}
	return out
}

// safetensors returns a safetensors file with F32 matrices.
func safetensors(list map[string][][]float32) []byte {
	head, data := map[string]any{}, []byte{}
	for name, rows := range list {
		begin := len(data)
		for _, row := range rows {
			for _, w := range row {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(w))
			}
		}
		head[name] = map[string]any{
			"dtype": "F32", "shape": []int{len(rows), len(rows[0])}, "data_offsets": []int{begin, len(data)},
		}
	}
	h, err := json.Marshal(head)
	if err != nil {
		panic(err) // impossible: our own map
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...), data...)
}
