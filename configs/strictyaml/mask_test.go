package strictyaml

import "testing"

func TestMasked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"dsn: postgres://u:secret@h/d":                   "dsn: postgres://u:***@h/d",
		"dsn: postgres://u:s@cr:t@h/d":                   "dsn: postgres://u:***@h/d",
		"dsn: postgres://u@h/d":                          "dsn: postgres://u@h/d",
		"dsn: host=h password=secret dbname=d":           "dsn: host=h password=*** dbname=d",
		"dsn: host=h password = secret":                  "dsn: host=h password = ***",
		`dsn: "host=h password='two words' dbname=d"`:    `dsn: "host=h password=*** dbname=d"`,
		`dsn: 'host=h password=''two words'' dbname=d'`:  `dsn: 'host=h password=*** dbname=d'`,
		`dsn: "host=h password='a\'s end' sslpassword=x`: `dsn: "host=h password=*** sslpassword=***`,
		"dsn: postgres://h/d?user=u&password=secret&x=y": "dsn: postgres://h/d?user=u&password=***&x=y",
		"nats: {url: nats://token@h:4222}":               "nats: {url: nats://***@h:4222}",
		"nats: {url: nats://u:secret@h:4222}":            "nats: {url: nats://u:***@h:4222}",
		"url: nats://h:4222,tls://h2:4222":               "url: nats://h:4222,tls://h2:4222",
		"classify: http://127.0.0.1:8082/classify":       "classify: http://127.0.0.1:8082/classify",
	} {
		if got := Masked(text, func(string) string { return "***" }); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}
