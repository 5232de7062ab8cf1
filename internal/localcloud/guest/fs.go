package guest

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	rootName  = "root"      // below the guest's directory: the tree the guest sees as /
	metaName  = "meta.json" // below the guest's directory: owners and modes the host cannot or must not hold
	maxLinks  = 40
	maxInodes = 300_000
	// defaultDiskLimit bounds a guest's files, so that a runaway script cannot fill the host's disk.
	defaultDiskLimit = 2 << 30
)

// disk is one file system: a directory of the host reached through an [os.Root], so that no path and no
// symbolic link leads out of it. Absolute links and ".." resolve as they would in a chroot.
//
// Set-id bits, owners other than root, and modes that would lock tfbake itself out of a file are kept in a side table
// outside the visible tree and never reach the host's inodes.
type disk struct {
	root  *os.Root
	dir   string
	limit int64

	mu      sync.Mutex
	meta    map[string]attr // by path below the root, without leading slash
	dirty   bool
	used    int64 // upper bound of bytes used; corrected by counting when the limit is reached
	inodes  int
	counted time.Time
}

// attr is what the host's inode does not say.
type attr struct {
	Mode *uint32 `json:"mode,omitempty"` // permission and set-id bits as the guest sees them (unix encoding)
	UID  int     `json:"uid,omitempty"`
	GID  int     `json:"gid,omitempty"`
}

func openDisk(dir string, limit int64) (*disk, error) {
	root, err := os.OpenRoot(filepath.Join(dir, rootName))
	if err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = defaultDiskLimit
	}
	d := &disk{root: root, dir: dir, limit: limit, meta: map[string]attr{}}
	data, err := os.ReadFile(filepath.Join(dir, metaName))
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &d.meta); err != nil {
			root.Close()
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		root.Close()
		return nil, err
	}
	d.used, d.inodes = d.count()
	return d, nil
}

// flush writes the side table if it changed.
func (d *disk) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dirty {
		return nil
	}
	data, err := json.Marshal(d.meta)
	if err != nil {
		return err
	}
	name := filepath.Join(d.dir, metaName)
	if err := os.WriteFile(name+".new", data, 0o600); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	d.dirty = false
	return nil
}

func (d *disk) close() error { return errors.Join(d.flush(), d.root.Close()) }

// count walks the tree and returns the bytes and files in it.
func (d *disk) count() (bytes int64, files int) {
	fs.WalkDir(d.root.FS(), ".", func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		files++
		if e.Type().IsRegular() {
			if fi, err := e.Info(); err == nil {
				bytes += fi.Size()
			}
		}
		return nil
	})
	return bytes, files
}

// usage returns how many bytes the file system may hold, and how many it holds.
func (d *disk) usage() (limit, used int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.limit, d.used
}

// charge books n more bytes, or fails as a full disk does.
func (d *disk) charge(n int64) error {
	if n <= 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used+n > d.limit {
		// The books only know what was written, not what was overwritten: look again before refusing.
		if time.Since(d.counted) > time.Second {
			d.used, d.inodes = d.count()
			d.counted = time.Now()
		}
		if d.used+n > d.limit {
			return syscall.ENOSPC
		}
	}
	d.used += n
	return nil
}

func (d *disk) chargeInode() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inodes >= maxInodes {
		if time.Since(d.counted) > time.Second {
			d.used, d.inodes = d.count()
			d.counted = time.Now()
		}
		if d.inodes >= maxInodes {
			return syscall.ENOSPC
		}
	}
	d.inodes++
	return nil
}

func (d *disk) release(n int64, inodes int) {
	d.mu.Lock()
	d.used = max(0, d.used-n)
	d.inodes = max(0, d.inodes-inodes)
	d.mu.Unlock()
}

func (d *disk) attr(rel string) (attr, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.meta[rel]
	return a, ok
}

func (d *disk) setAttr(rel string, a attr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a == (attr{}) {
		if _, ok := d.meta[rel]; !ok {
			return
		}
		delete(d.meta, rel)
	} else {
		d.meta[rel] = a
	}
	d.dirty = true
}

