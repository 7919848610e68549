package text

import (
	"net/url"
	"slices"
	"strings"
)

// URL returns a URL without its password, and a NATS URL without its token, so that it may be shown. A text that is not
// a URL may contain a password too: everything before its last @ is removed.
func URL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		if at := strings.LastIndexByte(raw, '@'); at >= 0 {
			return "…" + raw[at:]
		}
		return raw
	}
	if _, password := u.User.Password(); u.User != nil && !password &&
		slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		u.User = url.User("xxxxx")
	}
	return u.Redacted()
}
