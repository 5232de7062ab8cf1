// Package ui tells the story of a run on standard error: one line per thing that happens, each prefixed with the
// build it belongs to, the way Packer's users read it. Results never go through here; they go to standard output.
package ui

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Redactor hides secrets in text before it is shown. *redact.Redactor is one.
type Redactor interface{ String(s string) string }

// Story writes lines for one build. A nil Story is silent, so tests and helpers need not care.
// It is safe for concurrent use; Stories made by Named share one lock, so lines never mix.
type Story struct {
	out   *output
	name  string
	color string
}

type output struct {
	mu     sync.Mutex
	w      io.Writer
	redact Redactor
	opts   Options
	tees   map[string][]io.Writer // by build name: the run's own log
}

// Options choose how the story looks.
type Options struct {
	Color      bool             // ANSI colours, one per build
	Timestamps bool             // RFC 3339 time before each line
	Now        func() time.Time // for tests; default time.Now
}

// New returns a Story on w. Write errors are ignored: a closed terminal must not stop a bake half-way.
func New(w io.Writer, r Redactor, o Options) *Story {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Story{out: &output{w: w, redact: r, opts: o}}
}

// Named returns a Story whose lines carry the build's name.
func (s *Story) Named(name string) *Story {
	if s == nil {
		return nil
	}
	n := *s
	n.name = name
	n.color = colorOf(name)
	return &n
}

// Tee copies the lines of this Story's name to w, too, without colours and with the time, until stop is called.
func (s *Story) Tee(w io.Writer) (stop func()) {
	if s == nil {
		return func() {}
	}
	o := s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tees == nil {
		o.tees = map[string][]io.Writer{}
	}
	o.tees[s.name] = append(o.tees[s.name], w)
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.tees[s.name] = slices.DeleteFunc(o.tees[s.name], func(t io.Writer) bool { return t == w })
	}
}

// Say writes a headline: a step begins or ends.
func (s *Story) Say(format string, args ...any) { s.line("==> ", fmt.Sprintf(format, args...)) }

// Info writes a detail below the last headline.
func (s *Story) Info(format string, args ...any) { s.line("    ", fmt.Sprintf(format, args...)) }

// Error writes something that went wrong.
func (s *Story) Error(format string, args ...any) {
	if s == nil {
		return
	}
	e := *s
	e.color = "\x1b[31m"
	e.line("==> ", fmt.Sprintf(format, args...))
}

// Writer returns a writer that shows each finished line as Info; Close shows an unfinished one. It never fails.
func (s *Story) Writer() io.WriteCloser { return &lineWriter{s: s} }

func (s *Story) line(prefix, text string) {
	if s == nil {
		return
	}
	o := s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.redact != nil {
		text = o.redact.String(text)
	}
	var b, plain strings.Builder
	for i, l := range strings.Split(strings.TrimRight(text, "\r\n"), "\n") {
		if i > 0 {
			prefix = "    "
		}
		fmt.Fprintf(&plain, "%s %s%s\n", o.opts.Now().UTC().Format(time.RFC3339), prefix, strings.TrimRight(l, "\r"))
		if o.opts.Timestamps {
			b.WriteString(o.opts.Now().Format(time.RFC3339) + " ")
		}
		if o.opts.Color && s.color != "" {
			b.WriteString(s.color)
		}
		b.WriteString(prefix)
		if s.name != "" {
			b.WriteString(s.name + ": ")
		}
		b.WriteString(strings.TrimRight(l, "\r"))
		if o.opts.Color && s.color != "" {
			b.WriteString("\x1b[0m")
		}
		b.WriteByte('\n')
	}
	io.WriteString(o.w, b.String())
	for _, t := range o.tees[s.name] {
		io.WriteString(t, plain.String()) // a full disk must not stop a bake either
	}
}

func colorOf(name string) string {
	colors := []string{"\x1b[32m", "\x1b[36m", "\x1b[35m", "\x1b[33m", "\x1b[34m"}
	sum := 0
	for _, c := range name {
		sum += int(c)
	}
	return colors[sum%len(colors)]
}

type lineWriter struct {
	s   *Story
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	for {
		line, rest, found := bytes.Cut(w.buf.Bytes(), []byte("\n"))
		if !found {
			return len(p), nil
		}
		w.s.Info("%s", line)
		w.buf.Next(w.buf.Len() - len(rest))
	}
}

func (w *lineWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.buf.Len() > 0 {
		w.s.Info("%s", w.buf.String())
		w.buf.Reset()
	}
	return nil
}