// moveAttrs follows a rename (to != "") or a removal in the side table.
func (d *disk) moveAttrs(from, to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	move := func(key, dst string) {
		a := d.meta[key]
		delete(d.meta, key)
		if to != "" {
			d.meta[dst] = a
		}
		d.dirty = true
	}
	if to != "" {
		delete(d.meta, to)
	}
	if _, ok := d.meta[from]; ok {
		move(from, to)
	}
	prefix := from + "/"
	var below []string
	for k := range d.meta {
		if strings.HasPrefix(k, prefix) {
			below = append(below, k)
		}
	}
	for _, k := range below {
		move(k, to+"/"+strings.TrimPrefix(k, prefix))
	}
}

// fileInfo is a file as the guest sees it.
type fileInfo struct {
	fs.FileInfo
	name     string
	mode     fs.FileMode
	uid, gid int
	rel      string
}

func (f *fileInfo) Name() string      { return f.name }
func (f *fileInfo) Mode() fs.FileMode { return f.mode }
func (f *fileInfo) IsDir() bool       { return f.mode.IsDir() }
func (f *fileInfo) Uid() uint32       { return uint32(f.uid) }
func (f *fileInfo) Gid() uint32       { return uint32(f.gid) }
func (f *fileInfo) Size() int64 {
	if f.mode&fs.ModeDevice != 0 {
		return 0
	}
	return f.FileInfo.Size()
}

// links returns the number of hard links, where the host tells.
func (f *fileInfo) links() uint64 { return f.sysField("Nlink", 1) }
func (f *fileInfo) inode() uint64 { return f.sysField("Ino", 0) }

func (f *fileInfo) sysField(name string, fallback uint64) uint64 {
	v := reflect.Indirect(reflect.ValueOf(f.FileInfo.Sys()))
	if v.Kind() != reflect.Struct {
		return fallback
	}
	n := v.FieldByName(name)
	switch {
	case !n.IsValid():
		return fallback
	case n.CanUint():
		return n.Uint()
	case n.CanInt():
		return uint64(n.Int())
	}
	return fallback
}

// devices are the names in /dev that behave; everything else below /dev is an ordinary file.
var devices = map[string]fs.FileMode{
	"dev/null": 0o666, "dev/zero": 0o666, "dev/full": 0o666, "dev/random": 0o666, "dev/urandom": 0o666, "dev/tty": 0o666,
	"dev/console": 0o600,
}

// view is the file system as one user sees it: permissions are checked unless it is root.
type view struct {
	*tree
	uid, gid int
	groups   []int
	umask    *uint32 // shared by a session, as a process' umask is; nil means 022
}

func (v *view) mask() fs.FileMode {
	if v.umask == nil {
		return 0o022
	}
	return fs.FileMode(*v.umask) & 0o777
}

func pathError(op, name string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		err = le.Err
	}
	return &fs.PathError{Op: op, Path: name, Err: plainError(err)}
}

// plainError gives the words a Linux command would print.
func plainError(err error) error {
	for _, e := range []syscall.Errno{syscall.ENOENT, syscall.EEXIST, syscall.EACCES, syscall.EPERM, syscall.ENOTDIR,
		syscall.EISDIR, syscall.ENOTEMPTY, syscall.EBUSY, syscall.EXDEV, syscall.ENOSPC, syscall.EINVAL, syscall.ELOOP, syscall.ENAMETOOLONG} {
		if errors.Is(err, e) {
			if e == syscall.ENOENT {
				return syscall.ENOENT
			}
			return e
		}
	}
	return err
}

// why is the bare reason of a file error, in the words and case of a C library.
func why(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, errStale) {
		return "Stale file handle"
	}
	s := err.Error()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s = "no such file or directory"
	case errors.Is(err, syscall.EACCES):
		s = "permission denied"
	}
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

var errStale = errors.New("stale file handle")

func (d *tree) infoAt(rel string, fi fs.FileInfo) *fileInfo {
	out := &fileInfo{FileInfo: fi, name: path.Base("/" + rel), mode: fi.Mode(), rel: rel}
	if rel == "." {
		out.name = "/"
	}
	if fi.Mode()&fs.ModeSymlink != 0 {
		out.mode = fs.ModeSymlink | 0o777
	}
	if m, ok := devices[rel]; ok {
		out.mode = fs.ModeDevice | fs.ModeCharDevice | m
	}
	if d.isNode(rel) {
		out.mode, out.gid = fs.ModeDevice|0o660, diskGroup
	}
	if a, ok := d.attr(rel); ok {
		out.uid, out.gid = a.UID, a.GID
		if a.Mode != nil && fi.Mode()&fs.ModeSymlink == 0 {
			out.mode = fi.Mode().Type() | unixMode(*a.Mode)
		}
	}
	return out
}

