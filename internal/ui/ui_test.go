package ui

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

type hide string

func (h hide) String(s string) string { return strings.ReplaceAll(s, string(h), "<sensitive>") }

func TestLines(t *testing.T) {
	var out, log bytes.Buffer
	now := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	s := New(&out, hide("pw123"), Options{Now: now}).Named("web")
	stop := s.Tee(&log)
	s.Say("connecting with %s", "pw123")
	s.Info("one\ntwo")
	stop()
	s.Error("100%% lost")
	want := "==> web: connecting with <sensitive>\n    web: one\n    web: two\n==> web: 100% lost\n"
	if out.String() != want {
		t.Errorf("shown\n%s\nwant\n%s", out.String(), want)
	}
	if want := "2026-01-02T03:04:05Z ==> connecting with <sensitive>\n2026-01-02T03:04:05Z     one\n2026-01-02T03:04:05Z     two\n"; log.String() != want {
		t.Errorf("logged\n%s\nwant\n%s", log.String(), want)
	}
}

func TestWriterShowsLinesWhole(t *testing.T) {
	var out bytes.Buffer
	w := New(&out, nil, Options{}).Writer()
	for _, chunk := range []string{"a", "b\nc", "d\r\n", "e"} {
		io.WriteString(w, chunk)
	}
	w.Close()
	if want := "    ab\n    cd\n    e\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("closed") }

func TestAClosedTerminalStopsNothing(t *testing.T) {
	s := New(broken{}, nil, Options{})
	if _, err := s.Writer().Write([]byte("x\n")); err != nil {
		t.Error(err)
	}
	var nobody *Story
	nobody.Say("nothing")
	nobody.Named("x").Error("nothing")
	nobody.Tee(io.Discard)()
}

func TestBuildsDoNotMixLines(t *testing.T) {
	var out bytes.Buffer
	s := New(&out, nil, Options{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 50 {
				s.Named(fmt.Sprint("b", i)).Info("line of %d", i)
			}
		})
	}
	wg.Wait()
	for _, l := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		var a, b int
		if n, _ := fmt.Sscanf(l, "    b%d: line of %d", &a, &b); n != 2 || a != b {
			t.Fatalf("mixed line %q", l)
		}
	}
}
