//go:build unix

package shared

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/statetest"
)

// The backend says nothing more while a run notes what it does: the second Ctrl-C ends that at once.
func TestHardEndsTheWaitForASilentBackend(t *testing.T) {
	t.Parallel()
	answers := statetest.New()
	var silent atomic.Bool
	asked, gone := make(chan struct{}, 100), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if silent.Load() {
			asked <- struct{}{}
			<-gone
			return
		}
		answers.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { close(gone); server.CloseClientConnections(); server.Close() })
	store := newStore(t, httpBackend(server.URL), answers.Environ()...)
	hard, stop := context.WithCancelCause(context.Background())
	store.Hard = hard
	run := newRun(t)
	h, err := store.Create(t.Context(), run, func(error) {})
	if err != nil {
		t.Fatal(err)
	}

	silent.Store(true)
	again := errors.New("Ctrl-C again")
	go func() { <-asked; stop(again) }()
	done := make(chan error, 2)
	go func() {
		done <- run.Begin(journal.Apply, nil)
		done <- h.Release(context.Background())
	}()
	for _, what := range []string{"begin", "release"} {
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%s: no error", what)
			}
		case <-time.After(callTimeout / 2):
			t.Fatalf("%s: still waiting for the backend", what)
		}
	}
	if _, _, err := store.Claim(t.Context(), run.Facts.RunID, ClaimOptions{}); !errors.Is(err, again) {
		t.Errorf("after that: %v", err)
	}
}
