package terraform

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a Log that keeps its lines.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Info(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func (r *recorder) wait(t *testing.T, what string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(r.String(), what); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q was never told; the story:\n%s", what, r)
		}
	}
}

// programs are the real terraform and tofu of this machine; TFBAKE_TEST_TOFU may name the latter.
func programs(t *testing.T) []Binary {
	t.Helper()
	var out []Binary
	for _, name := range []string{"terraform", os.Getenv("TFBAKE_TEST_TOFU")} {
		path, err := exec.LookPath(name)
		if name == "" || err != nil {
			continue
		}
		b, err := probe(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	if len(out) == 0 {
		t.Skip("no terraform in PATH")
	}
	return out
}

// write puts files into a fresh directory with an awkward name.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "it's a \"run\"")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// script makes a program that stands for terraform. It answers "version" and runs body for the rest.
func script(t *testing.T, body string) Binary {
	t.Helper()
	path := filepath.Join(t.TempDir(), "terraform")
	text := "#!/bin/sh\nif [ \"$1\" = version ]; then echo '{\"terraform_version\": \"1.11.4\"}'; exit 0; fi\n" + body
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return Binary{Path: path, Version: "1.11.4"}
}

func open(t *testing.T, b Binary, dir string, more ...func(*Options)) (*Terraform, *recorder) {
	t.Helper()
	log := &recorder{}
	o := Options{Binary: b, Dir: dir, Env: Environment(EnvOptions{Environ: os.Environ(), Dir: dir}), Log: log}
	for _, f := range more {
		f(&o)
	}
	tf, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tf, log
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
