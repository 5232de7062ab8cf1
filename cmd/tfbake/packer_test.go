package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// TestVersionFlags: -v and -version are version, as with Packer.
func TestVersionFlags(t *testing.T) {
	for _, args := range [][]string{{"-v"}, {"--v"}, {"-version"}, {"--version"}, {"version"}} {
		var out, errs bytes.Buffer
		code := Main(args, host{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, env: os.LookupEnv, environ: os.Environ})
		if code != exitOK || !strings.HasPrefix(out.String(), "tfbake ") || errs.Len() > 0 {
			t.Errorf("%v: exit code %d, %q, %q", args, code, &out, &errs)
		}
	}
}

// TestMachineLines: a line is a line, whatever is in it.
func TestMachineLines(t *testing.T) {
	var out bytes.Buffer
	m := &machineWriter{w: &out, now: func() time.Time { return time.Unix(1700000000, 0) }}
	m.line("web", "error", "a, b\r\nc")
	l := &machineLines{m: m, kind: func(string) string { return "say" }}
	l.Write([]byte("==> one\n==> t"))
	l.Write([]byte("wo"))
	l.flush()
	want := "1700000000,web,error,a%!(PACKER_COMMA) b\\r\\nc\n1700000000,,ui,say,==> one\n1700000000,,ui,say,==> two\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}
