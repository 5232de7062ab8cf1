package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// openLog starts the detailed log that PACKER_LOG or TFBAKE_LOG asks for: everything that is told, with the time, and every
// call of the API. It goes to the file of PACKER_LOG_PATH or TFBAKE_LOG_PATH, else to standard error, where the telling is
// already. The returned function ends it.
func (a *app) openLog(args []string) (end func(code int), err error) {
	end = func(int) {}
	on := a.firstEnv("TFBAKE_LOG", "PACKER_LOG")
	if on == "" || on == "0" {
		return end, nil
	}
	path := a.firstEnv("TFBAKE_LOG_PATH", "PACKER_LOG_PATH")
	l := &debugLog{w: a.stderr, redact: a.redact.String}
	close := func() error { return nil }
	if path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return end, fmt.Errorf("the log of PACKER_LOG_PATH: %w", err)
		}
		l.w, close = f, f.Close
		a.stderr = io.MultiWriter(a.stderr, &logLines{l: l})
	}
	a.log = l
	command := ""
	if len(args) > 0 {
		command = args[0] // the rest may hold -var secret=…
	}
	l.printf("tfbake %s: %s in %s", toolVersion(), command, a.cwd)
	return func(code int) {
		l.printf("exit code %d", code)
		_ = close() // there is nobody left to tell
	}, nil
}

func (a *app) firstEnv(names ...string) string {
	for _, n := range names {
		if v := a.getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// debugLog writes lines with the time. A nil one is silent. A full disk must not stop a bake: write errors are ignored.
type debugLog struct {
	mu     sync.Mutex
	w      io.Writer
	redact func(string) string
}

func (l *debugLog) printf(format string, args ...any) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "%s %s\n", time.Now().UTC().Format("2006/01/02 15:04:05.000"), l.redact(fmt.Sprintf(format, args...)))
}

// logLines logs each finished line written to it.
type logLines struct {
	l    *debugLog
	mu   sync.Mutex
	part string
}

func (w *logLines) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.part += string(p)
	for {
		line, rest, found := strings.Cut(w.part, "\n")
		if !found {
			return len(p), nil
		}
		w.l.printf("%s", line)
		w.part = rest
	}
}

// loggedCalls logs the calls of the API: what was asked, what came back, how long it took. Neither parameters nor answers,
// which may hold keys and passwords.
type loggedCalls struct {
	http.RoundTripper
	l *debugLog
}

func (t loggedCalls) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := t.RoundTripper.RoundTrip(r)
	status := "no answer"
	if err == nil {
		status = resp.Status
	}
	t.l.printf("api: %s %s: %s in %s", r.Method, r.URL.Path, status, time.Since(began).Round(time.Millisecond))
	return resp, err
}

// transport is the API client's: nil, its own, where nothing is logged.
func (l *debugLog) transport() http.RoundTripper {
	if l == nil {
		return nil
	}
	return loggedCalls{http.DefaultTransport.(*http.Transport).Clone(), l}
}

// CloseIdleConnections is for the client's Close.
func (t loggedCalls) CloseIdleConnections() {
	if c, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
