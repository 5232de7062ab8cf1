//go:build unix

package postprocess

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/redact"
	"github.com/tfbake/tfbake/internal/ui"
)

func options(t *testing.T, postProcessors string) (Options, *bytes.Buffer) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "bake.json")
	text := `{
"builders": [{"type": "ncloud", "access_key": "k", "secret_key": "s", "server_image_product_code": "SW.VSVR.OS.LNX64"}],
"post-processors": ` + postProcessors + `}`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tmpl, diags := config.Load(t.Context(), name, config.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	r := redact.New()
	r.Add("hunter22-secret")
	var story bytes.Buffer
	return Options{
		Sequences: tmpl.Builds[0].PostProcessors,
		Values: config.RunValues{BuildName: "web", BuilderType: "ncloud", RunUUID: "run-1", ID: "srv-1",
			ImageNo: "4711", ImageName: "my-image", Region: "KR", Platform: "vpc"},
		Story: ui.New(&story, r, ui.Options{}), Redactor: r, Dir: t.TempDir(),
		Now: func() time.Time { return time.Unix(1700000000, 0) },
	}, &story
}

func TestManifest(t *testing.T) {
	t.Parallel()
	o, story := options(t, `[{"type": "manifest", "output": "out/m.json", "custom_data": {"from": "{{build `+"`ID`"+`}}"}}]`)
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	second, _ := options(t, `[{"type": "manifest", "output": "out/m.json", "strip_time": true}]`)
	second.Dir, second.Values.RunUUID = o.Dir, "run-2"
	if err := Run(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(o.Dir + "/out/m.json")
	want := `{
  "builds": [
    {
      "name": "web",
      "builder_type": "ncloud",
      "build_time": 1700000000,
      "files": null,
      "artifact_id": "4711",
      "packer_run_uuid": "run-1",
      "custom_data": {
        "from": "srv-1"
      }
    },
    {
      "name": "web",
      "builder_type": "ncloud",
      "files": null,
      "artifact_id": "4711",
      "packer_run_uuid": "run-2",
      "custom_data": null
    }
  ],
  "last_run_uuid": "run-2"
}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(story.String(), "Running post-processor: manifest") {
		t.Error(story)
	}

	second.Force, second.Values.RunUUID = true, "run-3"
	if err := Run(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	got, _ = os.ReadFile(o.Dir + "/out/m.json")
	if strings.Count(string(got), "builder_type") != 1 {
		t.Errorf("-force keeps earlier runs:\n%s", got)
	}
	if left, _ := filepath.Glob(o.Dir + "/out/*"); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}

	os.WriteFile(o.Dir+"/out/m.json", []byte("[]"), 0o600)
	if err := Run(t.Context(), second); err == nil || !strings.Contains(err.Error(), "post-processor manifest (bake.json:3)") || !strings.Contains(err.Error(), "is not a manifest") {
		t.Errorf("got %v", err)
	}
}

func TestManifestTogether(t *testing.T) {
	t.Parallel()
	o, _ := options(t, `["manifest"]`)
	os.WriteFile(o.Dir+"/packer-manifest.json.lock", nil, 0o600)
	old := time.Now().Add(-time.Hour)
	os.Chtimes(o.Dir+"/packer-manifest.json.lock", old, old) // of a bake that died
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			o := o
			o.Story = nil
			o.Values.ImageNo = fmt.Sprint(i)
			if err := Run(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var m struct{ Builds []manifestBuild }
	text, _ := os.ReadFile(o.Dir + "/packer-manifest.json")
	if err := json.Unmarshal(text, &m); err != nil || len(m.Builds) != 12 {
		t.Errorf("%d builds are noted, %v", len(m.Builds), err)
	}
}

// Two bakes find a dead one's lock; the second must not remove the one that the first has made since.
func TestAFreshLockIsNotRemovedForAStaleOne(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	os.WriteFile(name, nil, 0o600)
	old := time.Now().Add(-time.Hour)
	os.Chtimes(name, old, old)
	found, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	removeStale(name, found)
	unlock, err := lockFile(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	removeStale(name, found)
	if _, err := os.Stat(name); err != nil {
		t.Errorf("the fresh lock: %v", err)
	}
	unlock()
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	o, _ := options(t, `[["manifest", {"type": "checksum", "checksum_types": ["md5", "sha256"], "output": "{{.BuildName}}.{{.ChecksumType}}"}]]`)
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	manifest, _ := os.ReadFile(o.Dir + "/packer-manifest.json")
	got, _ := os.ReadFile(o.Dir + "/web.sha256")
	if want := fmt.Sprintf("%x\tpacker-manifest.json\n", sha256.Sum256(manifest)); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, _ := os.ReadFile(o.Dir + "/web.md5"); len(got) != 32+1+len("packer-manifest.json\n") {
		t.Errorf("md5: %q", got)
	}
	o, _ = options(t, `[{"type": "checksum"}]`)
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "an image stays in the cloud") {
		t.Errorf("got %v", err)
	}
}

func TestShellLocal(t *testing.T) {
	t.Parallel()
	o, story := options(t, `[{"type": "shell-local", "inline": ["echo $PACKER_BUILD_NAME $TFBAKE_IMAGE_NO $TFBAKE_IMAGE_NAME $TFBAKE_REGION hunter22-secret; pwd"]}]`)
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if want := "web 4711 my-image KR " + redact.Mask; !strings.Contains(story.String(), want) || !strings.Contains(story.String(), o.Dir) {
		t.Errorf("the story lacks %q or %q:\n%s", want, o.Dir, story)
	}
}

// One sequence's failure does not keep the others from running; all failures are told.
func TestFailures(t *testing.T) {
	t.Parallel()
	o, _ := options(t, `[[{"type": "shell-local", "inline": ["exit 5"]}, {"type": "shell-local", "inline": ["touch never"]}],
		{"type": "shell-local", "inline": ["touch there; exit 6"]}]`)
	err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "exited with 5") || !strings.Contains(err.Error(), "exited with 6") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(o.Dir + "/never"); err == nil {
		t.Error("a sequence went on after a failure")
	}
	if _, err := os.Stat(o.Dir + "/there"); err != nil {
		t.Error("the second sequence did not run")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
