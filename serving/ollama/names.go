package ollama

import "strings"

// Tagged returns a model's name with its tag: liga-relevance becomes liga-relevance:latest.
func Tagged(name string) string {
	if base := untagged(name); base == name {
		name += ":latest"
	}
	return name
}

// untagged returns a name without its tag. A colon before a slash belongs to a host.
func untagged(name string) string {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i]
	}
	return name
}

const releaseTag = ":r-"

// ReleaseTag returns the name of a model's release on the server: NAME:r-<digest>.
func ReleaseTag(model, release string) string {
	return untagged(model) + releaseTag + strings.TrimPrefix(release, "sha256:")
}

// ReleaseOf returns the release in a name that ReleaseTag returned; ok is false for other names.
func ReleaseOf(model, name string) (release string, ok bool) {
	hash, ok := strings.CutPrefix(name, untagged(model)+releaseTag)
	if !ok || hash == "" {
		return "", false
	}
	return "sha256:" + hash, true
}
