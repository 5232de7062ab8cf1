package config

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// noFiles is a file system with nothing on it: fuzzing must not read this machine's files.
type noFiles struct{}

func (noFiles) ReadFile(name string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
func (noFiles) Stat(name string) (fs.FileInfo, error) {
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}
func (noFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func seeds(f *testing.F, endings ...string) {
	files, err := filepath.Glob("testdata/matrix/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		for _, e := range endings {
			if strings.HasSuffix(name, e) {
				text, err := os.ReadFile(name)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(text)
			}
		}
	}
}

// check loads a text and makes sure that what comes back can be used: ranges lie inside the text, diagnostics print, and
// steps of a template without errors resolve without panic.
func check(t *testing.T, text []byte, load func(Options) (*Template, hcl.Diagnostics)) {
	o := Options{FS: noFiles{}, Cwd: "/bake", Now: time.Unix(0, 0), Env: func(string) (string, bool) { return "", false }, WarnUndeclared: true}
	tmpl, diags := load(o)
	for _, d := range diags {
		if d.Summary == "" {
			t.Errorf("a diagnostic without words: %#v", d)
		}
		if r := d.Subject; r != nil && tmpl != nil && tmpl.Files[r.Filename] != nil {
			if n := len(tmpl.Files[r.Filename].Bytes); r.Start.Byte < 0 || r.End.Byte < r.Start.Byte || r.End.Byte > n {
				t.Errorf("%s: bytes %d to %d of %d", d.Summary, r.Start.Byte, r.End.Byte, n)
			}
		}
	}
	var b bytes.Buffer
	if tmpl == nil {
		return
	}
	if err := WriteDiagnostics(&b, tmpl.Files, diags, 80, false, nil); err != nil {
		t.Fatal(err)
	}
	if diags.HasErrors() {
		return
	}
	for _, build := range tmpl.Builds {
		for _, s := range build.Steps {
			s.Resolve(testRun)
			s.Resolve(placeholders())
		}
		for _, seq := range build.PostProcessors {
			for _, s := range seq {
				s.Resolve(testRun)
			}
		}
	}
}

func FuzzJSON(f *testing.F) {
	seeds(f, ".json")
	f.Fuzz(func(t *testing.T, text []byte) {
		likeStandard(t, text)
		check(t, text, func(o Options) (*Template, hcl.Diagnostics) { return loadJSON("t.json", newSource("t.json", text), o) })
	})
}

func FuzzHCL(f *testing.F) {
	seeds(f, ".pkr.hcl")
	f.Fuzz(func(t *testing.T, text []byte) {
		// fileset walks the real file system, and "range" and repeated format widths make as much as one asks for.
		if bytes.Contains(text, []byte("file")) || bytes.Contains(text, []byte("range")) || bytes.Contains(text, []byte("pow")) || bytes.Contains(text, []byte("bcrypt")) {
			t.Skip()
		}
		check(t, text, func(o Options) (*Template, hcl.Diagnostics) {
			return loadHCL(t.Context(), "t.pkr.hcl", []namedText{{"t.pkr.hcl", text}}, o)
		})
	})
}

// What Fix and Upgrade write must be readable again.
func FuzzRewrite(f *testing.F) {
	seeds(f, ".json")
	f.Fuzz(func(t *testing.T, text []byte) {
		if fixed, changes, diags := Fix("t.json", text); !diags.HasErrors() && len(changes) > 0 {
			if _, diags := parseJSON(newSource("t.json", fixed)); diags.HasErrors() {
				t.Errorf("fixed: %v\n%s", diags, fixed)
			}
		}
		if out, _, diags := Upgrade("t.json", text); !diags.HasErrors() && len(out) > 0 {
			if _, diags := Format("t.pkr.hcl", out); diags.HasErrors() {
				t.Errorf("upgraded: %v\n%s", diags, out)
			}
		}
	})
}