// unixMode turns st_mode bits (0o7777) into Go's.
func unixMode(m uint32) fs.FileMode {
	out := fs.FileMode(m & 0o777)
	if m&0o4000 != 0 {
		out |= fs.ModeSetuid
	}
	if m&0o2000 != 0 {
		out |= fs.ModeSetgid
	}
	if m&0o1000 != 0 {
		out |= fs.ModeSticky
	}
	return out
}

// modeBits is the inverse of unixMode.
func modeBits(m fs.FileMode) uint32 {
	out := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		out |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		out |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		out |= 0o1000
	}
	return out
}

// may reports whether the user may do what the bits (4 read, 2 write, 1 execute or search) say.
func (v *view) may(fi *fileInfo, bits uint32) bool {
	m := uint32(fi.mode.Perm())
	if v.uid == 0 {
		return bits&1 == 0 || fi.IsDir() || m&0o111 != 0
	}
	switch {
	case fi.uid == v.uid:
		m >>= 6
	case fi.gid == v.gid || slices.Contains(v.groups, fi.gid):
		m >>= 3
	}
	return m&bits == bits
}

// resolve turns a guest path into one below the root, following links as a chroot would. The last component need not
// exist; it is followed when it is a link and followLast is set. Names are relative to /.
func (v *view) resolve(name string, followLast bool) (string, error) {
	if name == "" {
		return "", syscall.ENOENT
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", syscall.EINVAL
	}
	if len(name) > 4096 {
		return "", syscall.ENAMETOOLONG
	}
	mustDir := strings.HasSuffix(name, "/") || strings.HasSuffix(name, "/.")
	parts := strings.Split(name, "/")
	cur := "."
	links := 0
	for len(parts) > 0 {
		part := parts[0]
		parts = parts[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			cur = path.Dir(cur)
			continue
		}
		if strings.ContainsRune(part, filepath.Separator) || !filepath.IsLocal(part) {
			return "", syscall.EINVAL // a host whose rules for names are not the guest's
		}
		last := true
		for _, p := range parts {
			if p != "" && p != "." {
				last = false
			}
		}
		if v.uid != 0 {
			if fi, err := v.tree.Lstat(cur); err == nil && !v.may(v.infoAt(cur, fi), 1) {
				return "", syscall.EACCES
			}
		}
		next := path.Join(cur, part)
		fi, err := v.tree.Lstat(next)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && last {
				return next, nil
			}
			return "", err
		}
		if fi.Mode()&fs.ModeSymlink != 0 && (!last || followLast || mustDir) {
			if links++; links > maxLinks {
				return "", syscall.ELOOP
			}
			target, err := v.tree.Readlink(next)
			if err != nil {
				return "", err
			}
			target = filepath.ToSlash(target)
			if strings.HasPrefix(target, "/") {
				cur = "."
			}
			parts = append(strings.Split(target, "/"), parts...)
			continue
		}
		if !fi.IsDir() && (!last || mustDir) {
			return "", syscall.ENOTDIR
		}
		cur = next
	}
	return cur, nil
}

func (v *view) Stat(name string) (*fileInfo, error)  { return v.stat(name, true) }
func (v *view) Lstat(name string) (*fileInfo, error) { return v.stat(name, false) }

func (v *view) stat(name string, follow bool) (*fileInfo, error) {
	rel, err := v.resolve(name, follow)
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	fi, err := v.tree.Lstat(rel)
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	out := v.infoAt(rel, fi)
	if rel != "." {
		if b := path.Base(path.Clean("/" + name)); b != "/" {
			out.name = b
		}
	}
	return out, nil
}

func (v *view) exists(name string) bool { _, err := v.Stat(name); return err == nil }
func (v *view) isDir(name string) bool  { fi, err := v.Stat(name); return err == nil && fi.IsDir() }

