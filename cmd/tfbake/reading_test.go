//go:build unix

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// One Ctrl-C ends a run that is still at its template, waiting for a data source.
func TestSignalWhileReading(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	asked := make(chan struct{}, 1)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)

	v := newVictim(t, "")
	text := `data "http" "slow" { url = "` + silent.URL + `" }` + "\n"
	if err := os.WriteFile(filepath.Join(v.dir, "bake.pkr.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := v.start("run", "bake.pkr.hcl")
	select {
	case <-asked:
	case <-p.done:
	}
	p.signal(syscall.SIGINT)
	select {
	case <-p.done:
	case <-time.After(httpDataTimeout * 2 / 3):
		t.Error("it goes on waiting for the data source")
	}
	if r := p.wait(); r.code != exitInterrupted {
		t.Errorf("exit code %d:\n%s", r.code, r.stderr)
	}
}
