package provision

// Moving files over SSH, by SFTP or SCP.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/sftp"
)

// Upload writes r to the server's file dst.
func (s *sshComm) Upload(ctx context.Context, dst string, r io.Reader, size int64, mode fs.FileMode) error {
	return s.transfer(ctx, "upload to "+dst,
		func(c *sftp.Client) error { return sftpUpload(c, remoteHome(dst), r, size, mode) },
		func() error { return s.scpUpload(ctx, dst, r, size, mode) })
}

// UploadDir copies the directory src below dst.
func (s *sshComm) UploadDir(ctx context.Context, dst, src string) error {
	files, err := listDir(src)
	if err != nil {
		return fmt.Errorf("upload %s: %w", src, err)
	}
	key := src + "\x00" + dst
	err = s.transfer(ctx, fmt.Sprintf("upload %s to %s", src, dst),
		func(c *sftp.Client) error {
			return s.placeDir(key, src, files, func() (bool, error) {
				info, err := c.Stat(remoteHome(dst))
				if errors.Is(err, fs.ErrNotExist) {
					return false, nil
				}
				return err == nil && info.IsDir(), err
			}, func(files []localFile) error { return sftpUploadDir(ctx, c, remoteHome(dst), files) })
		},
		func() error {
			return s.placeDir(key, src, files, func() (bool, error) {
				exit, err := s.Run(ctx, Command{Line: "test -d " + shellPath(dst)})
				return exit == 0, err
			}, func(files []localFile) error { return s.scpUploadDir(ctx, dst, files) })
		})
	if err == nil {
		s.mu.Lock()
		delete(s.fresh, key)
		s.mu.Unlock()
	}
	return err
}

// placeDir sends a directory into the destination, or as the destination where none exists: so scp does, which is Packer's
// way unless the template asks for sftp. What a first attempt found also holds for those after it, which find what it made.
func (s *sshComm) placeDir(key, src string, files []localFile, exists func() (bool, error), send func([]localFile) error) error {
	if s.c.FileTransferMethod == "sftp" || len(files) == 0 || !files[0].root {
		return send(files)
	}
	s.mu.Lock()
	fresh := s.fresh[key]
	s.mu.Unlock()
	if !fresh {
		there, err := exists()
		if err != nil {
			return err
		}
		if there {
			return send(files)
		}
		s.mu.Lock()
		if s.fresh == nil {
			s.fresh = map[string]bool{}
		}
		s.fresh[key] = true
		s.mu.Unlock()
	}
	files, err := listDir(src + "/")
	if err != nil {
		return err
	}
	return send(files)
}

// Download writes the server's file src to w.
func (s *sshComm) Download(ctx context.Context, src string, w io.Writer) error {
	return s.transfer(ctx, "download "+src,
		func(c *sftp.Client) error { return sftpDownload(c, remoteHome(src), w) },
		func() error { return s.scpDownload(ctx, src, w) })
}

// DownloadDir copies the server's directory or pattern src below dst.
func (s *sshComm) DownloadDir(ctx context.Context, src, dst string) error {
	return s.transfer(ctx, fmt.Sprintf("download %s to %s", src, dst),
		func(c *sftp.Client) error { return sftpDownloadDir(ctx, c, remoteHome(src), dst) },
		func() error { return s.scpDownloadDir(ctx, src, dst) })
}

var errNoSFTP = errors.New("the server has no sftp subsystem")

// transfer moves files by the method the template asks for; by default sftp, and scp where the server has none.
func (s *sshComm) transfer(ctx context.Context, what string, bySFTP func(*sftp.Client) error, bySCP func() error) error {
	err := errNoSFTP
	if s.c.FileTransferMethod != "scp" {
		err = s.withSFTP(ctx, bySFTP)
	}
	if errors.Is(err, errNoSFTP) && s.c.FileTransferMethod != "sftp" {
		err = bySCP()
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if errors.Is(err, sftp.ErrSSHFxConnectionLost) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) {
		err = fmt.Errorf("%w: %w", errConnection, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// withSFTP gives do an SFTP client on a session of its own, so that the end of one transfer disturbs no other.
func (s *sshComm) withSFTP(ctx context.Context, do func(*sftp.Client) error) error {
	sess, conn, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer sess.Close()
	stop := context.AfterFunc(ctx, func() { sess.Close() })
	defer stop()
	in, err := sess.StdinPipe()
	if err != nil {
		return err
	}
	out, err := sess.StdoutPipe()
	if err != nil {
		return err
	}
	if err := sess.RequestSubsystem("sftp"); err != nil {
		if conn.alive() && ctx.Err() == nil {
			return errNoSFTP
		}
		return err
	}
	c, err := sftp.NewClientPipe(out, in, sftp.UseConcurrentWrites(true))
	if err != nil {
		if conn.alive() && ctx.Err() == nil {
			return errNoSFTP // sshd_config names a program that is not there
		}
		return fmt.Errorf("start sftp: %w", err)
	}
	defer c.Close()
	return do(c)
}

// remoteHome makes ~/x relative: SFTP starts in the home directory and knows no tilde.
func remoteHome(name string) string {
	if name == "~" {
		return "."
	}
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if rest == "" {
			return "./"
		}
		return rest
	}
	return name
}

func sftpUpload(c *sftp.Client, dst string, r io.Reader, size int64, mode fs.FileMode) error {
	f, err := c.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		if info, statErr := c.Stat(dst); statErr == nil && info.IsDir() {
			return fmt.Errorf("%s is a directory on the server; end the destination with a slash to put the file into it", dst)
		}
		if _, statErr := c.Stat(path.Dir(dst)); errors.Is(statErr, fs.ErrNotExist) {
			return fmt.Errorf("there is no directory %s on the server; make it in an earlier step", path.Dir(dst))
		}
		return err
	}
	defer f.Close()
	if mode != 0 {
		// First, so that a secret is never readable by others; a server without modes (Windows) may say no.
		f.Chmod(mode.Perm())
	}
	if size >= 0 {
		r = io.LimitReader(r, size) // tells the library how much there is
	}
	n, err := f.ReadFrom(r)
	if err != nil {
		return err
	}
	if size >= 0 && n != size {
		return fmt.Errorf("the source had %d bytes when the transfer began and gave %d", size, n)
	}
	if mode&^fs.ModePerm != 0 {
		f.Chmod(mode) // writing clears setuid
	}
	return f.Close()
}

func sftpUploadDir(ctx context.Context, c *sftp.Client, dst string, files []localFile) error {
	if err := c.MkdirAll(dst); err != nil {
		return fmt.Errorf("make directory %s: %w", dst, err)
	}
	for _, f := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		to := path.Join(dst, f.rel)
		if f.mode.IsDir() {
			if err := c.MkdirAll(to); err != nil {
				return fmt.Errorf("make directory %s: %w", to, err)
			}
			c.Chmod(to, f.mode.Perm())
			continue
		}
		if err := f.open(func(r io.Reader, size int64) error { return sftpUpload(c, to, r, size, f.mode) }); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return nil
}

func sftpDownload(c *sftp.Client, src string, w io.Writer) error {
	f, err := c.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory on the server; end the source with a slash to download its contents", src)
	}
	_, err = f.WriteTo(w)
	return err
}

