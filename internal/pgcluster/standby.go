package pgcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Standby starts a second cluster that replicates this one and has the same settings. It returns when the second
// cluster accepts read connections. The caller must stop the second cluster.
func (c *Cluster) Standby(ctx context.Context) (*Cluster, error) {
	dir, err := shortTempDir(c.owner)
	if err != nil {
		return nil, fmt.Errorf("start a standby: %w", err)
	}
	s := &Cluster{options: c.options, bin: c.bin, dir: dir, owner: c.owner}
	if err := s.copyOf(ctx, c); err != nil {
		return nil, errors.Join(fmt.Errorf("start a standby: %w", err), os.RemoveAll(dir))
	}
	if err := s.Restart(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// copyOf fills the cluster's directory with a base backup of primary, and configures the cluster to replicate primary.
func (c *Cluster) copyOf(ctx context.Context, primary *Cluster) error {
	if c.owner != nil {
		if err := os.Chown(c.dir, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			return err
		}
	}
	// configure below appends the settings again, so that the socket is in this cluster's directory.
	if err := c.command(ctx, "pg_basebackup", "-D", c.data(), "-d", primary.DSN("postgres"), "-R", "-c", "fast", "-X",
		"stream", "--no-sync"); err != nil {
		return err
	}
	return c.configure()
}

// Promote makes a standby a primary with a new timeline and returns when it accepts writes.
func (c *Cluster) Promote(ctx context.Context) error {
	return c.command(ctx, "pg_ctl", "promote", "-D", c.data(), "-w", "-t", "30")
}

// command runs one of the server's programs as the server's owner.
func (c *Cluster) command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.Env = c.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
