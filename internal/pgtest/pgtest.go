//go:build unix

// Package pgtest starts a PostgreSQL of its own for a test: for Terraform's pg backend. It is imported by tests only.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a running PostgreSQL; it ends with the test.
type Server struct {
	Dir     string // of its socket
	ConnStr string // for PG_CONN_STR, password included
	// Password is that of the database's user, new each time, with what URLs must escape. No program holds it.
	Password string
	bin      string
}

// Start starts a server on a unix socket only, and skips the test where PostgreSQL is not installed.
func Start(t testing.TB) *Server {
	t.Helper()
	bin, err := find()
	if err != nil {
		t.Skipf("%s: apt-get install postgresql", err)
	}
	dir, err := os.MkdirTemp("", "tfbake-pg-") // not t.TempDir, whose parent an unprivileged user cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	attr := unprivileged(t, dir)
	data, pw := filepath.Join(dir, "data"), filepath.Join(dir, "pw")
	s := &Server{Dir: dir, Password: "p@ss/" + rand.Text(), bin: bin}
	if err := os.WriteFile(pw, []byte(s.Password+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "tfbake", "--auth=scram-sha-256", "--pwfile="+pw, "--no-sync", "--locale=C", "-E", "UTF8")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50")
	server.SysProcAttr, server.Dir, server.Stdout, server.Stderr = attr, dir, log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGQUIT) // at once
		server.Wait()
	})
	s.ConnStr = fmt.Sprintf("postgres://tfbake:%s@/postgres?%s", url.QueryEscape(s.Password), url.Values{"host": {dir}, "sslmode": {"disable"}}.Encode())
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := s.Query("select 1"); err == nil {
			return s
		} else if time.Now().After(end) {
			b, _ := os.ReadFile(log.Name())
			t.Fatalf("PostgreSQL does not answer: %v\n%s", err, b)
		}
	}
}

// Query runs one statement and returns its bare result.
func (s *Server) Query(sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "psql"), "-X", "-A", "-t", "-h", s.Dir, "-U", "tfbake", "-d", "postgres", "-c", sql)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+s.Password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// find returns the directory of initdb and postgres: Debian's, or one in PATH.
func find() (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	slices.Reverse(dirs)
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, path)
	}
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(filepath.Dir(d), "postgres")); err == nil {
			return filepath.Dir(d), nil
		}
	}
	return "", fmt.Errorf("PostgreSQL is not installed")
}

// unprivileged: postgres refuses to run as root.
func unprivileged(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	t.Skip("PostgreSQL does not run as root, and there is no other user")
	return nil
}