func sftpDownloadDir(ctx context.Context, c *sftp.Client, src, dst string) error {
	if isPattern(src) {
		found, err := c.Glob(src)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("nothing on the server matches %s", src)
		}
		for _, f := range found {
			if err := sftpCopyTree(ctx, c, f, filepath.Join(dst, path.Base(f))); err != nil {
				return err
			}
		}
		return nil
	}
	if !strings.HasSuffix(src, "/") {
		dst = filepath.Join(dst, path.Base(src))
	}
	return sftpCopyTree(ctx, c, path.Clean(src), dst)
}

// sftpCopyTree copies a file or directory. Links are followed, but a link into a directory that is being copied is not.
func sftpCopyTree(ctx context.Context, c *sftp.Client, src, dst string, above ...string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	info, err := c.Stat(src)
	if err != nil {
		return fmt.Errorf("%s: %w", src, err)
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return nil // sockets and devices have no content to take home
		}
		return writeFile(dst, info.Mode(), func(w io.Writer) error { return sftpDownload(c, src, w) })
	}
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	real, err := c.RealPath(src)
	if err != nil {
		return fmt.Errorf("%s: %w", src, err)
	}
	if slices.Contains(above, real) {
		return nil
	}
	list, err := c.ReadDirContext(ctx, src)
	if err != nil {
		return fmt.Errorf("%s: %w", src, err)
	}
	for _, f := range list {
		if !safeName(f.Name()) {
			return fmt.Errorf("the server names a file %q", f.Name())
		}
		if err := sftpCopyTree(ctx, c, path.Join(src, f.Name()), filepath.Join(dst, f.Name()), append(above, real)...); err != nil {
			return err
		}
	}
	return nil
}

func isPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// safeName tells names that stay in the directory they are meant for, whatever a server says.
func safeName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00") && filepath.IsLocal(name)
}

// writeFile makes a file on this machine with what fill writes.
func writeFile(name string, mode fs.FileMode, fill func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode.Perm()|0o200)
	if err != nil {
		return err
	}
	if err := fill(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// localFile is a file or directory on this machine that is to be sent.
type localFile struct {
	path string      // on this machine
	rel  string      // below the destination, with slashes
	mode fs.FileMode // of what a link points to
	root bool        // it is the directory that was asked for
}

func (f localFile) open(do func(r io.Reader, size int64) error) error {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	return do(r, info.Size())
}

// listDir lists what is below src, directories before their contents. rel begins with the directory's own name unless
// src ends in a slash. Links are followed, but a link into a directory that is being listed is not.
func listDir(src string) ([]localFile, error) {
	info, err := os.Stat(src)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", src)
	}
	var all []localFile
	var walk func(dir, rel string, above []string) error
	walk = func(dir, rel string, above []string) error {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return err
		}
		if slices.Contains(above, real) {
			return nil
		}
		above = append(slices.Clip(above), real)
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			f := localFile{path: filepath.Join(dir, e.Name()), rel: path.Join(rel, e.Name())}
			info, err := os.Stat(f.path)
			if err != nil {
				return err
			}
			f.mode = info.Mode()
			switch {
			case info.IsDir():
				all = append(all, f)
				if err := walk(f.path, f.rel, above); err != nil {
					return err
				}
			case info.Mode().IsRegular():
				all = append(all, f)
			}
		}
		return nil
	}
	rel := ""
	if !strings.HasSuffix(src, "/") && !strings.HasSuffix(src, string(filepath.Separator)) {
		abs, err := filepath.Abs(src)
		if err != nil {
			return nil, err
		}
		rel = filepath.Base(abs)
		all = append(all, localFile{abs, rel, info.Mode(), true})
	}
	return all, walk(src, rel, nil)
}
