// Package journal records what a run has begun and what came of it, on disk, before and after every step that touches
// the cloud, so that a run that died can be understood and cleaned up by anyone who finds its directory.
//
// A run is a directory. Its journal is journal.jsonl: one JSON object a line, appended and synced, never rewritten; a
// torn last line (power cut) is ignored. The file lock is held by flock for as long as the tfbake working on the run
// lives, so a lock that can be taken proves that no one is.
package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/tfbake/tfbake/internal/atomicfile"
	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
)

// Facts are what anyone needs to know to look after a run without its template. They hold no secret.
type Facts struct {
	RunID    string    `json:"run"`     // yymmdd-hhmmss-xxxx
	Name     string    `json:"name"`    // prefix of every resource of the run
	Started  time.Time `json:"started"` // by the cloud's clock
	Version  string    `json:"tfbake"`
	Template string    `json:"template"` // path as given, made absolute
	// TemplateDigest is the SHA-256 of the template's text, LoadedAt what its timestamp functions said, UUID the run's for
	// provisioners and manifests: a run is resumed with the template it began with.
	TemplateDigest string    `json:"template_sha256,omitempty"`
	LoadedAt       time.Time `json:"loaded_at"`
	UUID           string    `json:"uuid,omitempty"`
	Build          string    `json:"build"`
	// Variables holds a keyed digest of the value of each of the template's variables (see seal.Digest), and under "" one of
	// no value, which tells whether the key is the same.
	Variables map[string]string `json:"variables,omitempty"`

	Platform   string `json:"platform"` // classic or vpc
	Site       string `json:"site"`
	Region     string `json:"region"`
	RegionNo   string `json:"region_no,omitempty"` // Classic
	Hypervisor string `json:"hypervisor,omitempty"`
	ImageName  string `json:"image_name"`
	Endpoint   string `json:"endpoint,omitempty"` // when it is not the site's own
	// Account is AccountOf the run's access key: with the keys of another account nothing of the run is to be seen. Empty:
	// of a server role's keys, which change in time, or of a simulated cloud.
	Account   string `json:"account,omitempty"`
	Provider  string `json:"provider"` // official or embedded
	Terraform string `json:"terraform,omitempty"`
	LocalDir  string `json:"local_dir,omitempty"` // data of the simulated cloud of a -local run
	// Backend is where terraform keeps the run's state, {"pg": {…}}; empty: in the run's directory. See shared.go.
	Backend json.RawMessage `json:"backend,omitempty"`
}

// State of a step in the journal.
type State string

const (
	Begin  State = "begin"  // about to be done: from here on it may exist
	Done   State = "done"   // it exists, or is gone
	Failed State = "failed" // it came to nothing; what it left is unknown until looked for
)

// Steps of a run, in order. Each name is written to the journal, so they are part of its format.
const (
	LoginKey  = "login-key"
	Render    = "render"
	Init      = "terraform-init"
	Apply     = "terraform-apply"
	Provision = "provision"
	Step      = "provisioner" // one provisioner of the template; index counts from 0
	Stop      = "stop-server"
	Image     = "image"
	ImageWait = "image-wait"
	Share     = "image-share"
	Destroy   = "terraform-destroy"
	StartOver = "start-over" // everything is removed, to be created anew: what was done before it counts no more
	Disk      = "disk"       // a disk that came with the server and is the run's, though it does not bear its name
	Sweep     = "sweep"
	Keep      = "keep" // the user asked to leave everything as it is
	End       = "end"  // the run is over; left says what remains
)

// Entry is one line of the journal.
type Entry struct {
	Time    time.Time         `json:"time"` // by this machine's clock, which may jump: the order is that of the lines
	Step    string            `json:"step"`
	State   State             `json:"state"`
	Message string            `json:"message,omitempty"`
	Data    map[string]string `json:"data,omitempty"` // numbers and names: server_no, image_no, left, …
	Facts   *Facts            `json:"facts,omitempty"`
}

const (
	journalFile = "journal.jsonl"
	lockFile    = "lock"
	startStep   = "start"
)

// NewRunID returns a sortable id that fits every NCloud name rule behind the prefix tfb-.
func NewRunID(now time.Time) string {
	const letters = "abcdefghijkmnpqrstuvwxyz23456789" // 32, so that a byte maps without bias
	b := make([]byte, 4)
	rand.Read(b) // never fails since Go 1.24
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return now.UTC().Format("060102-150405") + "-" + string(b)
}

// AccountOf is what a run's facts say of the access key it was begun with: enough to know it again, not to tell it.
func AccountOf(runID, accessKey string) string {
	sum := sha256.Sum256([]byte(runID + "\n" + accessKey))
	return hex.EncodeToString(sum[:16])
}

