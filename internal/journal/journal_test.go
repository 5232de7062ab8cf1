package journal

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func create(t *testing.T) *Run {
	t.Helper()
	id := NewRunID(time.Now())
	r, err := Create(filepath.Join(t.TempDir(), "runs"), Facts{RunID: id, Name: "tfb-" + id, ImageName: "web"})
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

	again, rec, err := Open(r.Dir)
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
	_, _, err := Open(r.Dir)
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
	begin := Entry{Step: Image, State: Begin}
	for _, c := range []struct {
		what     string
		entries  []Entry
		no, name string
	}{
		{"never begun", []Entry{{Step: Apply, State: Done}}, "", ""},
		{"killed while it was begun", []Entry{begin}, "", "web"},
		{"cut off, but it exists", []Entry{begin, {Step: Image, State: Failed, Data: map[string]string{"image_no": "9"}}}, "9", "web"},
		{"being made", []Entry{begin, {Step: Image, State: Done, Data: map[string]string{"image_no": "9"}}, {Step: ImageWait, State: Failed}}, "9", "web"},
		{"finished", []Entry{begin, {Step: Image, State: Done, Data: map[string]string{"image_no": "9"}}, {Step: ImageWait, State: Done}}, "", ""},
	} {
		no, name := Record{Facts: Facts{ImageName: "web"}, Entries: c.entries}.UnfinishedImage()
		if no != c.no || name != c.name {
			t.Errorf("%s: %q %q, want %q %q", c.what, no, name, c.no, c.name)
		}
	}
}
