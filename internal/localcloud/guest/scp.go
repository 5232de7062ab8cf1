package guest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func init() { register(cmdScp, "scp") }

// cmdScp is the server side of the SCP protocol: `scp -t` receives, `scp -f` sends. Between machines it has no network.
func cmdScp(p *proc) int {
	o, ok := p.parse("tfrpdvqBCP:i:o:S:c:l:F:346OTRA", "", false)
	if !ok {
		return 1
	}
	s := &scp{p: p, o: o, r: bufio.NewReader(p.stdin())}
	switch {
	case o.has("t"):
		if len(o.rest) != 1 {
			return p.fail("ambiguous target")
		}
		s.receive(o.rest[0])
	case o.has("f"):
		s.send(o.rest)
	default:
		return p.fail("no network in the simulated server")
	}
	if s.failed {
		return 1
	}
	return 0
}

type scp struct {
	p      *proc
	o      *options
	r      *bufio.Reader
	failed bool
}

func (s *scp) ok() { s.p.out.Write([]byte{0}) }

// warn tells the other side of a problem; the transfer goes on.
func (s *scp) warn(format string, a ...any) {
	s.failed = true
	fmt.Fprintf(s.p.out, "\x01scp: %s\n", fmt.Sprintf(format, a...))
}

var errSCPEnd = errors.New("end of transfer")

// answer reads the other side's reply.
func (s *scp) answer() error {
	c, err := s.r.ReadByte()
	if err != nil {
		return errSCPEnd
	}
	if c == 0 {
		return nil
	}
	line, _ := s.r.ReadString('\n')
	s.failed = true
	if c == 1 {
		return errors.New(strings.TrimSpace(line))
	}
	return errSCPEnd
}

func (s *scp) receive(target string) {
	s.ok()
	if s.o.has("d") && !s.p.v.isDir(s.p.abs(target)) {
		s.warn("%s: Not a directory", target)
		return
	}
	s.sink(target, 0)
}