var idPattern = regexp.MustCompile(`^\d{6}-\d{6}-[a-z0-9]{4}$`)

// IsRunID tells whether a word is a whole run id.
func IsRunID(word string) bool { return idPattern.MatchString(word) }

// Begun tells when a run began by the clock of its machine, from its id or its name.
func Begun(id string) (time.Time, error) {
	id = config.RunID(id)
	if len(id) < 13 {
		return time.Time{}, fmt.Errorf("%q is no run id", id)
	}
	return time.Parse("060102-150405", id[:13])
}

// Run is a run this process works on; it holds the run's lock.
type Run struct {
	Dir   string
	Facts Facts

	mu   sync.Mutex
	file interface { // nil until it is opened
		io.WriteCloser
		Sync() error
	}
	torn   bool // the last line was written in part
	lock   *flock.Flock
	now    func() time.Time
	redact func(string) string

	watch func(Entry) error // see Watch
}

// Create makes the directory of a new run below root (usually .tfbake/runs), locks it and writes the facts. redact takes
// secrets out of the messages that are noted later; nil: there are none.
func Create(root string, f Facts, redact func(string) string) (*Run, error) {
	dir := filepath.Join(root, f.RunID)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make the runs directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the run directory: %w", err)
	}
	r, err := open(dir, redact)
	if err == nil {
		r.Facts = f
		// The names of directory and journal, too, must outlive a power cut before anything is created.
		err = cmp.Or(r.append(Entry{Step: startStep, State: Done, Facts: &f}), atomicfile.SyncDir(dir), atomicfile.SyncDir(root))
	}
	if err != nil {
		if r != nil {
			r.Close()
		}
		os.RemoveAll(dir) // of no use to anybody: nothing was begun
		return nil, err
	}
	return r, nil
}

// Open takes over an existing run, for destroying or resuming it. It fails with a *LockedError while another tfbake
// works on it. redact is as in Create.
func Open(dir string, redact func(string) string) (*Run, Record, error) {
	if !IsRun(dir) {
		return nil, Record{}, fmt.Errorf("open run %s: %w", dir, os.ErrNotExist)
	}
	r, err := open(dir, redact)
	if err != nil {
		return nil, Record{}, err
	}
	rec, err := Read(dir)
	if err != nil {
		r.Close()
		return nil, Record{}, err
	}
	r.Facts = rec.Facts
	return r, rec, nil
}

func open(dir string, redact func(string) string) (*Run, error) {
	r, err := lock(dir, redact)
	if err != nil {
		return nil, err
	}
	if err := r.openFile(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// lockPatience is how long a lock is asked for: whoever only looks whether a run is worked on holds it for an instant, too.
var lockPatience = time.Second // a variable for tests

// lock takes a run directory's lock; its journal is still to be opened.
func lock(dir string, redact func(string) string) (*Run, error) {
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	_, err := lock.TryLockContext(ctx, 20*time.Millisecond)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &LockedError{Dir: dir, Holder: holder(dir)}
	}
	if err != nil {
		return nil, fmt.Errorf("lock run %s: %w", dir, err)
	}
	// Who holds it is only for people; the lock itself is the flock.
	host, _ := os.Hostname()
	os.WriteFile(filepath.Join(dir, lockFile), fmt.Appendf(nil, "pid %d on %s\n", os.Getpid(), host), 0o600)
	return &Run{Dir: dir, lock: lock, now: clock.Now, redact: redact}, nil
}

// openFile opens the journal, or the one that has taken its place.
func (r *Run) openFile() error {
	path := filepath.Join(r.Dir, journalFile)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	if err := endTornLine(file); err != nil {
		file.Close()
		return fmt.Errorf("mend the journal %s: %w", path, err)
	}
	if r.file != nil {
		r.file.Close()
	}
	r.file, r.torn = file, false
	return nil
}

// endTornLine closes a line that a crash cut off, so that the next entry starts on a line of its own.
func endTornLine(f *os.File) error {
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, st.Size()-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	_, err = f.Write([]byte("\n"))
	return err
}

// Begin notes that a step is about to be done. It must be called, and must succeed, before anything is created.
func (r *Run) Begin(step string, data map[string]string) error {
	return r.append(Entry{Step: step, State: Begin, Data: data})
}

// Done notes what came of a step.
func (r *Run) Done(step string, data map[string]string) error {
	return r.append(Entry{Step: step, State: Done, Data: data})
}

// Fail notes that a step failed.
func (r *Run) Fail(step, message string, data map[string]string) error {
	return r.append(Entry{Step: step, State: Failed, Message: message, Data: data})
}

// End notes that the run is over: how many resources are left, by the API's word, and why it failed if it did.
func (r *Run) End(left int, failure error) error {
	e := Entry{Step: End, State: Done, Data: map[string]string{"left": strconv.Itoa(left)}}
	if failure != nil {
		e.State, e.Message = Failed, failure.Error()
	}
	return r.append(e)
}

func (r *Run) append(e Entry) error {
	e.Time = r.now().UTC().Truncate(time.Millisecond)
	if r.redact != nil {
		e.Message = r.redact(e.Message)
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.torn { // by a disk that was full, say, and is not any more
		line = append([]byte("\n"), line...)
	}
	if n, err := r.file.Write(append(line, '\n')); err != nil {
		r.torn = r.torn || n > 0
		return fmt.Errorf("write the journal in %s: %w", r.Dir, err)
	}
	r.torn = false
	if err := r.file.Sync(); err != nil {
		return fmt.Errorf("sync the journal in %s: %w", r.Dir, err)
	}
	if r.watch != nil {
		return r.watch(e)
	}
	return nil
}

// Close gives the run up without touching its files.
func (r *Run) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.file != nil {
		err = r.file.Close()
	}
	return errors.Join(err, r.lock.Unlock())
}

// Remove deletes the run's directory; only for a run that left nothing in the cloud.
func (r *Run) Remove() error {
	// The journal goes last: whatever is interrupted in between still says what the run was.
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		return fmt.Errorf("remove run directory: %w", err)
	}
	for _, e := range entries {
		if e.Name() == journalFile || e.Name() == lockFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(r.Dir, e.Name())); err != nil {
			return fmt.Errorf("remove run directory: %w", err)
		}
	}
	r.Close()
	if err := os.RemoveAll(r.Dir); err != nil {
		return fmt.Errorf("remove run directory: %w", err)
	}
	return nil
}

