//go:build unix

package shared

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func init() { watchFor, noteLockFor = 50*time.Millisecond, 10*time.Second }

// TestClocksOfTwoMachines: whether another machine lives is not told by comparing its clock with ours: it may be wrong by any
// amount, in either direction. One that renews its note is left alone; one that does not is dead.
func TestClocksOfTwoMachines(t *testing.T) {
	t.Parallel()
	_, store := inObjectStorage(t)
	run := newRun(t)
	id := run.Facts.RunID
	h, err := store.Create(t.Context(), run, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	for ago, next := range map[time.Duration]time.Duration{
		25 * time.Hour:  25*time.Hour - time.Second,
		-25 * time.Hour: -24 * time.Hour, // its clock is set back while it is watched
	} {
		h.die(t, ago)
		beats := func(string, ...any) { h.die(t, next) }
		_, _, err := store.Claim(t.Context(), id, ClaimOptions{Say: beats, Wait: time.Second})
		if !errors.As(err, new(*BusyError)) || !strings.Contains(err.Error(), "runner-7") {
			t.Fatalf("a machine at work whose last sign of life seems %s ago: %v", ago, err)
		}
		if h, _, err = store.Claim(t.Context(), id, ClaimOptions{Say: t.Logf, Wait: time.Second}); err != nil {
			t.Fatalf("a silent machine whose last sign of life seems %s ago: %v", ago, err)
		}
	}
	if err := h.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
