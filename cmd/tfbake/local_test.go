//go:build unix

package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tfbake/tfbake/internal/localcloud"
)

func TestLocalResetSaysWhatItDid(t *testing.T) {
	t.Parallel()
	v := &victim{t: t, dir: t.TempDir()}
	dir := filepath.Join(v.dir, "cloud")
	cloud, err := localcloud.Start(context.Background(), localcloud.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	v.cloud = cloud
	for _, c := range []struct {
		code int
		says string
	}{{exitFailed, "nothing was deleted: "}, {exitOK, "deleted the simulated cloud in " + dir}, {exitUsage, "nothing was deleted"}} {
		if r := v.finish(v.command("local", "reset", "-dir", dir)); r.code != c.code || strings.Count(r.stderr, c.says) != 1 || strings.Count(r.stderr, "in use by") > 1 {
			t.Errorf("exit code %d, want %d and %q:\n%s", r.code, c.code, c.says, r.stderr)
		}
		cloud.Close() // for the next one; the third finds nothing
	}
}
