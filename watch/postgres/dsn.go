package postgres

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/watch"
)

// connConfig parses the connection string, and adds settings that detect a dead peer early.
func connConfig(cfg *Config) (*pgx.ConnConfig, error) {
	dsn, err := cfg.connString()
	if err != nil {
		return nil, explain(cfg, err)
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, explain(cfg, err)
	}
	if err := unknownKeyword(cfg, config); err != nil {
		return nil, err
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "retraind"
	}
	config.RuntimeParams["client_encoding"] = "UTF8" // independent of the database's own encoding
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3},
		Control:         userTimeout,
	}
	config.DialFunc = dialer.DialContext
	return config, nil
}

// dsnKeywords are the keywords of a connection string. Any other word is passed to the server as a setting, such
// as search_path.
var dsnKeywords = []string{
	"host", "port", "user", "password", "dbname", "passfile", "service", "servicefile", "connect_timeout",
	"application_name", "options",
	"target_session_attrs", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslpassword", "sslsni", "sslnegotiation",
}

// unknownKeyword finds a misspelt keyword. pgx passes it to the server as a setting, and the server's error would not
// name the keyword that was meant.
func unknownKeyword(cfg *Config, config *pgx.ConnConfig) error {
	for _, key := range slices.Sorted(maps.Keys(config.RuntimeParams)) {
		if near := check.Nearest(key, dsnKeywords); near != "" && near != key && !slices.Contains(dsnKeywords, key) {
			return &watch.Fault{
				Key: cfg.dsnKey(), Cause: fmt.Sprintf("the connection string has an unknown keyword %q", key),
				Cure: fmt.Sprintf("did you mean %q? correct it in %s", near, cfg.dsnPlace()), Permanent: true,
			}
		}
	}
	return nil
}
