package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// A run whose state is shared (a backend) shares its journal, too: it is carried as text from machine to machine.

// Watch has f called after every entry that is on the disk from now on, one call at a time. Its error becomes that of
// Begin, Done, Fail or End.
func (r *Run) Watch(f func(Entry) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watch = f
}

// Text returns the whole journal of a run directory.
func Text(dir string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, journalFile))
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return b, nil
}

// Parse reads a journal's text.
func Parse(text []byte) (Record, error) {
	entries, torn, err := parse(bytes.NewReader(text))
	if err != nil {
		return Record{}, err
	}
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Facts != nil })
	if i < 0 {
		return Record{}, errors.New("the journal names no run")
	}
	return Record{Facts: *entries[i].Facts, Entries: entries, Torn: torn}, nil
}

// Restore makes the directory of a run from its journal's text, as another machine wrote it, and opens it.
func Restore(root, id string, text []byte) (*Run, Record, error) {
	dir := filepath.Join(root, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, Record{}, fmt.Errorf("make the run directory: %w", err)
	}
	r, err := open(dir)
	if err != nil {
		return nil, Record{}, err
	}
	rec, err := r.Replace(text)
	if err != nil {
		r.Close()
		return nil, Record{}, err
	}
	return r, rec, nil
}

// Replace puts the text of another machine's journal of the same run in the place of this one.
func (r *Run) Replace(text []byte) (Record, error) {
	rec, err := Parse(text)
	if err != nil {
		return rec, fmt.Errorf("take over the journal of %s: %w", filepath.Base(r.Dir), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	path := filepath.Join(r.Dir, journalFile)
	tmp := path + ".new"
	if err := writeSynced(tmp, text); err != nil {
		return rec, fmt.Errorf("take over the journal: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return rec, fmt.Errorf("take over the journal: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return rec, fmt.Errorf("take over the journal: %w", err)
	}
	if err := endTornLine(file); err != nil {
		file.Close()
		return rec, fmt.Errorf("take over the journal: %w", err)
	}
	r.file.Close()
	r.file = file
	r.Facts = rec.Facts
	rec.Dir = r.Dir
	return rec, syncDir(r.Dir)
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(b))
	return errors.Join(err, f.Sync(), f.Close())
}
