package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/tfbake/tfbake/internal/atomicfile"
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

// Restore makes the directory of a run from its journal's text, as another machine wrote it, and opens it. redact is as in
// Create. The directory is no run before it has the whole text: an empty journal would say that nothing was ever created.
func Restore(root, id string, text []byte, redact func(string) string) (*Run, Record, error) {
	dir := filepath.Join(root, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, Record{}, fmt.Errorf("make the run directory: %w", err)
	}
	r, err := lock(dir, redact)
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
	if err := atomicfile.Write(filepath.Join(r.Dir, journalFile), text, 0o600); err != nil {
		return rec, fmt.Errorf("take over the journal: %w", err)
	}
	if err := r.openFile(); err != nil {
		return rec, err
	}
	r.Facts = rec.Facts
	rec.Dir = r.Dir
	return rec, atomicfile.SyncDir(r.Dir)
}
