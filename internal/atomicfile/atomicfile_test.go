package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "a"), filepath.Join(dir, "link")
	if err := Write(name, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(name); runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("a new file has the mode %v", st.Mode())
	}
	if err := errors.Join(os.Chmod(name, 0o640), os.Symlink("a", link)); err != nil {
		t.Fatal(err)
	}
	if err := Write(link, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(name); string(b) != "two" {
		t.Errorf("through the link: %q", b)
	}
	if st, _ := os.Lstat(link); st.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is now %v", st.Mode())
	}
	if st, _ := os.Stat(name); runtime.GOOS != "windows" && st.Mode().Perm() != 0o640 {
		t.Errorf("the file that was there has the mode %v", st.Mode())
	}
	if err := Write(filepath.Join(dir, "no", "such"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a directory that is not there: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "d"), nil, 0o700); err == nil {
		t.Error("a directory was written over")
	}
	if files, _ := os.ReadDir(dir); len(files) != 3 {
		t.Errorf("something was left beside: %v", files)
	}
}

func TestSyncDir(t *testing.T) {
	if err := SyncDir(t.TempDir()); err != nil {
		t.Error(err)
	}
	if runtime.GOOS == "windows" {
		t.Skip("directories are not synced here")
	}
	failed := func(e syscall.Errno) error { return &fs.PathError{Op: "sync", Path: "/d", Err: e} } // as os.File.Sync says it
	for e, cannot := range map[syscall.Errno]bool{syscall.EINVAL: true, syscall.ENOTSUP: true, syscall.EIO: false, syscall.ENOSPC: false} {
		if cannotSync(failed(e)) != cannot {
			t.Errorf("%v: taken for a file system that cannot sync: %v", e, !cannot)
		}
	}
}
