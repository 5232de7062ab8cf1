package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/tfbake/tfbake/internal/atomicfile"
	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
)

// manifestFile is Packer's manifest, which CI jobs read; key by key as Packer writes it.
type manifestFile struct {
	Builds      []json.RawMessage `json:"builds"` // earlier ones stay as they are, whoever wrote them
	LastRunUUID string            `json:"last_run_uuid"`
}

type manifestBuild struct {
	Name          string            `json:"name"`
	BuilderType   string            `json:"builder_type"`
	BuildTime     int64             `json:"build_time,omitempty"` // seconds since 1970
	Files         []struct{}        `json:"files"`                // null: an image is no file
	ArtifactID    string            `json:"artifact_id"`
	PackerRunUUID string            `json:"packer_run_uuid"`
	CustomData    map[string]string `json:"custom_data"`
}

const (
	lockWait  = 10 * time.Second // for another bake that writes the same manifest
	lockStale = time.Minute      // a lock so old was left by a bake that died
	lockQuiet = 2 * time.Second  // if it stays as it is for so long: the clock may have jumped, and a lock is held for an instant
)

// manifest adds the image to the manifest file. Builds that run at the same time, in this process or another, wait for
// each other through the lock file that Packer uses too.
func (o *Options) manifest(ctx context.Context, p *config.Manifest, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	unlock, err := lockFile(ctx, name+".lock")
	if err != nil {
		return err
	}
	defer unlock()

	var m manifestFile
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &m); err != nil {
			return fmt.Errorf("%s is not a manifest: %w; move it away or set another output", name, err)
		}
	}
	if o.Force && m.LastRunUUID != o.Values.RunUUID {
		m = manifestFile{}
	}
	build := manifestBuild{
		Name: o.Values.BuildName, BuilderType: o.Values.BuilderType, ArtifactID: o.Values.ImageNo,
		PackerRunUUID: o.Values.RunUUID, CustomData: p.CustomData,
	}
	if !p.StripTime {
		build.BuildTime = o.Now().Unix()
	}
	added, err := json.Marshal(build)
	if err != nil {
		return err
	}
	m.Builds, m.LastRunUUID = append(m.Builds, added), o.Values.RunUUID
	text, err = json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(name, text, 0o664); err != nil {
		return err
	}
	o.Story.Info("image %s noted in %s", o.Values.ImageNo, name)
	return nil
}

// lockFile makes the file name, waiting while another has it, and returns what removes it.
func lockFile(ctx context.Context, name string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	var seen, since time.Time
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			f.Close()
			return func() { os.Remove(name) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if info, err := os.Stat(name); err == nil {
			if !info.ModTime().Equal(seen) {
				seen, since = info.ModTime(), time.Now()
			}
			if clock.Now().Sub(seen).Abs() > lockStale && time.Since(since) > lockQuiet {
				removeStale(name, info)
			}
		}
		t := time.NewTimer(20 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("another bake holds %s: %w; remove the file if none is running", name, context.Cause(ctx))
		}
	}
}

// removeStale removes a lock that a dead bake left. Several may find it so at once: one after the other looks again whether it
// is still that file, lest the second remove the lock that the first has made anew.
func removeStale(name string, stale fs.FileInfo) {
	turn := flock.New(name, flock.SetFlag(os.O_RDWR))
	if ok, err := turn.TryLock(); err != nil || !ok {
		return
	}
	defer turn.Close()
	if now, err := os.Stat(name); err == nil && os.SameFile(now, stale) && now.ModTime().Equal(stale.ModTime()) {
		os.Remove(name)
	}
}
