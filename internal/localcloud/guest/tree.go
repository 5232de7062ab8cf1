package guest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tree is all files of a guest: its root file system and what is mounted in it. Its methods are those of [os.Root] and
// [disk], by a path in the guest; each ends in the one file system that holds the path, so that a mount leads no further
// out of the guest's directories than the root does.
type tree struct {
	main *disk

	// virtual files are made when read: /proc/uptime and the like. Set before use, read-only later.
	virtual map[string]func() string

	mu     sync.RWMutex
	mounts []mount         // in the order of mounting: a later one hides an earlier one
	nodes  map[string]bool // names of block devices, "dev/xvdb"
}

// mount is a file system of an additional disk, seen at a directory.
type mount struct {
	at     string // below the root, without leading slash
	disk   *disk
	source string // /dev/xvdb1
	fstype string
	opts   string
	size   int64 // of the device, in bytes
}

// diskGroup owns block devices.
const diskGroup = 6

// find returns the file system that holds a path, and the path in it.
func (t *tree) find(rel string) (*disk, string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range slices.Backward(t.mounts) {
		if rel == m.at {
			return m.disk, "."
		}
		if sub, ok := strings.CutPrefix(rel, m.at+"/"); ok {
			return m.disk, sub
		}
	}
	return t.main, rel
}

func (t *tree) disk(rel string) *disk { d, _ := t.find(rel); return d }

// mountedOn tells whether a file system is mounted at this very path.
func (t *tree) mountedOn(rel string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.ContainsFunc(t.mounts, func(m mount) bool { return m.at == rel })
}

func (t *tree) isNode(rel string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.nodes[rel]
}

func (t *tree) mounted() []mount {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Clone(t.mounts)
}

// disks lists every file system once.
func (t *tree) disks() []*disk {
	list := []*disk{t.main}
	for _, m := range t.mounted() {
		if !slices.Contains(list, m.disk) {
			list = append(list, m.disk)
		}
	}
	return list
}

func (t *tree) flush() error {
	var errs []error
	for _, d := range t.disks() {
		errs = append(errs, d.flush())
	}
	return errors.Join(errs...)
}

func (t *tree) close() error {
	var errs []error
	for _, d := range t.disks() {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

func (t *tree) Lstat(rel string) (fs.FileInfo, error) {
	d, sub := t.find(rel)
	return d.root.Lstat(sub)
}

func (t *tree) Readlink(rel string) (string, error) {
	d, sub := t.find(rel)
	return d.root.Readlink(sub)
}

func (t *tree) Open(rel string) (*os.File, error) {
	d, sub := t.find(rel)
	return d.root.Open(sub)
}

func (t *tree) OpenFile(rel string, flag int, perm fs.FileMode) (*os.File, error) {
	d, sub := t.find(rel)
	return d.root.OpenFile(sub, flag, perm)
}

func (t *tree) WriteFile(rel string, data []byte, perm fs.FileMode) error {
	d, sub := t.find(rel)
	return d.root.WriteFile(sub, data, perm)
}

func (t *tree) Mkdir(rel string, perm fs.FileMode) error {
	d, sub := t.find(rel)
	return d.root.Mkdir(sub, perm)
}

func (t *tree) Remove(rel string) error {
	d, sub := t.find(rel)
	return d.root.Remove(sub)
}

func (t *tree) Symlink(target, rel string) error {
	d, sub := t.find(rel)
	return d.root.Symlink(target, sub)
}

func (t *tree) Chmod(rel string, mode fs.FileMode) error {
	d, sub := t.find(rel)
	return d.root.Chmod(sub, mode)
}

func (t *tree) Chtimes(rel string, atime, mtime time.Time) error {
	d, sub := t.find(rel)
	return d.root.Chtimes(sub, atime, mtime)
}

func (t *tree) Rename(from, to string) error {
	d, sub := t.find(from)
	e, dst := t.find(to)
	if d != e {
		return syscall.EXDEV
	}
	for _, m := range t.mounted() {
		if strings.HasPrefix(m.at, from+"/") || strings.HasPrefix(m.at, to+"/") {
			return syscall.EBUSY // a directory that holds a mount point stays where it is
		}
	}
	return d.root.Rename(sub, dst)
}

func (t *tree) Link(from, to string) error {
	d, sub := t.find(from)
	e, dst := t.find(to)
	if d != e {
		return syscall.EXDEV
	}
	return d.root.Link(sub, dst)
}

func (t *tree) attr(rel string) (attr, bool) {
	d, sub := t.find(rel)
	return d.attr(sub)
}

func (t *tree) setAttr(rel string, a attr) {
	d, sub := t.find(rel)
	d.setAttr(sub, a)
}

// moveAttrs follows a rename within one file system, or a removal (to is empty).
func (t *tree) moveAttrs(from, to string) {
	d, sub := t.find(from)
	if to != "" {
		_, to = t.find(to)
	}
	d.moveAttrs(sub, to)
}

// move renames, or copies and removes what a rename cannot take to another file system.
func (v *view) move(from, to string) error {
	err := v.Rename(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	if old, err := v.Lstat(to); err == nil && !old.IsDir() {
		if err := v.Remove(to); err != nil {
			return err
		}
	}
	if err := v.copyAcross(from, to); err != nil {
		return err
	}
	return v.RemoveAll(from)
}

func (v *view) copyAcross(from, to string) error {
	fi, err := v.Lstat(from)
	if err != nil {
		return err
	}
	switch {
	case fi.mode&fs.ModeSymlink != 0:
		target, err := v.Readlink(from)
		if err != nil {
			return err
		}
		return v.Symlink(target, to)
	case fi.IsDir():
		if err := v.Mkdir(to, 0o700); err != nil {
			return err
		}
		entries, err := v.ReadDir(from)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := v.copyAcross(path.Join(from, e.name), path.Join(to, e.name)); err != nil {
				return err
			}
		}
	case fi.mode.IsRegular():
		in, err := v.OpenFile(from, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := v.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	default:
		return pathError("move", from, syscall.EPERM)
	}
	v.Chown(to, fi.uid, fi.gid, false) // as far as the user may
	return errors.Join(v.Chmod(to, fi.mode), v.Chtimes(to, time.Time{}, fi.ModTime()))
}