// LockedError says that another tfbake works on the run.
type LockedError struct{ Dir, Holder string }

func (e *LockedError) Error() string {
	who := e.Holder
	if who == "" {
		who = "an unknown process"
	}
	return fmt.Sprintf("run %s is being worked on by another tfbake (%s): wait for it to end", filepath.Base(e.Dir), who)
}

func holder(dir string) string {
	b, _ := os.ReadFile(filepath.Join(dir, lockFile))
	return strings.TrimSpace(string(b))
}

// Record is what a journal says.
type Record struct {
	Dir     string
	Facts   Facts
	Entries []Entry
	Torn    bool // a line was cut off or unreadable
	Working bool // a tfbake holds the lock right now
}

// Read reads a run's journal without locking it.
func Read(dir string) (Record, error) {
	var f io.ReadCloser
	f, err := os.Open(filepath.Join(dir, journalFile))
	if errors.Is(err, os.ErrNotExist) && IsRun(dir) {
		f, err = io.NopCloser(strings.NewReader("")), nil // lost with all it said
	}
	if err != nil {
		return Record{}, fmt.Errorf("read the journal: %w", err)
	}
	defer f.Close()
	rec := Record{Dir: dir}
	rec.Entries, rec.Torn, err = parse(f)
	if err != nil {
		return Record{}, fmt.Errorf("read the journal in %s: %w", dir, err)
	}
	i := slices.IndexFunc(rec.Entries, func(e Entry) bool { return e.Facts != nil })
	if i < 0 {
		// The first line is lost. The directory's name is the id; see Lost.
		rec.Facts = Facts{RunID: filepath.Base(dir), Name: config.RunName(filepath.Base(dir))}
		rec.Facts.Started, _ = Begun(rec.Facts.RunID)
		rec.Torn = true
		return rec, nil
	}
	rec.Facts = *rec.Entries[i].Facts
	return rec, nil
}

// Lost tells whether the facts are lost: all that is known of the run is its id.
func (r Record) Lost() bool { return r.Facts.Platform == "" }

// IsRun tells whether dir is a run directory, if one whose journal is lost.
func IsRun(dir string) bool {
	if st, err := os.Stat(filepath.Join(dir, journalFile)); err == nil {
		return !st.IsDir()
	}
	abs, err := filepath.Abs(dir)
	if err != nil || !IsRunID(filepath.Base(abs)) {
		return false
	}
	st, err := os.Stat(dir)
	return err == nil && st.IsDir()
}

// Bare tells whether a run directory holds nothing but journal and lock, and the journal nothing: its tfbake died, or
// removed it, with nothing in the cloud.
func (r Record) Bare() bool {
	if len(r.Entries) > 0 {
		return false
	}
	files, err := os.ReadDir(r.Dir)
	return err == nil && !slices.ContainsFunc(files, func(f os.DirEntry) bool { return f.Name() != journalFile && f.Name() != lockFile })
}

func parse(r io.Reader) (entries []Entry, torn bool, err error) {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var e Entry
			if json.Unmarshal(line, &e) == nil {
				entries = append(entries, e)
			} else {
				torn = true
			}
		}
		if errors.Is(err, io.EOF) {
			return entries, torn, nil
		}
		if err != nil {
			return nil, torn, err
		}
	}
}

