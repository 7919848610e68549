// Package ollama is a client of the documented HTTP endpoints of an Ollama server.
//
// It owns the requests, the size limits of answers, and the typed errors (Error and the sentinels that it wraps). A
// Client is safe for concurrent use. It contacts only the configured URL, and it never makes the server fetch a model:
// Create refuses a source that does not exist. Each call is one request, or the few that its comment names; none is
// repeated, and each ends with its context. Texts, answers and error messages of the server are data: they are limited,
// quoted in errors and never interpreted.
package ollama
