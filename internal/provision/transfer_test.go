//go:build unix

package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
)

// eachMethod runs test over SFTP and over SCP (where this machine has scp, whose other side it then is).
func eachMethod(t *testing.T, test func(t *testing.T, c Communicator, s *testServer)) {
	for _, m := range []struct {
		name   string
		method string
		server func(*testServer)
	}{
		{"sftp", "", func(*testServer) {}},
		{"scp", "scp", func(*testServer) {}},
		{"scp as fallback", "", func(s *testServer) { s.noSFTP = true }},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("scp"); err != nil && m.name != "sftp" {
				t.Skip("no scp here")
			}
			s := startServer(t, m.server)
			test(t, connect(t, s, config.Communicator{FileTransferMethod: m.method}), s)
		})
	}
}

func TestUploadAndDownload(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, c Communicator, _ *testServer) {
		dir := t.TempDir()
		big := make([]byte, 3<<20+17)
		for i := range big {
			big[i] = byte(rand.Uint32())
		}
		for _, f := range []struct {
			name string
			data []byte
			size int64
			mode fs.FileMode
			want fs.FileMode
		}{
			{"small.txt", []byte("hello\n"), 6, 0o600, 0o600},
			{"script", []byte("#!/bin/sh\n"), 10, 0o755, 0o755},
			{"empty", nil, 0, 0o640, 0o640},
			{"size unknown", []byte("streamed"), -1, 0o644, 0o644},
			{"it's a $(name) ; with * things", []byte("x"), 1, 0o644, 0o644},
			{"한글", []byte("y"), 1, 0o644, 0o644},
			{"big", big, int64(len(big)), 0o444, 0o444},
		} {
			to := filepath.Join(dir, f.name)
			if err := c.Upload(t.Context(), to, bytes.NewReader(f.data), f.size, f.mode); err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			got, err := os.ReadFile(to)
			if err != nil || !bytes.Equal(got, f.data) {
				t.Errorf("%s: %d bytes arrived of %d, %v", f.name, len(got), len(f.data), err)
			}
			if info, _ := os.Stat(to); info.Mode() != f.want {
				t.Errorf("%s: mode %v, want %v", f.name, info.Mode(), f.want)
			}
			var back bytes.Buffer
			if err := c.Download(t.Context(), to, &back); err != nil || !bytes.Equal(back.Bytes(), f.data) {
				t.Errorf("%s: %d bytes came back of %d, %v", f.name, back.Len(), len(f.data), err)
			}
		}
		// A shorter file over a longer one.
		if err := c.Upload(t.Context(), dir+"/big2", bytes.NewReader(big), int64(len(big)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := c.Upload(t.Context(), dir+"/big2", strings.NewReader("short"), 5, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(dir + "/big2"); string(got) != "short" {
			t.Errorf("%d bytes are left", len(got))
		}

		err := c.Upload(t.Context(), dir+"/none/x", strings.NewReader("x"), 1, 0)
		if err == nil || errors.Is(err, errConnection) || !strings.Contains(err.Error(), dir+"/none") {
			t.Errorf("into a directory that is not there: %v", err)
		}
		if err := c.Download(t.Context(), dir+"/absent", io.Discard); err == nil || !strings.Contains(err.Error(), "absent") {
			t.Errorf("download of nothing: %v", err)
		}
		if err := c.Download(t.Context(), dir, io.Discard); err == nil {
			t.Error("download of a directory as a file")
		}
	})
}

// tree lists the files below dir with mode and content.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			lines = append(lines, rel+"/")
			return nil
		}
		text, err := os.ReadFile(p)
		lines = append(lines, fmt.Sprintf("%s %o %s", rel, info.Mode().Perm(), text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func makeTree(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	for name, mode := range map[string]fs.FileMode{"a.txt": 0o644, "bin/run": 0o755, "etc/deep/er/secret": 0o600, ".hidden": 0o640, "sp ace/it's": 0o644} {
		os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content of "+name), mode); err != nil {
			t.Fatal(err)
		}
	}
	os.Mkdir(filepath.Join(dir, "empty"), 0o755)
	return dir
}

func TestDirectories(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, c Communicator, _ *testServer) {
		src := makeTree(t)
		want := tree(t, src)
		os.Symlink("a.txt", filepath.Join(src, "link"))
		os.Symlink(".", filepath.Join(src, "loop"))
		remote := filepath.Join(t.TempDir(), "new", "place")
		os.MkdirAll(remote, 0o755)
		if err := c.UploadDir(t.Context(), remote, src); err != nil {
			t.Fatal(err)
		}
		if err := c.UploadDir(t.Context(), remote, src+"/"); err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{filepath.Join(remote, "app"), remote} {
			if text, _ := os.ReadFile(filepath.Join(got, "link")); string(text) != "content of a.txt" {
				t.Errorf("%s: link was not followed: %q", got, text)
			}
			os.Remove(filepath.Join(got, "link"))
			os.RemoveAll(filepath.Join(got, "loop"))
		}
		if got := tree(t, filepath.Join(remote, "app")); got != want {
			t.Errorf("without a slash:\n%s\nwant\n%s", got, want)
		}
		os.RemoveAll(filepath.Join(remote, "app"))
		if got := tree(t, remote); got != want {
			t.Errorf("with a slash:\n%s\nwant\n%s", got, want)
		}

		back := t.TempDir()
		if err := c.DownloadDir(t.Context(), remote, back); err != nil {
			t.Fatal(err)
		}
		if got := tree(t, filepath.Join(back, "place")); got != want {
			t.Errorf("back without a slash:\n%s\nwant\n%s", got, want)
		}
		back = filepath.Join(t.TempDir(), "made")
		if err := c.DownloadDir(t.Context(), remote+"/", back); err != nil {
			t.Fatal(err)
		}
		if got := tree(t, back); got != want {
			t.Errorf("back with a slash:\n%s\nwant\n%s", got, want)
		}
		back = t.TempDir()
		if err := c.DownloadDir(t.Context(), remote+"/*.txt", back); err != nil {
			t.Fatal(err)
		}
		if got := tree(t, back); got != "./\na.txt 644 content of a.txt" {
			t.Errorf("by pattern:\n%s", got)
		}
		if err := c.DownloadDir(t.Context(), remote+"/*.none", back); err == nil {
			t.Error("a pattern that matches nothing gives no error")
		}
	})
}

