package store

import (
	"context"
	"database/sql/driver"
)

// keepStatements is the maximum number of idle prepared statements that a connection keeps. The package has fewer
// statements with a fixed text; the limit is for generated texts.
const keepStatements = 256

// connector opens connections that cache prepared statements, keyed by their text. SQLite takes longer to parse and
// plan one of our statements than to run it: without the cache, the first read of a table of 200,000 rows handles
// 14,000 rows a second instead of 23,000 on two cores (BenchmarkBacklog). sql.Stmt cannot be used instead: it is
// prepared on a connection outside the transaction, and the writer has only one connection.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{sqliteConn: inner.(sqliteConn), idle: map[string][]sqliteStmt{}}, nil
}

// sqliteConn has the methods of the driver's connections that database/sql uses. The driver's direct ExecContext and
// QueryContext are left out, so that every statement uses PrepareContext.
type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// conn is one connection with its idle prepared statements. database/sql serializes its use.
type conn struct {
	sqliteConn
	idle map[string][]sqliteStmt // by text; several if a text was needed again while its statement was in use
	kept int
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if list := c.idle[query]; len(list) > 0 {
		last := len(list) - 1
		c.idle[query] = list[:last]
		c.kept--
		return &stmt{sqliteStmt: list[last], conn: c, query: query}, nil
	}
	inner, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &stmt{sqliteStmt: inner.(sqliteStmt), conn: c, query: query}, nil
}

func (c *conn) Close() error {
	for _, list := range c.idle {
		for _, s := range list {
			_ = s.Close() // an error shows when the connection itself is closed
		}
	}
	clear(c.idle)
	return c.sqliteConn.Close()
}

// stmt is a prepared statement that Close returns to its connection's cache. The driver has already reset it by then.
type stmt struct {
	sqliteStmt
	conn  *conn
	query string
}

func (s *stmt) Close() error {
	if s.conn.kept >= keepStatements {
		return s.sqliteStmt.Close()
	}
	s.conn.idle[s.query] = append(s.conn.idle[s.query], s.sqliteStmt)
	s.conn.kept++
	return nil
}
