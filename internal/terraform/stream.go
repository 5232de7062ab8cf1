package terraform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// event is one line of the machine-readable UI (terraform -json, version 1.x; OpenTofu's is the same but for the names of
// the program). Unknown fields and types are ignored, as the format's rules ask.
// Source: developer.hashicorp.com/terraform/internals/machine-readable-ui, and recorded runs in testdata.
type event struct {
	Level   string `json:"@level"`
	Message string `json:"@message"`
	Module  string `json:"@module"`
	Type    string `json:"type"`
	UI      string `json:"ui"`
	Hook    struct {
		Resource resourceRef `json:"resource"`
		Action   string      `json:"action"`
		IDValue  string      `json:"id_value"`
		Elapsed  float64     `json:"elapsed_seconds"`
	} `json:"hook"`
	Changes struct {
		Add       int    `json:"add"`
		Change    int    `json:"change"`
		Remove    int    `json:"remove"`
		Operation string `json:"operation"`
	} `json:"changes"`
	Outputs map[string]struct {
		Sensitive bool            `json:"sensitive"`
		Value     json.RawMessage `json:"value"`
	} `json:"outputs"`
	Diagnostic *rawDiagnostic `json:"diagnostic"`
}

type resourceRef struct {
	Addr string `json:"addr"`
	Type string `json:"resource_type"`
}

type rawDiagnostic struct {
	Severity string `json:"severity"`
	Summary  string `json:"summary"`
	Detail   string `json:"detail"`
	Address  string `json:"address"`
	Range    *struct {
		Filename string `json:"filename"`
		Start    struct {
			Line int `json:"line"`
		} `json:"start"`
	} `json:"range"`
	Snippet *struct {
		Context string `json:"context"`
		Code    string `json:"code"`
		Values  []struct {
			Traversal string `json:"traversal"`
		} `json:"values"`
	} `json:"snippet"`
}

// stream takes terraform's output, line by line of any length, tells it to a Log, and keeps what the caller will ask for.
// It never fails and is safe for concurrent use.
type stream struct {
	log Log
	now func() time.Time

	mu          sync.Mutex
	diagnostics []Diagnostic
	outputs     map[string]string
	text        []string // last lines that were no JSON
	inFlight    map[string]work
	warned      map[string]bool
}

// work is a resource terraform is busy with.
type work struct {
	name, doing string
	since       time.Time
	told        time.Duration // when progress was last told
}

func newStream(log Log) *stream {
	return &stream{log: log, now: time.Now, outputs: map[string]string{}, inFlight: map[string]work{}, warned: map[string]bool{}}
}

// maxLine bounds what is kept of one line; what terraform prints on one line is far below it.
const maxLine = 16 << 20

// lines is a writer that cuts its input into lines and hands them to the stream. Each source has its own.
type lines struct {
	to  *stream
	mu  sync.Mutex
	buf []byte
}

func (w *lines) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		line := p[:i]
		if len(w.buf) > 0 {
			line = append(w.buf, line...)
		}
		w.to.line(line)
		w.buf = w.buf[:0]
		p = p[i+1:]
	}
	if len(w.buf)+len(p) <= maxLine {
		w.buf = append(w.buf, p...)
	}
	return n, nil
}

// Close takes an unfinished line.
func (w *lines) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) > 0 {
		w.to.line(w.buf)
		w.buf = nil
	}
	return nil
}

func (s *stream) line(line []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var e event
	if line[0] != '{' || json.Unmarshal(line, &e) != nil {
		s.plain(string(line))
		return
	}
	s.event(e)
}

// plain keeps text that is no event: an old terraform's init, a crash, a warning about the CLI configuration.
func (s *stream) plain(line string) {
	const keep = 60
	if len(line) > 2000 {
		line = line[:2000] + "…"
	}
	s.text = append(s.text, line)
	if len(s.text) > keep {
		s.text = slices.Delete(s.text, 0, len(s.text)-keep)
	}
}

func (s *stream) event(e event) {
	h := e.Hook
	name := resourceName(h.Resource)
	switch e.Type {
	case "version":
		if e.UI != "" && !strings.HasPrefix(e.UI, "1.") {
			s.say("warning: this terraform's output has version %s; tfbake knows version 1", e.UI)
		}
	case "change_summary":
		if e.Changes.Operation == "plan" {
			s.say("plan: %s", count(e.Changes.Add, e.Changes.Change, e.Changes.Remove, "to create", "to change", "to destroy"))
		} else {
			s.say("done: %s", count(e.Changes.Add, e.Changes.Change, e.Changes.Remove, "created", "changed", "destroyed"))
		}
	case "outputs":
		for name, o := range e.Outputs {
			if v, ok := simple(o.Value); ok && !o.Sensitive {
				s.outputs[name] = v
			}
		}
	case "apply_start":
		v := verbs(h.Action)
		s.inFlight[h.Resource.Addr] = work{name: name, doing: v.doing, since: s.now()}
		s.say("%s: %s%s…", name, v.doing, withID(h.IDValue))
	case "apply_progress":
		w := s.inFlight[h.Resource.Addr]
		elapsed := seconds(h.Elapsed)
		if elapsed-w.told < pause(elapsed) {
			return
		}
		w.told = elapsed
		s.inFlight[h.Resource.Addr] = w
		s.say("%s: still %s (%s)", name, verbs(h.Action).doing, duration(elapsed))
	case "apply_complete":
		delete(s.inFlight, h.Resource.Addr)
		s.say("%s: %s%s in %s", name, verbs(h.Action).done, withID(h.IDValue), duration(seconds(h.Elapsed)))
	case "apply_errored":
		delete(s.inFlight, h.Resource.Addr)
		s.say("%s: %s failed after %s", name, verbs(h.Action).doing, duration(seconds(h.Elapsed)))
	case "diagnostic":
		if e.Diagnostic != nil {
			s.diagnostic(*e.Diagnostic)
		}
	case "log", "init_output", "output", "":
		if m := strings.TrimPrefix(strings.TrimSpace(e.Message), "- "); installing.MatchString(m) {
			s.say("provider %s", strings.TrimSuffix(m, "..."))
		}
	}
}

