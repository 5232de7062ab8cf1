package provision

// The SCP protocol (that of rcp, which has no specification but OpenSSH's scp.c): a line announces a file or directory,
// the other side answers each with a zero byte, or with 1 or 2 and a message.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// scp is one conversation with scp on the server.
type scp struct {
	w io.WriteCloser
	r *bufio.Reader
}

// withSCP runs scp on the server with args, and do as its other side.
func (s *sshComm) withSCP(ctx context.Context, args string, do func(scp) error) error {
	sess, conn, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer sess.Close()
	stop := context.AfterFunc(ctx, func() { sess.Close() })
	defer stop()
	w, err := sess.StdinPipe()
	if err != nil {
		return err
	}
	r, err := sess.StdoutPipe()
	if err != nil {
		return err
	}
	var said limitedBuffer
	sess.Stderr = &said
	if err := sess.Start("scp " + args); err != nil {
		return err
	}
	err = do(scp{w, bufio.NewReader(r)})
	w.Close()
	io.Copy(io.Discard, r)
	ended := sess.Wait()
	if err == nil && ended == nil {
		return nil
	}
	var exit *ssh.ExitError
	if errors.As(ended, &exit) && exit.ExitStatus() == 127 {
		return fmt.Errorf("the server has no scp: %s", said.String())
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if text := said.String(); text != "" {
			return fmt.Errorf("scp: %s", text)
		}
		if !conn.alive() {
			return fmt.Errorf("scp: the connection was lost: %w", io.ErrUnexpectedEOF)
		}
		if err == nil {
			err = ended
		}
	}
	return fmt.Errorf("scp: %w", err)
}

// send writes what is announced and waits for the other side's word.
func (c scp) send(format string, args ...any) error {
	if _, err := fmt.Fprintf(c.w, format, args...); err != nil {
		return errors.Join(c.answer(), err)
	}
	return c.answer()
}

func (c scp) ok() error {
	_, err := c.w.Write([]byte{0})
	return err
}

func (c scp) answer() error {
	b, err := c.r.ReadByte()
	if err != nil || b == 0 {
		return err
	}
	return c.message(b)
}

// message reads the text after a 1 or 2; anything else is not the protocol, but what a login script prints.
func (c scp) message(first byte) error {
	line, err := c.r.ReadString('\n')
	if first == 1 || first == 2 {
		return errors.New(strings.TrimPrefix(strings.TrimSpace(line), "scp: "))
	}
	if err != nil && line == "" {
		return err
	}
	return fmt.Errorf("the server's shell prints %q where scp should speak; its startup files must be silent", strings.TrimSpace(string(first)+line))
}

func (c scp) sendFile(name string, r io.Reader, size int64, mode fs.FileMode) error {
	if err := c.send("C%04o %d %s\n", unixMode(mode), size, name); err != nil {
		return err
	}
	if _, err := io.CopyN(c.w, r, size); err != nil {
		return fmt.Errorf("send %s: %w", name, err)
	}
	return c.send("\x00")
}

// unixMode returns the twelve bits of a mode; 0644 where there is none.
func unixMode(m fs.FileMode) uint32 {
	if m == 0 {
		return 0o644
	}
	bits := uint32(m.Perm())
	for i, b := range []fs.FileMode{fs.ModeSticky, fs.ModeSetgid, fs.ModeSetuid} {
		if m&b != 0 {
			bits |= 0o1000 << i
		}
	}
	return bits
}

func (s *sshComm) scpUpload(ctx context.Context, dst string, r io.Reader, size int64, mode fs.FileMode) error {
	if size < 0 {
		// The protocol announces the size first.
		spool, err := os.CreateTemp("", "tfbake-upload-")
		if err != nil {
			return err
		}
		defer os.Remove(spool.Name())
		defer spool.Close()
		if size, err = io.Copy(spool, r); err != nil {
			return err
		}
		if _, err := spool.Seek(0, io.SeekStart); err != nil {
			return err
		}
		r = spool
	}
	// Into the directory, so that a destination that is a directory itself is an error as with SFTP.
	return s.withSCP(ctx, "-d -t "+shellPath(scpDir(dst)), func(c scp) error {
		if err := c.answer(); err != nil {
			return err
		}
		return c.sendFile(path.Base(dst), r, size, mode)
	})
}

// scpDir is the directory of a file on the server; that of "~/x" stays "~/", which the shell knows.
func scpDir(dst string) string {
	if dir := path.Dir(dst); dir != "~" {
		return dir
	}
	return "~/"
}

func (s *sshComm) scpUploadDir(ctx context.Context, dst string, files []localFile) error {
	var out limitedBuffer
	if exit, err := s.Run(ctx, Command{Line: "mkdir -p " + shellPath(dst), Stdout: &out, Stderr: &out}); err != nil || exit != 0 {
		if err == nil {
			err = fmt.Errorf("make directory %s: exit code %d: %s", dst, exit, out.String())
		}
		return err
	}
	return s.withSCP(ctx, "-r -t "+shellPath(dst), func(c scp) error {
		if err := c.answer(); err != nil {
			return err
		}
		var open []string // directories entered
		leave := func(until int) error {
			for len(open) > until {
				if err := c.send("E\n"); err != nil {
					return err
				}
				open = open[:len(open)-1]
			}
			return nil
		}
		for _, f := range files {
			// Directories come before their contents, so leaving never has to enter one anew.
			depth := strings.Count(f.rel, "/")
			if err := leave(depth); err != nil {
				return err
			}
			if f.mode.IsDir() {
				if err := c.send("D%04o 0 %s\n", unixMode(f.mode), path.Base(f.rel)); err != nil {
					return fmt.Errorf("%s: %w", f.path, err)
				}
				open = append(open, f.rel)
				continue
			}
			err := f.open(func(r io.Reader, size int64) error { return c.sendFile(path.Base(f.rel), r, size, f.mode) })
			if err != nil {
				return fmt.Errorf("%s: %w", f.path, err)
			}
		}
		return leave(0)
	})
}