// mayChange checks that the user may add or remove names in the directory that holds rel.
func (v *view) mayChange(rel string) error {
	if rel == "." {
		return syscall.EPERM
	}
	if _, ok := devices[rel]; ok || v.isNode(rel) {
		return syscall.EPERM
	}
	if v.mountedOn(rel) {
		return syscall.EBUSY
	}
	if v.uid == 0 {
		return nil
	}
	dir := path.Dir(rel)
	fi, err := v.tree.Lstat(dir)
	if err != nil {
		return err
	}
	parent := v.infoAt(dir, fi)
	if !v.may(parent, 3) {
		return syscall.EACCES
	}
	if parent.mode&fs.ModeSticky != 0 {
		if fi, err := v.tree.Lstat(rel); err == nil {
			if own := v.infoAt(rel, fi); own.uid != v.uid && parent.uid != v.uid {
				return syscall.EPERM
			}
		}
	}
	return nil
}

// adopt gives a new file its owner and mode.
func (v *view) adopt(rel string, mode fs.FileMode, dir bool) error {
	return v.setMode(rel, mode, dir, v.uid, v.gid)
}

// setMode records owner and mode. The host's inode gets the permission bits plus what tfbake itself needs.
func (v *view) setMode(rel string, mode fs.FileMode, dir bool, uid, gid int) error {
	bits := modeBits(mode)
	host := fs.FileMode(bits&0o777) | 0o600
	if dir {
		host |= 0o700
	}
	if err := v.tree.Chmod(rel, host); err != nil {
		return err
	}
	a := attr{UID: uid, GID: gid}
	if uint32(host) != bits || filepath.Separator != '/' {
		a.Mode = &bits
	}
	v.setAttr(rel, a)
	return nil
}

// openFlags are those of os.OpenFile a guest may use.
const openFlags = os.O_RDONLY | os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREATE | os.O_EXCL | os.O_TRUNC

// OpenFile opens a regular file or a directory (for reading its names). Devices are for the caller.
func (v *view) OpenFile(name string, flag int, perm fs.FileMode) (*file, error) {
	rel, err := v.resolve(name, flag&os.O_EXCL == 0)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	flag &= openFlags
	write := flag&(os.O_WRONLY|os.O_RDWR) != 0
	if gen := v.virtual[rel]; gen != nil {
		if write {
			return &file{text: strings.NewReader(""), sink: true, name: name}, nil
		}
		return &file{text: strings.NewReader(gen()), name: name}, nil
	}
	fi, err := v.tree.Lstat(rel)
	switch {
	case err == nil:
		info := v.infoAt(rel, fi)
		if flag&os.O_EXCL != 0 && flag&os.O_CREATE != 0 {
			return nil, pathError("open", name, syscall.EEXIST)
		}
		if fi.IsDir() {
			if write {
				return nil, pathError("open", name, syscall.EISDIR)
			}
		} else if !fi.Mode().IsRegular() || v.isNode(rel) {
			return nil, pathError("open", name, syscall.EPERM) // no fifos, sockets, devices of the host
		}
		bits := uint32(4)
		if flag&os.O_WRONLY != 0 {
			bits = 2
		} else if flag&os.O_RDWR != 0 {
			bits = 6
		}
		if !v.may(info, bits) {
			return nil, pathError("open", name, syscall.EACCES)
		}
		if flag&os.O_TRUNC != 0 && write {
			v.disk(rel).release(fi.Size(), 0)
		}
		f, err := v.tree.OpenFile(rel, flag&^(os.O_CREATE|os.O_APPEND), 0)
		if err != nil {
			return nil, pathError("open", name, err)
		}
		return newFile(f, v.disk(rel), name, flag)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, pathError("open", name, err)
	case flag&os.O_CREATE == 0:
		return nil, pathError("open", name, syscall.ENOENT)
	}
	if err := v.mayChange(rel); err != nil {
		return nil, pathError("open", name, err)
	}
	if err := v.disk(rel).chargeInode(); err != nil {
		return nil, pathError("open", name, err)
	}
	f, err := v.tree.OpenFile(rel, flag&^os.O_APPEND, 0o600)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	if err := v.adopt(rel, perm&^v.mask(), false); err != nil {
		f.Close()
		return nil, pathError("open", name, err)
	}
	return newFile(f, v.disk(rel), name, flag)
}

