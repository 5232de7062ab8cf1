package journal

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

func create(t *testing.T) *Run {
	t.Helper()
	id := NewRunID(time.Now())
	r, err := Create(filepath.Join(t.TempDir(), "runs"), Facts{RunID: id, Name: "tfb-" + id, ImageName: "web"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestRunIDFitsEveryNameRule(t *testing.T) {
	id := NewRunID(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if !regexp.MustCompile(`^260102-030405-[a-z0-9]{4}$`).MatchString(id) {
		t.Errorf("run id %q", id)
	}
	if n := len("tfb-" + id + "-script9"); n > 30 {
		t.Errorf("a suffixed name has %d characters, NCloud allows 30", n)
	}
}

func TestWrittenEntriesComeBack(t *testing.T) {
	r := create(t)
	if err := r.Begin(Apply, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Done(Apply, map[string]string{"server_no": "12"}); err != nil {
		t.Fatal(err)
	}
	rec, err := Read(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Facts.ImageName != "web" || rec.Value("server_no") != "12" || rec.Torn {
		t.Errorf("record %+v", rec)
	}
	if e, ok := rec.Last(Apply); !ok || e.State != Done {
		t.Errorf("last apply entry %+v, %v", e, ok)
	}
}

func TestTornLastLineIsIgnoredAndMended(t *testing.T) {
	r := create(t)
	r.Begin(Apply, nil)
	r.Close()
	path := filepath.Join(r.Dir, journalFile)
	b, _ := os.ReadFile(path)
	os.WriteFile(path, append(b, []byte(`{"time":"2026-01-01T00:00:00Z","step":"ima`)...), 0o600)

	again, rec, err := Open(r.Dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !rec.Torn || len(rec.Entries) != 2 {
		t.Errorf("torn %v, entries %d; want true, 2", rec.Torn, len(rec.Entries))
	}
	if err := again.Done(Destroy, nil); err != nil {
		t.Fatal(err)
	}
	rec, _ = Read(r.Dir)
	if _, ok := rec.Last(Destroy); !ok {
		t.Error("the entry after a torn line was lost")
	}
}

func TestJournalCutAtEveryByteStillNamesTheRun(t *testing.T) {
	r := create(t)
	r.Begin(LoginKey, map[string]string{"key": "tfb-x-key"})
	r.Close()
	path := filepath.Join(r.Dir, journalFile)
	whole, _ := os.ReadFile(path)
	for n := range len(whole) {
		os.WriteFile(path, whole[:n], 0o600)
		rec, err := Read(r.Dir)
		if err != nil {
			t.Fatalf("cut at byte %d: %v", n, err)
		}
		if rec.Facts.Name != "tfb-"+r.Facts.RunID {
			t.Fatalf("cut at byte %d: name %q", n, rec.Facts.Name)
		}
	}
}

func TestOnlyOneTfbakeWorksOnARun(t *testing.T) {
	r := create(t)
	_, _, err := Open(r.Dir, nil)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Holder == "" {
		t.Fatalf("second open: %v; want a LockedError that names the holder", err)
	}
	recs, err := List(filepath.Dir(r.Dir))
	if err != nil || len(recs) != 1 || recs[0].Status() != "running" {
		t.Fatalf("list %+v, %v", recs, err)
	}
	r.Close()
	recs, _ = List(filepath.Dir(r.Dir))
	if recs[0].Status() != "interrupted" {
		t.Errorf("status of a run whose tfbake died: %s", recs[0].Status())
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		want    string
		entries []Entry
	}{
		{"interrupted", []Entry{{Step: Apply, State: Begin}}},
		{"kept", []Entry{{Step: Apply, State: Done}, {Step: Keep, State: Done}}},
		{"interrupted", []Entry{{Step: Keep, State: Done}, {Step: Init, State: Begin}}}, // a resume that died
		{"done", []Entry{{Step: Keep, State: Done}, {Step: End, State: Done, Data: map[string]string{"left": "0"}}}},
		{"failed", []Entry{{Step: End, State: Failed, Data: map[string]string{"left": "0"}}}},
		{"leftovers", []Entry{{Step: End, State: Done, Data: map[string]string{"left": "2"}}}},
	} {
		if got := (Record{Entries: c.entries}).Status(); got != c.want {
			t.Errorf("status %s, want %s", got, c.want)
		}
	}
}

func TestRemove(t *testing.T) {
	r := create(t)
	os.WriteFile(filepath.Join(r.Dir, "main.tf"), nil, 0o600)
	if err := r.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestUnfinishedImage(t *testing.T) {
	begin := Entry{Step: Image, State: Begin, Data: map[string]string{"image_name": "web", "server_no": "7"}}
	number := map[string]string{"image_no": "9"}
	for _, c := range []struct {
		what    string
		entries []Entry
		want    BegunImage
		ok      bool
	}{
		{"never begun", []Entry{{Step: Apply, State: Done}}, BegunImage{}, false},
		{"killed while it was begun", []Entry{begin}, BegunImage{Name: "web", ServerNo: "7"}, true},
		{"cut off, but it exists", []Entry{begin, {Step: Image, State: Failed, Data: number}}, BegunImage{No: "9", Name: "web", ServerNo: "7"}, true},
		{"found by a resume", []Entry{begin, {Step: ImageWait, State: Begin, Data: number}}, BegunImage{No: "9", Name: "web", ServerNo: "7"}, true},
		{"being made", []Entry{begin, {Step: Image, State: Done, Data: number}, {Step: ImageWait, State: Failed}}, BegunImage{No: "9", Name: "web", ServerNo: "7"}, true},
		{"begun anew", []Entry{begin, {Step: Image, State: Done, Data: number}, begin}, BegunImage{Name: "web", ServerNo: "7"}, true},
		{"finished", []Entry{begin, {Step: Image, State: Done, Data: number}, {Step: ImageWait, State: Done}}, BegunImage{}, false},
	} {
		got, ok := Record{Entries: c.entries}.UnfinishedImage()
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v %v, want %+v %v", c.what, got, ok, c.want, c.ok)
		}
	}
}

// A run whose journal is gone is still a run, to be asked after by its name; a directory that is only being made is none yet.
func TestALostJournal(t *testing.T) {
	r := create(t)
	r.Close()
	os.WriteFile(filepath.Join(r.Dir, "main.tf"), nil, 0o600)
	os.Remove(filepath.Join(r.Dir, journalFile))
	recs, err := List(filepath.Dir(r.Dir))
	if err != nil || len(recs) != 1 || !recs[0].Lost() || recs[0].Bare() || recs[0].Facts.Name != "tfb-"+r.Facts.RunID || !recs[0].Created() {
		t.Fatalf("%+v, %v", recs, err)
	}
	again, rec, err := Open(r.Dir, nil)
	if err != nil || !rec.Lost() || rec.Bare() {
		t.Fatalf("%+v, %v", rec, err)
	}
	again.Close()

	os.Remove(filepath.Join(r.Dir, "main.tf"))
	if recs, _ := List(filepath.Dir(r.Dir)); len(recs) != 0 {
		t.Errorf("a directory that is being made counts as a run: %+v", recs)
	}
	old := time.Now().Add(-time.Hour)
	os.Chtimes(r.Dir, old, old)
	if recs, _ := List(filepath.Dir(r.Dir)); len(recs) != 1 || !recs[0].Bare() {
		t.Errorf("an old bare directory: %+v", recs)
	}
	other := filepath.Join(filepath.Dir(r.Dir), "notes")
	os.Mkdir(other, 0o700)
	if IsRun(other) {
		t.Error("any directory is a run")
	}
}

func TestMessagesAreRedacted(t *testing.T) {
	id := NewRunID(time.Now())
	redact := func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }
	r, err := Create(t.TempDir(), Facts{RunID: id, Name: "tfb-" + id}, redact)
	if err != nil {
		t.Fatal(err)
	}
	var told []Entry
	r.Watch(func(e Entry) error { told = append(told, e); return nil })
	err = errors.Join(r.Fail(Provision, "the password hunter2 is wrong", nil), r.End(0, errors.New("hunter2 again")), r.Close())
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := Open(r.Dir, redact)
	if err != nil {
		t.Fatal(err)
	}
	restored, _, err := Restore(t.TempDir(), id, read(t, again.Dir), redact)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Run{again, restored} {
		if err := errors.Join(r.Fail(Destroy, "still hunter2", nil), r.Close()); err != nil {
			t.Fatal(err)
		}
		if text := string(read(t, r.Dir)); strings.Contains(text, "hunter2") || strings.Count(text, "***") != 3 {
			t.Errorf("the journal:\n%s", text)
		}
	}
	if len(told) != 2 || strings.Contains(told[0].Message+told[1].Message, "hunter2") {
		t.Errorf("told: %v", told)
	}
}

func read(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := Text(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fullDisk is a file on a disk that has no more room than its size.
type fullDisk struct {
	*os.File
	room *int
}

func (f fullDisk) Write(p []byte) (int, error) {
	if n := min(len(p), *f.room); n < len(p) {
		*f.room = 0
		n, _ = f.File.Write(p[:n])
		return n, errors.New("no space left on device")
	}
	*f.room -= len(p)
	return f.File.Write(p)
}

func TestAnEntryAfterAFullDiskIsNotLost(t *testing.T) {
	r := create(t)
	room := 20
	r.file = fullDisk{r.file.(*os.File), &room}
	for range 2 { // the first is cut off, the second comes to nothing
		if err := r.Begin(Apply, nil); err == nil {
			t.Fatal("written to a full disk")
		}
	}
	room = 1000
	if err := errors.Join(r.Begin(Destroy, nil), r.Done(Destroy, nil)); err != nil {
		t.Fatal(err)
	}
	rec, err := Read(r.Dir)
	if err != nil || !rec.Torn || len(rec.Entries) != 3 || rec.Entries[1].Step != Destroy {
		t.Errorf("%+v, %v", rec, err)
	}
}

func TestALookAtTheLockIsNotAnOwner(t *testing.T) {
	r := create(t)
	r.Close()
	look := flock.New(filepath.Join(r.Dir, lockFile))
	if ok, err := look.TryRLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer func(d time.Duration) { lockPatience = d }(lockPatience)
	lockPatience = time.Minute
	time.AfterFunc(50*time.Millisecond, func() { look.Unlock() })
	again, _, err := Open(r.Dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// A death in the middle of Restore must not leave what looks like a run that never began.
func TestARestoredRunIsNoneBeforeItHasItsJournal(t *testing.T) {
	r := create(t)
	r.Begin(Apply, nil)
	r.Close()
	text := read(t, r.Dir)

	root := t.TempDir()
	dir := filepath.Join(root, r.Facts.RunID)
	if err := os.MkdirAll(filepath.Join(dir, journalFile), 0o700); err != nil { // so that the text cannot get its name
		t.Fatal(err)
	}
	if _, _, err := Restore(root, r.Facts.RunID, text, nil); err == nil {
		t.Fatal("restored over a directory")
	}
	if err := os.Remove(filepath.Join(dir, journalFile)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Restore(root, r.Facts.RunID, nil, nil); err == nil { // ends where the text is to be written
		t.Fatal("restored from nothing")
	}
	if recs, err := List(root); err != nil || len(recs) != 0 {
		t.Errorf("a run without its journal: %+v, %v", recs, err)
	}
	again, rec, err := Restore(root, r.Facts.RunID, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, ok := rec.Last(Apply); !ok || again.Done(Apply, nil) != nil {
		t.Errorf("%+v", rec)
	}
}