func (s *sshComm) scpDownload(ctx context.Context, src string, w io.Writer) error {
	got := false
	err := s.withSCP(ctx, "-f "+shellPath(src), func(c scp) error {
		return c.receive(func(name string, mode fs.FileMode, r io.Reader) error {
			if got {
				return fmt.Errorf("the server sends more than one file for %s", src)
			}
			got = true
			_, err := io.Copy(w, r)
			return err
		}, nil)
	})
	if err == nil && !got {
		return fmt.Errorf("the server sends no file for %s", src)
	}
	return err
}

func (s *sshComm) scpDownloadDir(ctx context.Context, src, dst string) error {
	from := shellPath(src)
	if isPattern(src) {
		from = shellPattern(src)
	} else if strings.HasSuffix(src, "/") {
		from = shellPath(path.Clean(src))
	}
	strip := !isPattern(src) && strings.HasSuffix(src, "/") // the directory's own name
	return s.withSCP(ctx, "-r -f "+from, func(c scp) error {
		dirs := []string{dst}
		return c.receive(
			func(name string, mode fs.FileMode, r io.Reader) error {
				return writeFile(filepath.Join(dirs[len(dirs)-1], name), mode, func(w io.Writer) error {
					_, err := io.Copy(w, r)
					return err
				})
			},
			func(name string) error {
				if name == "" {
					if len(dirs) == 1 {
						return errors.New("the server leaves a directory it has not entered")
					}
					dirs = dirs[:len(dirs)-1]
					return nil
				}
				dir := filepath.Join(dirs[len(dirs)-1], name)
				if strip && len(dirs) == 1 {
					dir = dst
				}
				dirs = append(dirs, dir)
				return os.MkdirAll(dir, 0o755)
			})
	})
}

// receive takes what the server sends: file gets each file; dir gets each directory's name as it begins and "" as it
// ends, or is nil where none may come.
func (c scp) receive(file func(name string, mode fs.FileMode, r io.Reader) error, dir func(name string) error) error {
	if err := c.ok(); err != nil {
		return err
	}
	for {
		kind, err := c.r.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch kind {
		case 'C', 'D', 'E', 'T':
		default:
			return c.message(kind)
		}
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		switch kind {
		case 'C':
			mode, size, name, err := announced(line)
			if err != nil {
				return err
			}
			if err := c.ok(); err != nil {
				return err
			}
			body := io.LimitReader(c.r, size)
			if err := file(name, mode, body); err != nil {
				return err
			}
			if left, _ := io.Copy(io.Discard, body); left > 0 {
				return fmt.Errorf("%d bytes of %s were not taken", left, name)
			}
			if err := c.answer(); err != nil {
				return err
			}
		case 'D':
			_, _, name, err := announced(line)
			if err != nil {
				return err
			}
			if dir == nil {
				return fmt.Errorf("%s is a directory on the server; end the source with a slash to download its contents", name)
			}
			if err := dir(name); err != nil {
				return err
			}
		case 'E':
			if dir == nil {
				return errors.New("the server leaves a directory it has not entered")
			}
			if err := dir(""); err != nil {
				return err
			}
		}
		if err := c.ok(); err != nil {
			return err
		}
	}
}

// announced reads "0644 123 name".
func announced(line string) (fs.FileMode, int64, string, error) {
	wrong := fmt.Errorf("the server announces a file as %q", line)
	mode, rest, ok1 := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	size, name, ok2 := strings.Cut(rest, " ")
	m, err1 := strconv.ParseUint(mode, 8, 32)
	n, err2 := strconv.ParseInt(size, 10, 64)
	if !ok1 || !ok2 || err1 != nil || err2 != nil || n < 0 || !safeName(name) {
		return 0, 0, "", wrong
	}
	return fs.FileMode(m).Perm(), n, name, nil
}

// shellPath quotes a path for a POSIX shell where it must be; a leading ~/ still means the home directory.
func shellPath(p string) string {
	home, rest := "", p
	if strings.HasPrefix(p, "~/") {
		home, rest = "~/", p[2:]
	}
	if home == "" && strings.HasPrefix(rest, "-") {
		rest = "./" + rest
	}
	if rest == "" || plain(rest) {
		return home + rest
	}
	return home + shellQuote(rest)
}

// plain tells texts that no shell (cmd.exe neither) takes for anything but themselves.
func plain(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@,=\\", r)) {
			return false
		}
	}
	return s != "" && !strings.Contains(s, "\\") || isWindowsPath(s)
}

// isWindowsPath tells paths like C:\x or c:/x.
func isWindowsPath(s string) bool {
	return len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/')
}

// shellPattern quotes all of a pattern but what makes it one.
func shellPattern(p string) string {
	var b bytes.Buffer
	for i, r := range p {
		switch {
		case r == '~' && i == 0, strings.ContainsRune("*?[]!-/._", r), r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			b.WriteRune(r)
		default:
			b.WriteString(shellQuote(string(r)))
		}
	}
	return b.String()
}

// shellQuote makes one word of s for a POSIX shell.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
