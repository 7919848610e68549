package strictyaml

import "regexp"

// secrets match the secrets of connection strings, as the second group: a password among PostgreSQL's keywords, a
// password in a URL, and a token in the user part of a NATS URL.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`(?i)((?:password|passwd)\s*=\s*)(''[^']+''|'(?:[^'\\]|\\.)*'|[^\s&]+)`),
	regexp.MustCompile(`(://[^/\s:@]*:)(\S+)(@)`),
	regexp.MustCompile(`((?:nats|tls|wss?)://)([^/\s:@]+)(@)`),
}

// Masked replaces each secret in the connection strings of a text by what `by` returns for it.
func Masked(text string, by func(secret string) string) string {
	for _, pattern := range secrets {
		text = pattern.ReplaceAllStringFunc(text, func(found string) string {
			parts := pattern.FindStringSubmatch(found)
			rest := ""
			if len(parts) > 3 {
				rest = parts[3]
			}
			return parts[1] + by(parts[2]) + rest
		})
	}
	return text
}
