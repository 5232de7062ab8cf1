package config

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testNow is when all test templates are read.
var testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// testRun are the run-time values test steps are resolved with.
var testRun = RunValues{BuildName: "b", BuilderType: "ncloud", ID: "1234567", Host: "203.0.113.9", Port: 22, User: "root",
	Password: "pa55word", ConnType: "ssh", RunUUID: "run-uuid", SSHPublicKey: "ssh-ed25519 AAAA", SSHPrivateKey: "PRIVATE",
	SSHPrivateKeyFile: "/k", WinRMPassword: "pa55word", SourceImageName: "base", ImageNo: "777", ImageName: "img", Region: "KR", Platform: "vpc"}

// TestMatrix reads the templates in testdata/matrix and compares what came of them with the .golden file beside each:
// the diagnostics as a user sees them, and the builds with their steps resolved. The name of a template begins with the
// row of the compatibility matrix it stands for. A comment at its top may hold options:
//
//	"_args": "-var a=b -only=x"      # args: -var a=b -only=x
func TestMatrix(t *testing.T) {
	entries, err := os.ReadDir("testdata/matrix")
	if err != nil {
		t.Fatal(err)
	}
	byRow := map[string][]string{}
	for _, e := range entries {
		if row, _, ok := strings.Cut(e.Name(), "-"); ok && !strings.HasSuffix(e.Name(), ".golden") {
			byRow[row] = append(byRow[row], e.Name())
		}
	}
	rows := sortedKeys(byRow)
	sort.Strings(rows)
	for _, row := range rows {
		t.Run(row, func(t *testing.T) {
			for _, name := range byRow[row] {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					golden(t, filepath.Join("testdata/matrix", name+".golden"), loadAndShow(t, name))
				})
			}
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update rewrites it). got:\n%s\nwant:\n%s", file, got, want)
	}
}

func testOptions(dir string) Options {
	env := map[string]string{"HOME": "/home/kim", "NCLOUD_ACCESS_KEY": "env-access", "NCLOUD_SECRET_KEY": "env-secret",
		"PKR_VAR_from_pkr": "from PKR_VAR", "TFBAKE_VAR_from_tfbake": "from TFBAKE_VAR", "PKR_VAR_from_tfbake": "loses"}
	return Options{Now: testNow, Cwd: dir, RunUUID: "run-uuid", WarnUndeclared: true,
		Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok }}
}

// args reads options from the line of a template that has them.
func args(t *testing.T, o *Options, text []byte) {
	for _, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		var list string
		if rest, ok := strings.CutPrefix(line, "# args: "); ok {
			list = rest
		} else if rest, ok := strings.CutPrefix(line, `"_args": "`); ok {
			list = strings.TrimRight(rest, `",`)
		} else {
			continue
		}
		fields := strings.Fields(list)
		for i := 0; i < len(fields); i++ {
			name, val, ok := strings.Cut(fields[i], "=")
			if !ok || name == "-var" {
				i++
				val = fields[i]
			}
			switch name {
			case "-var":
				v, err := ParseVar(val)
				if err != nil {
					t.Fatal(err)
				}
				o.Vars = append(o.Vars, v)
			case "-var-file":
				o.VarFiles = append(o.VarFiles, val)
			case "-only":
				o.Only = strings.Split(val, ",")
			case "-except":
				o.Except = strings.Split(val, ",")
			default:
				t.Fatalf("unknown option %s", name)
			}
		}
	}
}

func loadAndShow(t *testing.T, name string) string {
	dir, err := filepath.Abs("testdata/matrix")
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions(dir)
	o.Data = testData{}
	if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.IsDir() {
		files, _ := os.ReadDir(filepath.Join(dir, name))
		for _, f := range files {
			text, _ := os.ReadFile(filepath.Join(dir, name, f.Name()))
			args(t, &o, text)
		}
	} else {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		args(t, &o, text)
	}
	tmpl, diags := Load(context.Background(), name, o)
	var b bytes.Buffer
	if tmpl == nil {
		tmpl = &Template{}
	}
	if err := WriteDiagnostics(&b, tmpl.Files, diags, 0, false, nil); err != nil {
		t.Fatal(err)
	}
	if wrong := strings.Contains(name, "-wrong"); wrong != diags.HasErrors() {
		t.Errorf("%s: errors: %v", name, diags.HasErrors()) // a golden file rewritten in haste must not hide it
	}
	for _, d := range diags {
		if d.Subject != nil {
			checkRange(t, tmpl, d.Subject.Filename, d.Subject.Start.Byte, d.Subject.End.Byte)
		}
	}
	if !diags.HasErrors() {
		showTemplate(t, &b, tmpl)
	}
	return strings.ReplaceAll(b.String(), dir, "$CWD")
}

func checkRange(t *testing.T, tmpl *Template, file string, from, to int) {
	t.Helper()
	f := tmpl.Files[file]
	if f == nil {
		t.Errorf("no source for %s", file)
		return
	}
	if from < 0 || to < from || to > len(f.Bytes) {
		t.Errorf("%s: bad range %d-%d of %d", file, from, to, len(f.Bytes))
	}
}

func showTemplate(t *testing.T, b *bytes.Buffer, tmpl *Template) {
	if tmpl.Description != "" {
		fmt.Fprintf(b, "description %q\n", tmpl.Description)
	}
	for _, v := range tmpl.Variables {
		fmt.Fprintf(b, "variable %s = %q", v.Name, v.Value)
		if v.Sensitive {
			b.WriteString(" (sensitive)")
		}
		b.WriteByte('\n')
	}
	if len(tmpl.Sensitive) > 0 {
		fmt.Fprintf(b, "sensitive %q\n", tmpl.Sensitive)
	}
	for _, build := range tmpl.Builds {
		fmt.Fprintf(b, "build %s (%s)\n", build.Name, build.Type)
		b.WriteString("  source " + compact(t, build.Source) + "\n")
		b.WriteString("  communicator " + compact(t, build.Communicator) + "\n")
		step := func(indent, kind string, s *Step) {
			fmt.Fprintf(b, "%s%s %s", indent, kind, s.Type)
			meta := *s
			meta.resolve, meta.Type = nil, ""
			if m := compact(t, meta); m != "{}" {
				b.WriteString(" " + m)
			}
			out, diags := s.Resolve(testRun)
			fmt.Fprintf(b, "\n%s  %T %s\n", indent, out, compact(t, out))
			if err := WriteDiagnostics(b, tmpl.Files, diags, 0, false, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range build.Steps {
			step("  ", "provisioner", s)
		}
		if build.ErrorCleanup != nil {
			step("  ", "error-cleanup-provisioner", build.ErrorCleanup)
		}
		for _, seq := range build.PostProcessors {
			b.WriteString("  post-processors\n")
			for _, s := range seq {
				step("    ", "post-processor", s)
			}
		}
	}
}

// compact is a struct as JSON, empty fields and ranges left out.
func compact(t *testing.T, v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	prune(m)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func prune(m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case map[string]any:
			if prune(v); len(v) == 0 || k == "Range" {
				delete(m, k)
			}
		case []any:
			if len(v) == 0 {
				delete(m, k)
			}
		case float64:
			if v == 0 {
				delete(m, k)
			} else if time.Duration(v)%time.Millisecond == 0 && v >= float64(time.Millisecond) {
				m[k] = time.Duration(v).String()
			}
		case string, bool, nil:
			if v == "" || v == false || v == nil {
				delete(m, k)
			}
		}
	}
}