// A directory goes into a destination that exists, and becomes one that does not; with the method sftp it goes into it
// always. A retry finds the destination that the attempt before it made.
func TestDirectoryDestination(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method string
		noSFTP       bool
		exists       bool
		want         string
	}{
		{"left open", "", false, false, "a.txt"}, {"left open, existing", "", false, true, "app/a.txt"},
		{"no sftp", "", true, false, "a.txt"}, {"no sftp, existing", "", true, true, "app/a.txt"},
		{"scp", "scp", false, false, "a.txt"}, {"scp, existing", "scp", false, true, "app/a.txt"},
		{"sftp", "sftp", false, false, "app/a.txt"}, {"sftp, existing", "sftp", false, true, "app/a.txt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("scp"); err != nil && (c.method == "scp" || c.noSFTP) {
				t.Skip("no scp here")
			}
			s := startServer(t, func(s *testServer) { s.noSFTP = c.noSFTP })
			comm := connect(t, s, config.Communicator{FileTransferMethod: c.method})
			src, remote := makeTree(t), filepath.Join(t.TempDir(), "new", "place")
			if c.exists {
				os.MkdirAll(remote, 0o755)
			}
			files, err := listDir(src)
			if err != nil {
				t.Fatal(err)
			}
			// An attempt that breaks off in the middle.
			broken := errors.New("broken off")
			key := src + "\x00" + remote
			err = comm.(*sshComm).placeDir(key, src, files, func() (bool, error) { return c.exists, nil }, func([]localFile) error {
				os.MkdirAll(remote, 0o755)
				return broken
			})
			if !errors.Is(err, broken) {
				t.Fatal(err)
			}
			if err := comm.UploadDir(t.Context(), remote, src); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(remote, c.want)); err != nil {
				t.Errorf("%v:\n%s", err, tree(t, remote))
			}
			// Now it exists.
			if err := comm.UploadDir(t.Context(), remote, src); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(remote, "app/a.txt")); err != nil {
				t.Errorf("the second time: %v", err)
			}
		})
	}
}

