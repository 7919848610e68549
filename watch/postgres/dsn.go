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

// connConfig reads the connection string; a dead peer is noticed early.
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
	config.RuntimeParams["client_encoding"] = "UTF8" // whatever the database's own is
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3},
		Control:         userTimeout,
	}
	config.DialFunc = dialer.DialContext
	return config, nil
}

// dsnKeywords are those of a connection string. What else stands in one is a setting for the server, such as search_path.
var dsnKeywords = []string{
	"host", "port", "user", "password", "dbname", "passfile", "service", "servicefile", "connect_timeout",
	"application_name", "options",
	"target_session_attrs", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslpassword", "sslsni", "sslnegotiation",
}

// unknownKeyword finds a keyword that was taken for a setting: the server would tell of it only behind what it is missed for.
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
