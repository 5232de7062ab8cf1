package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tfbake/tfbake/internal/ui"
)

// machineWriter prints Packer's machine-readable lines: time, target, type and data, separated by commas; commas and line
// ends in the data are written so that a line is a line.
type machineWriter struct {
	mu  sync.Mutex
	w   io.Writer
	now func() time.Time
}

func (m *machineWriter) line(target, kind string, data ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fields := append([]string{strconv.FormatInt(m.now().Unix(), 10), target, kind}, data...)
	for i := 1; i < len(fields); i++ {
		fields[i] = machineEscape.Replace(fields[i])
	}
	io.WriteString(m.w, strings.Join(fields, ",")+"\n") // a reader that went away must not stop a bake
}

var machineEscape = strings.NewReplacer(",", "%!(PACKER_COMMA)", "\r", `\r`, "\n", `\n`)

// results prints the artifacts and errors of a run.
func (m *machineWriter) results(results []resultJSON) {
	failed := 0
	for _, r := range results {
		if r.Error != "" {
			failed++
		}
	}
	if failed > 0 {
		m.line("", "error-count", strconv.Itoa(failed))
	}
	for _, r := range results {
		if r.Error != "" {
			m.line(r.Build, "error", r.Error)
		}
	}
	for _, r := range results {
		if r.ImageNo == "" {
			continue
		}
		m.line(r.Build, "artifact-count", "1")
		m.line(r.Build, "artifact", "0", "builder-id", "ncloud.server.image")
		m.line(r.Build, "artifact", "0", "id", r.ImageNo)
		m.line(r.Build, "artifact", "0", "string", fmt.Sprintf("Server image %s (%s) in %s", r.ImageName, r.ImageNo, r.Region))
		m.line(r.Build, "artifact", "0", "files-count", "0")
		m.line(r.Build, "artifact", "0", "end")
	}
}

// machineReadable turns everything that is printed from now on into machine-readable lines on standard output. The
// returned function prints what is unfinished.
func (a *app) machineReadable() (flush func()) {
	a.machine = &machineWriter{w: a.stdout, now: time.Now}
	errs := &machineLines{m: a.machine, kind: func(string) string { return "error" }}
	said := &machineLines{m: a.machine, kind: func(line string) string {
		if strings.HasPrefix(line, "==> ") {
			return "say"
		}
		return "message"
	}}
	a.stderr = errs
	a.story = ui.New(said, a.redact, ui.Options{})
	return func() { said.flush(); errs.flush() }
}

// machineLines makes ui lines of text written to it.
type machineLines struct {
	m    *machineWriter
	kind func(line string) string
	mu   sync.Mutex
	buf  bytes.Buffer
}

func (l *machineLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	for {
		line, rest, found := bytes.Cut(l.buf.Bytes(), []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.m.line("", "ui", l.kind(string(line)), string(line))
		l.buf.Next(l.buf.Len() - len(rest))
	}
}

func (l *machineLines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() > 0 {
		l.m.line("", "ui", l.kind(l.buf.String()), l.buf.String())
		l.buf.Reset()
	}
}