// installing matches what init says of providers that is worth telling.
var installing = regexp.MustCompile(`^(Installed|Using) |: (Installed|Using) `)

func (s *stream) diagnostic(raw rawDiagnostic) {
	d := raw.typed()
	if d.Severity != "error" {
		if expected[d.Summary] {
			return
		}
		if !s.warned[d.Summary] {
			s.warned[d.Summary] = true
			s.say("warning: %s", oneLine(d.Summary))
		}
		return
	}
	if !slices.Contains(s.diagnostics, d) { // init names a broken file twice
		s.diagnostics = append(s.diagnostics, d)
	}
}

func (s *stream) say(format string, args ...any) {
	if s.log != nil {
		s.log.Info(format, args...)
	}
}

// waitingFor names what terraform is busy with, for the story of an interrupt; "" when with nothing.
func (s *stream) waitingFor() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, w := range s.inFlight {
		out = append(out, fmt.Sprintf("%s %s for %s", w.doing, w.name, duration(s.now().Sub(w.since))))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (r rawDiagnostic) typed() Diagnostic {
	d := Diagnostic{Severity: r.Severity, Summary: strings.TrimSpace(r.Summary), Detail: strings.TrimSpace(r.Detail), Address: r.Address}
	if r.Range != nil {
		d.File, d.Line = r.Range.Filename, r.Range.Start.Line
	}
	if r.Snippet == nil {
		return d
	}
	if d.Address == "" {
		if m := resourceContext.FindStringSubmatch(r.Snippet.Context); m != nil {
			d.Address = m[1] + "." + m[2]
		}
	}
	if m := assignment.FindStringSubmatch(r.Snippet.Code); m != nil {
		d.Attribute = m[1]
	}
	if d.Attribute == "condition" || d.Attribute == "error_message" {
		// A check of the module's: the variable it is about says more than the word "condition".
		d.Attribute = ""
		if m := variable.FindStringSubmatch(r.Snippet.Code); m != nil {
			d.Attribute = m[1]
		}
	}
	return d
}

var (
	resourceContext = regexp.MustCompile(`^resource "([^"]+)" "([^"]+)"`)
	assignment      = regexp.MustCompile(`^\s*(\w+)\s*=[^=]`)
	variable        = regexp.MustCompile(`\bvar\.(\w+)`)
)

// resourceNames are the users' words for what the modules make.
var resourceNames = map[string]string{
	"ncloud_server":                    "server",
	"ncloud_public_ip":                 "public IP",
	"ncloud_network_interface":         "network interface",
	"ncloud_access_control_group":      "ACG",
	"ncloud_access_control_group_rule": "ACG rules",
	"ncloud_init_script":               "init script",
	"ncloud_login_key":                 "login key",
	"ncloud_block_storage":             "block storage",
}

func resourceName(r resourceRef) string {
	if n, ok := resourceNames[r.Type]; ok {
		return n
	}
	return strings.TrimPrefix(r.Addr, "module.bake.")
}

type verb struct{ doing, done string }

func verbs(action string) verb {
	switch action {
	case "create":
		return verb{"creating", "created"}
	case "update":
		return verb{"changing", "changed"}
	case "delete":
		return verb{"destroying", "destroyed"}
	case "replace":
		return verb{"replacing", "replaced"}
	case "read":
		return verb{"reading", "read"}
	}
	return verb{"working (" + action + ")", "ready (" + action + ")"}
}

func withID(id string) string {
	if id == "" {
		return ""
	}
	return " (id " + id + ")"
}

// pause is how long to stay silent about a resource at work: terraform speaks every ten seconds.
func pause(elapsed time.Duration) time.Duration {
	if elapsed < 2*time.Minute {
		return 20 * time.Second
	}
	return time.Minute
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// duration is "41 s" or "2 min 5 s" or "1 h 5 min".
func duration(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600 && s%60 == 0:
		return fmt.Sprintf("%d min", s/60)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s%3600/60 == 0:
		return fmt.Sprintf("%d h", s/3600)
	}
	return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
}

func count(add, change, remove int, created, changed, destroyed string) string {
	var out []string
	for _, c := range []struct {
		n    int
		what string
	}{{add, created}, {change, changed}, {remove, destroyed}} {
		if c.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(out) == 0 {
		return "nothing to do"
	}
	return strings.Join(out, ", ")
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// expected are warnings that every run brings about and that mean nothing in a run directory.
var expected = map[string]bool{
	"Incomplete lock file information for providers": true, // providers from a mirror are locked for this platform only
}
