package postprocess

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// TestManifestLockOfYesterday: the clock jumped while a bake holds the lock, which looks old, and is not broken for that.
func TestManifestLockOfYesterday(t *testing.T) {
	t.Parallel()
	for _, age := range []time.Duration{25 * time.Hour, -25 * time.Hour} {
		name := filepath.Join(t.TempDir(), "manifest.lock")
		unlock, err := lockFile(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(name, then, then); err != nil {
			t.Fatal(err)
		}
		var given atomic.Bool
		time.AfterFunc(200*time.Millisecond, func() { given.Store(true); unlock() })
		again, err := lockFile(t.Context(), name)
		if err != nil || !given.Load() {
			t.Fatalf("age %s: %v, given up %v", age, err, given.Load())
		}
		again()
	}
}
