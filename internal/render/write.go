package render

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/tfbake/tfbake/internal/atomicfile"
)

// Write puts files below dir: directories 0700, files 0600, each file written whole, then the directories synced. A crash
// leaves every file either old or new. dir is made if it is not there; other files in it stay.
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
		if err := atomicfile.Write(target, files[name], 0o600); err != nil {
			return fmt.Errorf("write %s: %w", dir, err)
		}
		for ; len(parent) >= len(dir) && !dirs[parent]; parent = filepath.Dir(parent) {
			dirs[parent] = true
		}
	}
	for _, d := range sorted(dirs) {
		if err := atomicfile.SyncDir(d); err != nil {
			return fmt.Errorf("write %s: %w", dir, err)
		}
	}
	return nil
}
