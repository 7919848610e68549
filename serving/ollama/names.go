package ollama

import "strings"

// Tagged is the name of a model with its tag: liga-relevance is liga-relevance:latest.
func Tagged(name string) string {
	if base := untagged(name); base == name {
		name += ":latest"
	}
	return name
}

// untagged is a name without its tag. A colon before a slash belongs to a host.
func untagged(name string) string {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i]
	}
	return name
}

const releaseTag = ":r-"

// ReleaseTag is the name under which a model's release lies on the server: NAME:r-<digest>.
func ReleaseTag(model, release string) string {
	return untagged(model) + releaseTag + strings.TrimPrefix(release, "sha256:")
}

// ReleaseOf is the release that such a name stands for; it is not ok for other names.
func ReleaseOf(model, name string) (release string, ok bool) {
	hash, ok := strings.CutPrefix(name, untagged(model)+releaseTag)
	if !ok || hash == "" {
		return "", false
	}
	return "sha256:" + hash, true
}
