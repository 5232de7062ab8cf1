// Package statetest is a server for terraform's http backend, for tests.
package statetest

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

const password = "hush-hush-hush"

// Server keeps a state, and its lock, under each path. The protocol is GET, POST, LOCK and UNLOCK of an address; LOCK of what
// is locked is 423 with the lock's description. Source: Terraform's internal/backend/remote-state/http.
type Server struct {
	URL      string
	Password string

	mu            sync.Mutex
	states, locks map[string]string
}

// New returns a server that is not listening: a handler.
func New() *Server {
	return &Server{Password: password, states: map[string]string{}, locks: map[string]string{}}
}

// Start returns a server that listens until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := New()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Environ is what terraform needs in its environment.
func (s *Server) Environ() []string {
	return []string{"TF_HTTP_USERNAME=me", "TF_HTTP_PASSWORD=" + s.Password}
}

// State returns a state.
func (s *Server) State(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states[path]
}

// SetState writes a state.
func (s *Server) SetState(path, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[path] = state
}

// SetLock locks a path, as one who died has left it.
func (s *Server) SetLock(path, description string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locks[path] = description
}

// Locked tells whether a path is locked.
func (s *Server) Locked(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locks[path] != ""
}

// Forget removes every state and lock below a path.
func (s *Server) Forget(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	below := func(path, _ string) bool { return strings.HasPrefix(path, prefix) }
	maps.DeleteFunc(s.states, below)
	maps.DeleteFunc(s.locks, below)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	key := r.URL.Path
	if _, given, _ := r.BasicAuth(); given != s.Password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch r.Method {
	case "GET":
		if s.states[key] == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, s.states[key])
	case "POST":
		s.states[key] = string(body)
	case "LOCK":
		if s.locks[key] != "" {
			w.WriteHeader(http.StatusLocked)
			io.WriteString(w, s.locks[key])
			return
		}
		s.locks[key] = string(body)
	case "UNLOCK":
		delete(s.locks, key)
	}
}