func (v *view) ReadFile(name string) ([]byte, error) {
	f, err := v.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, pathError("read", name, err)
	}
	return data, nil
}

func (v *view) readString(name string) string { b, _ := v.ReadFile(name); return string(b) }

func (v *view) WriteFile(name string, data []byte, perm fs.FileMode) error {
	f, err := v.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// replaceFile writes a file so that a reader sees the old or the new text, never a part.
func (v *view) replaceFile(name string, data []byte, perm fs.FileMode) error {
	tmp := name + ".tfbake-new"
	if err := v.WriteFile(tmp, data, perm); err != nil {
		return err
	}
	return v.Rename(tmp, name)
}

func (v *view) appendFile(name, text string) error {
	f, err := v.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	return errors.Join(err, f.Close())
}

// ReadDir lists a directory in the order of names.
func (v *view) ReadDir(name string) ([]*fileInfo, error) {
	rel, err := v.resolve(name, true)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	fi, err := v.tree.Lstat(rel)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	if !fi.IsDir() {
		return nil, pathError("readdir", name, syscall.ENOTDIR)
	}
	if !v.may(v.infoAt(rel, fi), 4) {
		return nil, pathError("open", name, syscall.EACCES)
	}
	f, err := v.tree.Open(rel)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	out := make([]*fileInfo, 0, len(entries))
	for _, e := range entries {
		child := path.Join(rel, e.Name())
		fi, err := e.Info()
		if v.mountedOn(child) {
			fi, err = v.tree.Lstat(child)
		}
		if err == nil {
			out = append(out, v.infoAt(child, fi))
		}
	}
	return out, nil
}

func (v *view) Mkdir(name string, perm fs.FileMode) error {
	rel, err := v.resolve(strings.TrimRight(name, "/"), false)
	if strings.Trim(name, "/") == "" {
		err = syscall.EEXIST
	}
	if err == nil {
		if _, lerr := v.tree.Lstat(rel); lerr == nil {
			err = syscall.EEXIST
		}
	}
	if err == nil {
		err = v.mayChange(rel)
	}
	if err == nil {
		err = v.disk(rel).chargeInode()
	}
	if err == nil {
		err = v.tree.Mkdir(rel, 0o700)
	}
	if err == nil {
		err = v.adopt(rel, perm&^v.mask(), true)
	}
	if err != nil {
		return pathError("mkdir", name, err)
	}
	return nil
}

func (v *view) MkdirAll(name string, perm fs.FileMode) error {
	if fi, err := v.Stat(name); err == nil {
		if fi.IsDir() {
			return nil
		}
		return pathError("mkdir", name, syscall.EEXIST)
	}
	if parent := path.Dir(path.Clean("/" + name)); parent != "/" {
		if err := v.MkdirAll(parent, perm); err != nil {
			return err
		}
	}
	err := v.Mkdir(name, perm)
	if errors.Is(err, fs.ErrExist) && v.isDir(name) {
		return nil
	}
	return err
}

// Remove removes one file, link or empty directory.
func (v *view) Remove(name string) error {
	rel, err := v.resolve(strings.TrimRight(name, "/"), false)
	if err == nil {
		err = v.mayChange(rel)
	}
	var fi fs.FileInfo
	if err == nil {
		fi, err = v.tree.Lstat(rel)
	}
	if err == nil {
		err = v.tree.Remove(rel)
	}
	if err != nil {
		return pathError("remove", name, err)
	}
	v.moveAttrs(rel, "")
	if fi.Mode().IsRegular() {
		v.disk(rel).release(fi.Size(), 1)
	} else {
		v.disk(rel).release(0, 1)
	}
	return nil
}

// RemoveAll removes a tree; what is not there is no error.
func (v *view) RemoveAll(name string) error {
	fi, err := v.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	if fi.IsDir() {
		entries, err := v.ReadDir(name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := v.RemoveAll(path.Join(name, e.Name())); err != nil {
				errs = append(errs, err)
			}
		}
		if name = path.Clean(name); name == "/" {
			return errors.Join(errs...)
		}
	}
	if len(errs) == 0 {
		return v.Remove(name)
	}
	return errors.Join(errs...)
}

func (v *view) Rename(from, to string) error {
	rf, err := v.resolve(strings.TrimRight(from, "/"), false)
	if err != nil {
		return pathError("rename", from, err)
	}
	rt, err := v.resolve(strings.TrimRight(to, "/"), false)
	if err != nil {
		return pathError("rename", to, err)
	}
	if rf == rt {
		return nil
	}
	for _, r := range []string{rf, rt} {
		if err := v.mayChange(r); err != nil {
			return pathError("rename", r, err)
		}
	}
	if strings.HasPrefix(rt, rf+"/") {
		return pathError("rename", to, syscall.EINVAL)
	}
	old, oerr := v.tree.Lstat(rt)
	if err := v.tree.Rename(rf, rt); err != nil {
		return pathError("rename", from, err)
	}
	if oerr == nil {
		size := int64(0)
		if old.Mode().IsRegular() {
			size = old.Size()
		}
		v.disk(rt).release(size, 1)
	}
	v.moveAttrs(rf, rt)
	return nil
}

// Symlink makes a link; its target is kept as given and resolved inside the guest when used.
func (v *view) Symlink(target, name string) error {
	rel, err := v.resolve(name, false)
	if err == nil {
		err = v.mayChange(rel)
	}
	if err == nil {
		err = v.disk(rel).chargeInode()
	}
	if err == nil {
		err = v.tree.Symlink(target, rel)
	}
	if err != nil {
		return pathError("symlink", name, err)
	}
	v.setAttr(rel, attr{UID: v.uid, GID: v.gid})
	return nil
}

func (v *view) Link(old, name string) error {
	ro, err := v.resolve(old, false)
	var rel string
	if err == nil {
		rel, err = v.resolve(name, false)
	}
	if err == nil {
		err = v.mayChange(rel)
	}
	if err == nil {
		err = v.mayChange(ro)
	}
	if err == nil {
		err = v.tree.Link(ro, rel)
	}
	if err != nil {
		return pathError("link", name, err)
	}
	if a, ok := v.attr(ro); ok {
		v.setAttr(rel, a)
	}
	return nil
}

func (v *view) Readlink(name string) (string, error) {
	rel, err := v.resolve(name, false)
	var target string
	if err == nil {
		target, err = v.tree.Readlink(rel)
	}
	if err != nil {
		return "", pathError("readlink", name, err)
	}
	return filepath.ToSlash(target), nil
}

// realpath returns the guest path with every link followed. The last component may be missing.
func (v *view) realpath(name string) (string, error) {
	rel, err := v.resolve(name, true)
	if err != nil {
		return "", pathError("realpath", name, err)
	}
	return path.Join("/", rel), nil
}

// owned resolves name and checks that the user may change its attributes.
func (v *view) owned(op, name string, follow bool) (string, *fileInfo, error) {
	rel, err := v.resolve(name, follow)
	if err != nil {
		return "", nil, pathError(op, name, err)
	}
	fi, err := v.tree.Lstat(rel)
	if err != nil {
		return "", nil, pathError(op, name, err)
	}
	info := v.infoAt(rel, fi)
	if v.uid != 0 && info.uid != v.uid {
		return "", nil, pathError(op, name, syscall.EPERM)
	}
	return rel, info, nil
}

func (v *view) Chmod(name string, mode fs.FileMode) error {
	rel, info, err := v.owned("chmod", name, true)
	if err != nil {
		return err
	}
	if info.mode&fs.ModeDevice != 0 {
		return nil
	}
	if err := v.setMode(rel, mode, info.IsDir(), info.uid, info.gid); err != nil {
		return pathError("chmod", name, err)
	}
	return nil
}

// Chown sets owner and group; -1 keeps one. Only root gives files away; others may pick one of their own groups.
func (v *view) Chown(name string, uid, gid int, follow bool) error {
	rel, info, err := v.owned("chown", name, follow)
	if err != nil {
		return err
	}
	if v.uid != 0 && (uid >= 0 && uid != info.uid || gid >= 0 && gid != v.gid && !slices.Contains(v.groups, gid)) {
		return pathError("chown", name, syscall.EPERM)
	}
	if uid < 0 {
		uid = info.uid
	}
	if gid < 0 {
		gid = info.gid
	}
	if info.mode&(fs.ModeSymlink|fs.ModeDevice) != 0 {
		v.setAttr(rel, attr{UID: uid, GID: gid})
		return nil
	}
	mode := info.mode
	if v.uid != 0 {
		mode &^= fs.ModeSetuid | fs.ModeSetgid
	}
	if err := v.setMode(rel, mode, info.IsDir(), uid, gid); err != nil {
		return pathError("chown", name, err)
	}
	return nil
}

func (v *view) Chtimes(name string, atime, mtime time.Time) error {
	rel, _, err := v.owned("utime", name, true)
	if err != nil {
		return err
	}
	if err := v.tree.Chtimes(rel, atime, mtime); err != nil {
		return pathError("utime", name, err)
	}
	return nil
}

func (v *view) Truncate(name string, size int64) error {
	f, err := v.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// walk calls fn for name and everything below it, parents first, without following links. fn may return fs.SkipDir.
func (v *view) walk(name string, fn func(name string, fi *fileInfo, err error) error) error {
	fi, err := v.Lstat(name)
	if err != nil {
		return fn(name, nil, err)
	}
	return v.walkInfo(name, fi, fn)
}

func (v *view) walkInfo(name string, fi *fileInfo, fn func(string, *fileInfo, error) error) error {
	if err := fn(name, fi, nil); err != nil {
		if err == fs.SkipDir {
			return nil
		}
		return err
	}
	if !fi.IsDir() {
		return nil
	}
	entries, err := v.ReadDir(name)
	if err != nil {
		return fn(name, fi, err)
	}
	for _, e := range entries {
		sub := name + "/" + e.Name()
		if strings.HasSuffix(name, "/") {
			sub = name + e.Name()
		}
		if err := v.walkInfo(sub, e, fn); err != nil {
			return err
		}
	}
	return nil
}

// file is an open file of the guest. Writes are booked against the guest's limit.
type file struct {
	f      *os.File
	d      *disk
	name   string
	append bool

	text *strings.Reader // virtual files
	sink bool

	mu  sync.Mutex
	end int64 // known size
}

func newFile(f *os.File, d *disk, name string, flag int) (*file, error) {
	out := &file{f: f, d: d, name: name, append: flag&os.O_APPEND != 0}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	// A name swapped for a fifo or device between the look and the open is refused here.
	if !fi.Mode().IsRegular() && !fi.IsDir() {
		f.Close()
		return nil, pathError("open", name, syscall.EPERM)
	}
	out.end = fi.Size()
	return out, nil
}

func (f *file) Read(p []byte) (int, error) {
	if f.text != nil {
		return f.text.Read(p)
	}
	return f.f.Read(p)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if f.text != nil {
		return f.text.ReadAt(p, off)
	}
	return f.f.ReadAt(p, off)
}

func (f *file) grow(to int64) error {
	if to > f.end {
		if err := f.d.charge(to - f.end); err != nil {
			return &fs.PathError{Op: "write", Path: f.name, Err: err}
		}
		f.end = to
	}
	return nil
}

func (f *file) Write(p []byte) (int, error) {
	if f.text != nil {
		return len(p), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	whence := io.SeekCurrent
	if f.append {
		whence = io.SeekEnd
	}
	at, err := f.f.Seek(0, whence)
	if err != nil {
		return 0, err
	}
	if err := f.grow(at + int64(len(p))); err != nil {
		return 0, err
	}
	return f.f.Write(p)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if f.text != nil {
		return len(p), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.append {
		end, err := f.f.Seek(0, io.SeekEnd)
		if err != nil {
			return 0, err
		}
		off = end
	}
	if off < 0 || off > 1<<40 {
		return 0, syscall.EINVAL
	}
	if err := f.grow(off + int64(len(p))); err != nil {
		return 0, err
	}
	return f.f.WriteAt(p, off)
}

func (f *file) Truncate(size int64) error {
	if f.text != nil {
		return nil
	}
	if size < 0 {
		return syscall.EINVAL
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if size < f.end {
		f.d.release(f.end-size, 0)
		f.end = size
	} else if err := f.grow(size); err != nil {
		return err
	}
	return f.f.Truncate(size)
}

func (f *file) Seek(off int64, whence int) (int64, error) {
	if f.text != nil {
		return f.text.Seek(off, whence)
	}
	return f.f.Seek(off, whence)
}

func (f *file) Close() error {
	if f.text != nil {
		return nil
	}
	return f.f.Close()
}
