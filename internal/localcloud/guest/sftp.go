package guest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
)

// sftpFS serves the guest's files to SFTP clients.
type sftpFS struct {
	g    *Guest
	v    *view
	home string
	path func(string) string // maps the client's path; nil for none
}

func (s sftpFS) at(name string) string {
	if s.path != nil {
		return s.path(name)
	}
	return name
}

// sftpError gives the client a code it understands, with the words of the reason.
func sftpError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return sftp.ErrSSHFxNoSuchFile
	case errors.Is(err, fs.ErrPermission):
		return sftp.ErrSSHFxPermissionDenied
	}
	return errors.New(why(err))
}

func (s sftpFS) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	name := s.at(r.Filepath)
	if f, ok := s.device(name); ok {
		return f, nil
	}
	if s.v.isDir(name) {
		return nil, errors.New("is a directory")
	}
	f, err := s.v.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, sftpError(err)
	}
	return f, nil
}

// nullFile stands for /dev/null in transfers.
type nullFile struct{}

func (nullFile) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (nullFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

func (s sftpFS) device(name string) (nullFile, bool) {
	fi, err := s.v.Stat(name)
	return nullFile{}, err == nil && fi.mode&fs.ModeCharDevice != 0
}

func (s sftpFS) Filewrite(r *sftp.Request) (io.WriterAt, error) { return s.OpenFile(r) }

func (s sftpFS) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	name := s.at(r.Filepath)
	if f, ok := s.device(name); ok {
		return f, nil
	}
	p := r.Pflags()
	flag := os.O_RDONLY
	switch {
	case p.Read && p.Write:
		flag = os.O_RDWR
	case p.Write:
		flag = os.O_WRONLY
	}
	if p.Append {
		flag |= os.O_APPEND
	}
	if p.Creat {
		flag |= os.O_CREATE
	}
	if p.Trunc {
		flag |= os.O_TRUNC
	}
	if p.Excl {
		flag |= os.O_EXCL
	}
	perm := fs.FileMode(0o666)
	if r.AttrFlags().Permissions {
		perm = unixMode(r.Attributes().Mode & 0o7777)
	}
	f, err := s.v.OpenFile(name, flag, perm)
	if err != nil {
		return nil, sftpError(err)
	}
	return f, nil
}

func (s sftpFS) Filecmd(r *sftp.Request) error {
	name := s.at(r.Filepath)
	switch r.Method {
	case "Setstat":
		return sftpError(s.setstat(name, r))
	case "Rename":
		to := s.at(r.Target)
		if _, err := s.v.Lstat(to); err == nil {
			return sftp.ErrSSHFxFailure
		}
		return sftpError(s.v.Rename(name, to))
	case "Rmdir":
		if fi, err := s.v.Lstat(name); err == nil && !fi.IsDir() {
			return errors.New("not a directory")
		}
		return sftpError(s.v.Remove(name))
	case "Remove":
		if fi, err := s.v.Lstat(name); err == nil && fi.IsDir() {
			return errors.New("is a directory")
		}
		return sftpError(s.v.Remove(name))
	case "Mkdir":
		perm := fs.FileMode(0o777)
		if r.AttrFlags().Permissions {
			perm = unixMode(r.Attributes().Mode & 0o7777)
		}
		return sftpError(s.v.Mkdir(name, perm))
	case "Link":
		return sftpError(s.v.Link(name, s.at(r.Target)))
	case "Symlink":
		// Filepath is the target as the client gave it, Target the new name.
		return sftpError(s.v.Symlink(r.Filepath, s.at(r.Target)))
	}
	return sftp.ErrSSHFxOpUnsupported
}

func (s sftpFS) PosixRename(r *sftp.Request) error {
	return sftpError(s.v.Rename(s.at(r.Filepath), s.at(r.Target)))
}

func (s sftpFS) setstat(name string, r *sftp.Request) error {
	f, a := r.AttrFlags(), r.Attributes()
	if f.Size {
		if err := s.v.Truncate(name, int64(a.Size)); err != nil {
			return err
		}
	}
	if f.UidGid {
		if err := s.v.Chown(name, int(a.UID), int(a.GID), true); err != nil {
			return err
		}
	}
	if f.Permissions {
		if err := s.v.Chmod(name, unixMode(a.Mode&0o7777)); err != nil {
			return err
		}
	}
	if f.Acmodtime {
		return s.v.Chtimes(name, time.Unix(int64(a.Atime), 0), time.Unix(int64(a.Mtime), 0))
	}
	return nil
}

func (s sftpFS) StatVFS(r *sftp.Request) (*sftp.StatVFS, error) {
	const block = 4096
	rel, err := s.v.resolve(s.at(r.Filepath), true)
	if err != nil {
		return nil, sftpError(err)
	}
	size, used := s.v.disk(rel).usage()
	free := uint64(max(0, size-used)) / block
	return &sftp.StatVFS{Bsize: block, Frsize: block, Blocks: uint64(size) / block, Bfree: free, Bavail: free,
		Files: maxInodes, Ffree: maxInodes, Favail: maxInodes, Namemax: 255}, nil
}

type fileList []os.FileInfo

func (l fileList) ListAt(out []os.FileInfo, off int64) (int, error) {
	if off >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(out, l[off:])
	if n < len(out) {
		return n, io.EOF
	}
	return n, nil
}

func (s sftpFS) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	name := s.at(r.Filepath)
	switch r.Method {
	case "List":
		infos, err := s.v.ReadDir(name)
		if err != nil {
			return nil, sftpError(err)
		}
		out := make(fileList, len(infos))
		for i, fi := range infos {
			out[i] = fi
		}
		return out, nil
	case "Stat":
		fi, err := s.v.Stat(name)
		if err != nil {
			return nil, sftpError(err)
		}
		return fileList{fi}, nil
	}
	return nil, sftp.ErrSSHFxOpUnsupported
}

func (s sftpFS) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	fi, err := s.v.Lstat(s.at(r.Filepath))
	if err != nil {
		return nil, sftpError(err)
	}
	return fileList{fi}, nil
}

func (s sftpFS) Readlink(name string) (string, error) {
	t, err := s.v.Readlink(s.at(name))
	return t, sftpError(err)
}

// RealPath resolves what exists; the rest is only cleaned, as clients ask for names they are about to make.
func (s sftpFS) RealPath(name string) (string, error) {
	if s.path != nil {
		return path.Clean("/" + name), nil
	}
	if !strings.HasPrefix(name, "/") {
		name = path.Join(s.home, name)
	}
	if real, err := s.v.realpath(name); err == nil {
		return real, nil
	}
	return path.Clean("/" + name), nil
}

func (s sftpFS) LookupUserName(id string) string  { return lookupName(s.g.names("/etc/passwd"), id) }
func (s sftpFS) LookupGroupName(id string) string { return lookupName(s.g.names("/etc/group"), id) }

func lookupName(names map[int]string, id string) string {
	if n, err := strconv.Atoi(id); err == nil && names[n] != "" {
		return names[n]
	}
	return id
}
