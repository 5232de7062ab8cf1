//go:build unix

package tempdir

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const childEnv = "TFBAKE_TEST_TEMPDIR"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" { // a process that dies without removing its directory
		if _, _, err := Make(); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestDeadProcessesLeaveNoDirectory(t *testing.T) {
	root := t.TempDir()
	t.Setenv("TMPDIR", root)
	mine, remove, err := Make()
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(mine); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st, err)
	}
	other := filepath.Join(root, prefix+"of-somebody-else")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	count := func() int {
		dirs, _ := filepath.Glob(filepath.Join(root, "*"))
		return len(dirs)
	}
	if sweep(time.Now().Add(-youngest)); count() != 3 {
		t.Errorf("%d directories; one that was made a moment ago may not be locked yet", count())
	}
	sweep(time.Now().Add(time.Minute))
	if _, err := os.Stat(mine); err != nil || count() != 2 {
		t.Errorf("%d directories, mine: %v; want mine and %s", count(), err, other)
	}
	remove()
	remove()
	if _, err := os.Stat(mine); err == nil {
		t.Error("it is left")
	}
}
