// Package tempdir makes temporary directories that do not stay when their process is killed: the next one to make such a
// directory removes those of dead processes.
package tempdir

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

const (
	prefix = "tfbake-work-"
	// lockFile is in each directory, locked for as long as its process lives.
	lockFile = "tfbake.lock"
	// youngest is the age before which a directory is left alone: its process may not have locked it yet.
	youngest = time.Minute
)

// Make makes a directory that only this user can enter. remove removes it; it may be called twice.
func Make() (dir string, remove func(), err error) {
	sweep(time.Now().Add(-youngest))
	if dir, err = os.MkdirTemp("", prefix); err != nil {
		return "", nil, err
	}
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	_, _ = lock.TryLock() // where files cannot be locked, sweep cannot either
	return dir, sync.OnceFunc(func() {
		lock.Unlock()
		os.RemoveAll(dir)
	}), nil
}

// sweep removes the directories made before that moment whose process is dead. What is another user's stays.
func sweep(before time.Time) {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range dirs {
		file := filepath.Join(dir, lockFile)
		if st, err := os.Lstat(file); err != nil || !st.Mode().IsRegular() || st.ModTime().After(before) {
			continue
		}
		lock := flock.New(file, flock.SetFlag(os.O_RDWR))
		if ok, err := lock.TryLock(); err == nil && ok {
			lock.Unlock()
			os.RemoveAll(dir)
		}
	}
}