// sink takes the messages for one directory level.
func (s *scp) sink(target string, depth int) {
	var mtime, atime time.Time
	for {
		line, err := s.r.ReadString('\n')
		if err != nil || line == "" {
			return
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		body := line[1:]
		switch line[0] {
		case 1, 2:
			s.failed = true
			fmt.Fprintln(s.p.err, body)
			if line[0] == 2 {
				return
			}
			continue
		case 'E':
			s.ok()
			return
		case 'T':
			f := strings.Fields(body)
			if len(f) == 4 {
				m, _ := strconv.ParseInt(f[0], 10, 64)
				a, _ := strconv.ParseInt(f[2], 10, 64)
				mtime, atime = time.Unix(m, 0), time.Unix(a, 0)
			}
			s.ok()
			continue
		case 'C', 'D':
		default:
			s.warn("protocol error: unexpected message")
			return
		}
		f := strings.SplitN(body, " ", 3)
		if len(f) != 3 {
			s.warn("protocol error: %s", line)
			return
		}
		mode, merr := strconv.ParseUint(f[0], 8, 16)
		size, serr := strconv.ParseInt(f[1], 10, 64)
		name := f[2]
		if merr != nil || serr != nil || size < 0 || name == "" || name == "." || name == ".." || strings.Contains(name, "/") && line[0] == 'D' && depth > 0 {
			s.warn("protocol error: %s", line)
			return
		}
		name = path.Base(name)
		full := target
		if s.p.v.isDir(s.p.abs(target)) {
			full = strings.TrimSuffix(target, "/") + "/" + name
		}
		perm := unixMode(uint32(mode) & 0o7777)
		if line[0] == 'D' {
			if !s.o.has("r") {
				s.warn("received directory without -r")
				return
			}
			if depth > 200 {
				s.warn("%s: nested too deeply", full)
				return
			}
			fi, err := s.p.v.Stat(s.p.abs(full))
			switch {
			case err == nil && !fi.IsDir():
				err = syscall.ENOTDIR
			case err != nil:
				if err = s.p.v.Mkdir(s.p.abs(full), 0o777); err == nil && !s.o.has("p") {
					err = s.p.v.Chmod(s.p.abs(full), perm.Perm()&^s.p.v.mask())
				}
			}
			if err != nil {
				s.warn("%s: %s", full, why(err))
				return
			}
			when, accessed := mtime, atime
			mtime, atime = time.Time{}, time.Time{}
			s.ok()
			s.sink(full, depth+1)
			if s.o.has("p") {
				s.p.v.Chmod(s.p.abs(full), perm)
				if !when.IsZero() {
					s.p.v.Chtimes(s.p.abs(full), accessed, when)
				}
			}
			continue
		}
		s.file(full, perm, size, atime, mtime)
		mtime, atime = time.Time{}, time.Time{}
	}
}

func (s *scp) file(name string, perm fs.FileMode, size int64, atime, mtime time.Time) {
	fail := func(err error) {
		s.warn("%s: %s", name, why(err))
	}
	_, statErr := s.p.v.Stat(s.p.abs(name))
	f, err := s.p.create(name, os.O_WRONLY|os.O_TRUNC, perm.Perm()|0o200)
	if err != nil {
		fail(err)
		return
	}
	s.ok()
	var werr error
	buf := make([]byte, 64<<10)
	for left := size; left > 0; {
		n, err := s.r.Read(buf[:min(left, int64(len(buf)))])
		if n > 0 && werr == nil {
			_, werr = f.Write(buf[:n])
		}
		left -= int64(n)
		if err != nil {
			f.Close()
			s.failed = true
			return
		}
	}
	if err := f.Close(); werr == nil {
		werr = err
	}
	if err := s.answer(); err == errSCPEnd {
		return
	}
	if werr == nil && s.o.has("p") {
		werr = s.p.v.Chmod(s.p.abs(name), perm)
	} else if werr == nil && statErr != nil {
		werr = s.p.v.Chmod(s.p.abs(name), perm.Perm()&^s.p.v.mask())
	}
	if werr == nil && !mtime.IsZero() {
		werr = s.p.v.Chtimes(s.p.abs(name), atime, mtime)
	}
	if werr != nil {
		fail(werr)
		return
	}
	s.ok()
}

func (s *scp) send(patterns []string) {
	if err := s.answer(); err != nil {
		return
	}
	for _, n := range patterns {
		if err := s.sendOne(n, 0); err == errSCPEnd {
			return
		}
	}
}

func (s *scp) sendOne(name string, depth int) error {
	fi, err := s.p.v.Stat(s.p.abs(name))
	if err != nil {
		s.warn("%s: %s", name, why(err))
		return nil
	}
	base := path.Base(path.Clean(s.p.abs(name)))
	times := func() error {
		if !s.o.has("p") {
			return nil
		}
		s.p.printf("T%d 0 %d 0\n", fi.ModTime().Unix(), fi.ModTime().Unix())
		return s.answer()
	}
	switch {
	case fi.IsDir():
		if !s.o.has("r") || depth > 200 {
			s.warn("%s: not a regular file", name)
			return nil
		}
		entries, err := s.p.v.ReadDir(s.p.abs(name))
		if err != nil {
			s.warn("%s: %s", name, why(err))
			return nil
		}
		if err := times(); err != nil {
			return err
		}
		s.p.printf("D%04o 0 %s\n", modeBits(fi.mode), base)
		if err := s.answer(); err != nil {
			return err
		}
		for _, e := range entries {
			if err := s.sendOne(strings.TrimSuffix(name, "/")+"/"+e.name, depth+1); err == errSCPEnd {
				return err
			}
		}
		s.p.printf("E\n")
		return s.answer()
	case !fi.mode.IsRegular():
		s.warn("%s: not a regular file", name)
		return nil
	}
	f, err := s.p.open(name)
	if err != nil {
		s.warn("%s: %s", name, why(err))
		return nil
	}
	defer f.Close()
	if err := times(); err != nil {
		return err
	}
	s.p.printf("C%04o %d %s\n", modeBits(fi.mode), fi.Size(), base)
	if err := s.answer(); err != nil {
		return err
	}
	n, err := copyCtx(s.p.ctx, s.p.out, io.LimitReader(f, fi.Size()))
	if err != nil {
		return errSCPEnd
	}
	if n < fi.Size() { // the file shrank meanwhile
		copyCtx(s.p.ctx, s.p.out, io.LimitReader(zeros{s.p.ctx}, fi.Size()-n))
	}
	s.ok()
	return s.answer()
}
