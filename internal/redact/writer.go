package redact

import (
	"io"
	"strings"
	"sync"
	"time"
)

// flushAfter is how long an unfinished line waits for its end before what is surely harmless of it is passed on.
const flushAfter = 100 * time.Millisecond

// maxLine is how much of an unfinished line is held back at most, in bytes, beside what may begin a secret.
const maxLine = 64 << 10

// Writer returns a writer that passes on to w what is written to it, without the secrets, also where a secret comes in
// pieces. A finished line is passed on at once; of an unfinished one, after a short while, all but an end that may be
// the beginning of a secret. Close passes on what is held back, such an end masked; it does not close w. Write returns
// the errors of w, if need be one Write late. The writer is safe for concurrent use.
//
// Secrets of several lines are hidden line by line; lines of theirs shorter than 4 bytes are not.
func (r *Redactor) Writer(w io.Writer) io.WriteCloser { return &writer{r: r, w: w} }

type writer struct {
	r *Redactor
	w io.Writer

	mu    sync.Mutex
	buf   string // an unfinished line
	timer *time.Timer
	err   error
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if w.r.load() == nil && w.buf == "" {
		return w.w.Write(p)
	}
	w.buf += string(p)
	if end := strings.LastIndexByte(w.buf, '\n') + 1; end > 0 {
		w.pass(w.r.String(w.buf[:end]))
		w.buf = w.buf[end:]
	}
	if len(w.buf) > maxLine {
		w.passUnfinished()
	}
	switch {
	case w.buf == "" && w.timer != nil:
		w.timer.Stop()
	case w.buf != "" && w.timer == nil:
		w.timer = time.AfterFunc(flushAfter, w.flush)
	case w.buf != "":
		w.timer.Reset(flushAfter)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Close passes on what is held back.
func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.passUnfinished()
	if len(w.buf) >= minLen {
		w.pass(Mask) // the stream ended within what looks like a secret
	} else {
		w.pass(w.buf)
	}
	w.buf = ""
	return w.err
}

func (w *writer) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passUnfinished()
}

// passUnfinished passes on the unfinished line but for an end that may begin a secret.
func (w *writer) passUnfinished() {
	m := w.r.load()
	if m == nil {
		w.pass(w.buf)
		w.buf = ""
		return
	}
	safe := m.pending(w.buf)
	spans := m.find(w.buf)
	for len(spans) > 0 {
		last := spans[len(spans)-1]
		if last.end <= safe {
			break
		}
		// A secret that is whole may yet turn out to be a part of a longer one: it stays with the end held back.
		safe = min(safe, last.start)
		spans = spans[:len(spans)-1]
	}
	w.pass(mask(w.buf[:safe], spans))
	w.buf = w.buf[safe:]
}

func (w *writer) pass(s string) {
	if s == "" || w.err != nil {
		return
	}
	_, w.err = io.WriteString(w.w, s)
}
