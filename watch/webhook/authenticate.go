package webhook

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func (s *Handler) header() string { return cmp.Or(s.cfg.Header, "Authorization") }

// showsSecret reports whether the request contains the secret. The comparison takes constant time.
func (s *Handler) showsSecret(r *http.Request, secret []byte) bool {
	given := r.Header.Get(s.header())
	scheme, rest, ok := strings.Cut(given, " ") // schemes are case-insensitive (RFC 9110, 11.1)
	if ok && (strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token")) {
		given = strings.TrimLeft(rest, " ")
	}
	is, want := sha256.Sum256([]byte(given)), sha256.Sum256(secret)
	return subtle.ConstantTimeCompare(is[:], want[:]) == 1
}

// checkSigned refuses a request whose headers contain no signature, or a time too far from now. It does not need the
// body.
func checkSigned(h http.Header, now time.Time) error {
	stamp := h.Get("webhook-timestamp")
	if h.Get("webhook-id") == "" || stamp == "" || h.Get("webhook-signature") == "" {
		return errors.New("the headers webhook-id, webhook-timestamp and webhook-signature are needed")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return errors.New("webhook-timestamp is not a number of seconds")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > maxSkew || age < -maxSkew {
		return fmt.Errorf("webhook-timestamp differs from this machine's clock by %s, at most %s is accepted",
			age.Abs().Round(time.Second), maxSkew)
	}
	return nil
}

// verifyWebhook checks a signature according to the Standard Webhooks specification 1.0. A signature is the
// HMAC-SHA256 of "id.timestamp.body" in base64, after "v1,". The header may contain several signatures, separated by
// blanks; one must be valid.
func verifyWebhook(h http.Header, body, secret []byte) error {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.", h.Get("webhook-id"), h.Get("webhook-timestamp")) // a hash never fails to write
	mac.Write(body)
	want := mac.Sum(nil)
	for signature := range strings.FieldsSeq(h.Get("webhook-signature")) {
		encoded, ok := strings.CutPrefix(signature, "v1,")
		if !ok {
			continue
		}
		if got, err := base64.StdEncoding.DecodeString(encoded); err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return errors.New("the signature does not match the body and the secret")
}