func TestTransferCancelled(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, c Communicator, _ *testServer) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := c.Upload(ctx, filepath.Join(t.TempDir(), "f"), endless{}, 1<<40, 0o644)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 20*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		if out, _ := runLine(t, c, "echo alive"); out != "alive\n" {
			t.Errorf("the connection is gone: %q", out)
		}
	})
}

// endless gives zeros, slowly.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return min(len(p), 1000), nil
}

func TestTransferConnectionLost(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, c Communicator, s *testServer) {
		to := filepath.Join(t.TempDir(), "f")
		whenThere(t, to, s.cut)
		err := c.Upload(t.Context(), to, endless{}, 1<<40, 0o644)
		if !errors.Is(err, errConnection) {
			t.Errorf("got %v", err)
		}
	})
}

// A server may not choose where its files go on our machine.
func TestSCPRefusesNames(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{"C0644 1 ../evil\nx\x00", "C0644 1 /etc/evil\nx\x00", "C0644 -1 x\n", "D0755 0 ..\n", "E\n", "C0644 1 a/b\nx\x00", "Cx 1 b\n"} {
		s := startServer(t, func(s *testServer) {
			s.exec = func(line string, stdin io.Reader, out, _ io.Writer) (int, bool) {
				if !strings.HasPrefix(line, "scp ") {
					return 0, false
				}
				io.ReadFull(stdin, make([]byte, 1))
				io.WriteString(out, sent)
				go io.Copy(io.Discard, stdin)
				time.Sleep(100 * time.Millisecond) // until our side has done what it will
				return 0, true
			}
		})
		c := connect(t, s, config.Communicator{FileTransferMethod: "scp"})
		dir := t.TempDir()
		if err := c.DownloadDir(t.Context(), "/srv", filepath.Join(dir, "in")); err == nil {
			t.Errorf("%q is taken", sent)
		}
		if got := tree(t, dir); got != "./" && got != "./\nin/" {
			t.Errorf("%q made %q", sent, got)
		}
	}
}

func TestSCPTalkativeShell(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(s *testServer) {
		s.exec = func(line string, stdin io.Reader, out, _ io.Writer) (int, bool) {
			io.WriteString(out, "Welcome to the server!\n")
			return 0, strings.HasPrefix(line, "scp ")
		}
	})
	c := connect(t, s, config.Communicator{FileTransferMethod: "scp"})
	err := c.Upload(t.Context(), "/tmp/x", strings.NewReader("x"), 1, 0)
	if err == nil || !strings.Contains(err.Error(), `prints "Welcome to the server!"`) {
		t.Errorf("got %v", err)
	}
}

func TestShellPath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/tmp/script_1.sh": "/tmp/script_1.sh",
		"/tmp/a b":         "'/tmp/a b'",
		"~/it's":           `~/'it'\''s'`,
		"-rf":              "./-rf",
		`C:\x\y`:           `C:\x\y`,
		`a\b`:              `'a\b'`,
		"한글":               "'한글'",
	} {
		if got := shellPath(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	out, err := exec.Command("/bin/sh", "-c", "cd "+shellQuote(t.TempDir())+"; touch a1 'b 1' 'c$1'; echo "+shellPattern("*[1]")+" "+shellPattern("b *")+" "+shellPattern("c$?")).Output()
	if err != nil || string(out) != "a1 b 1 c$1 b 1 c$1\n" {
		t.Errorf("patterns give %q, %v", out, err)
	}
}
