package actions

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/retraind/retraind/serving"
)

// maxCodeFile is the maximum size of a file that counts as code of a step: a larger file is data.
const maxCodeFile = 16 << 20

// CodeDigest returns a digest of the steps of a run and of the regular files that their arguments name; relative paths
// are resolved against the step's directory. Two runs with equal digests do the same if their labels are equal.
func CodeDigest(steps []Step, c serving.Config) string {
	h := sha256.New()
	if c.Ollama != nil { // covers the files that determine the chats of an export and the requests
		fmt.Fprintf(h, "%s\n", c.Ollama.Digest())
	}
	for _, s := range steps {
		// None of these changes the result: a plan sets Rest and OllamaOnGPU, Progress is for display.
		s.Rest, s.OllamaOnGPU, s.Progress = 0, false, ""
		fmt.Fprintf(h, "%s\n", mustJSON(s))
		for _, arg := range append(append([]string{}, s.Argv...), s.Undo...) {
			hashArgument(h, s.Dir, arg)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hashArgument adds the path and the content of the file that an argument names. It skips anything but a readable
// regular file of at most maxCodeFile bytes.
func hashArgument(h io.Writer, dir, arg string) {
	if !filepath.IsAbs(arg) {
		arg = filepath.Join(dir, arg)
	}
	info, err := os.Stat(arg)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxCodeFile {
		return
	}
	f, err := os.Open(arg)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(h, "%s\n", arg)
	_, _ = io.Copy(h, f)
}
