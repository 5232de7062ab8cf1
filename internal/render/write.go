package render

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write puts files below dir: directories 0700, files 0600, each file written whole beside its place, synced and
// renamed, then the directories synced. A crash leaves every file either old or new. dir is made if it is not there;
// other files in it stay.
func Write(dir string, files Files) error {
	dirs := map[string]bool{dir: true}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	for _, name := range sorted(files) {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("write %s: %q leads out of the directory", dir, name)
		}
		target := filepath.Join(dir, filepath.FromSlash(name))
		parent := filepath.Dir(target)
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return fmt.Errorf("write %s: %w", dir, err)
		}
		if err := writeFile(target, files[name]); err != nil {
			return fmt.Errorf("write %s: %w", dir, err)
		}
		for ; len(parent) >= len(dir) && !dirs[parent]; parent = filepath.Dir(parent) {
			dirs[parent] = true
		}
	}
	for _, d := range sorted(dirs) {
		if err := syncDir(d); err != nil {
			return fmt.Errorf("write %s: %w", dir, err)
		}
	}
	return nil
}

func writeFile(target string, content []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".tmp") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if _, err = tmp.Write(content); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), target)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync a directory; that is no reason to stop.
	var perr *fs.PathError
	if err := d.Sync(); err != nil && !errors.As(err, &perr) {
		return err
	}
	return nil
}