// List reads all runs below root, oldest first. A missing root is no runs.
func List(root string) ([]Record, error) {
	dirs, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var recs []Record
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		rec, err := Read(filepath.Join(root, d.Name()))
		if errors.Is(err, os.ErrNotExist) || err == nil && rec.Bare() && newborn(rec.Dir) {
			continue // not a run, or one that is being made or removed
		}
		if err != nil {
			return nil, err
		}
		rec.Working = locked(rec.Dir)
		recs = append(recs, rec)
	}
	return recs, nil
}

// newborn tells whether a directory changed less than a minute ago.
func newborn(dir string) bool {
	st, err := os.Stat(dir)
	return err == nil && clock.Now().Sub(st.ModTime()).Abs() < time.Minute
}

func locked(dir string) bool {
	l := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600), flock.SetFlag(os.O_RDWR))
	ok, err := l.TryRLock()
	if err != nil {
		return false
	}
	if ok {
		l.Unlock()
	}
	return !ok
}

// Last returns the newest entry of a step, and whether there is one.
func (r Record) Last(step string) (Entry, bool) {
	for i := len(r.Entries) - 1; i >= 0; i-- {
		if r.Entries[i].Step == step {
			return r.Entries[i], true
		}
	}
	return Entry{}, false
}

// Value returns the newest value noted under a key by any step.
func (r Record) Value(key string) string {
	for i := len(r.Entries) - 1; i >= 0; i-- {
		if v := r.Entries[i].Data[key]; v != "" {
			return v
		}
	}
	return ""
}

// BegunImage is an image whose making the journal says was begun.
type BegunImage struct {
	No       string // empty when the answer that held it never came
	Name     string
	ServerNo string // it is made of
	Finished bool
}

// Image returns the image whose making was begun last; ok is false when there is none.
func (r Record) Image() (i BegunImage, ok bool) {
	for _, e := range r.Entries {
		switch {
		case e.Step == Image && e.State == Begin:
			i, ok = BegunImage{Name: cmp.Or(e.Data["image_name"], r.Facts.ImageName), ServerNo: e.Data["server_no"]}, true
		case e.Step == Image || e.Step == ImageWait:
			i.No = cmp.Or(e.Data["image_no"], i.No)
			i.Finished = e.Step == ImageWait && e.State == Done
			ok = true
		}
	}
	i.Name = cmp.Or(i.Name, r.Facts.ImageName)
	return i, ok
}

// UnfinishedImage returns the image whose making was begun and not seen to its end; ok is false when there is none.
func (r Record) UnfinishedImage() (i BegunImage, ok bool) {
	i, ok = r.Image()
	return i, ok && !i.Finished && (i.No != "" || i.Name != "")
}

// Created tells whether the run began to create anything.
func (r Record) Created() bool {
	_, key := r.Last(LoginKey)
	_, apply := r.Last(Apply)
	return key || apply || r.Lost()
}

// Disks returns the numbers of the disks noted as the run's.
func (r Record) Disks() []string {
	var nos []string
	for _, e := range r.Entries {
		if e.Step == Disk {
			nos = append(nos, e.Data["disk_no"])
		}
	}
	return nos
}

// NextProvisioner returns the index of the first provisioner that is not known to be finished.
func (r Record) NextProvisioner() int {
	e, ok := r.Last(Step)
	if !ok {
		return 0
	}
	i, err := strconv.Atoi(e.Data["index"])
	if err != nil || i < 0 {
		return 0
	}
	if e.State == Done {
		i++
	}
	return i
}

// KeptUntil returns until when a kept run is to be left alone; zero: no end was set.
func (r Record) KeptUntil() time.Time {
	if !r.kept() {
		return time.Time{}
	}
	t, _ := time.Parse(time.RFC3339, r.Entries[len(r.Entries)-1].Data["until"])
	return t
}

// kept tells whether the last thing that happened is that the run was kept: one that was resumed or destroyed since, and
// died at that, is like any other dead run.
func (r Record) kept() bool {
	n := len(r.Entries)
	return n > 0 && r.Entries[n-1].Step == Keep
}

// Status tells in a word how the run stands: running, kept, done, failed (over, nothing left), leftovers (over, but
// something remains), interrupted (its tfbake died).
func (r Record) Status() string {
	if r.Working {
		return "running"
	}
	if end, ok := r.Last(End); ok {
		switch {
		case end.Data["left"] != "" && end.Data["left"] != "0":
			return "leftovers"
		case end.State == Failed:
			return "failed"
		}
		return "done"
	}
	if r.kept() {
		return "kept"
	}
	return "interrupted"
}
