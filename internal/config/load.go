package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// FS is the part of a file system that templates are read from. Names are absolute.
type FS interface {
	ReadFile(name string) ([]byte, error)
	Stat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)
}

type osFS struct{}

func (osFS) ReadFile(name string) ([]byte, error)       { return os.ReadFile(name) }
func (osFS) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// Var is one -var name=value.
type Var struct{ Name, Value string }

// ParseVar reads the argument of a -var option.
func ParseVar(arg string) (Var, error) {
	name, val, ok := strings.Cut(arg, "=")
	if name = strings.TrimSpace(name); !ok || name == "" {
		return Var{}, fmt.Errorf("-var %q: write it as name=value", arg)
	}
	return Var{Name: name, Value: val}, nil
}

// Options are what a template's meaning depends on beside its text. The zero value reads from the operating system.
type Options struct {
	Vars     []Var    // -var, in order: later wins, and all of them win over VarFiles
	VarFiles []string // -var-file, in order: later wins
	Only     []string // names or globs of the builds to keep; empty: all
	Except   []string // names or globs of the builds and post-processors to drop

	WarnUndeclared bool // warn of values for undeclared variables in variable files

	Stdin   io.Reader                   // for the path "-"; nil: nothing there
	Env     func(string) (string, bool) // nil: os.LookupEnv
	FS      FS                          // nil: the operating system's
	Cwd     string                      // where relative paths begin; "": the working directory
	Now     time.Time                   // what {{timestamp}} and timestamp() say, the same for the whole run; zero: now
	RunUUID string                      // build.PackerRunUUID

	// Data resolves data "ncloud-…" blocks (HCL2). nil: their values stay unknown until a run, as in validate.
	Data DataSource
	// HTTP is the client of data "http" blocks (HCL2). nil: as with Data.
	HTTP *http.Client
	// SyntaxOnly stops after reading: no values, no rules.
	SyntaxOnly bool
	// Incomplete takes required variables without a value as they are: unknown. For looking at a template, not for baking.
	Incomplete bool
}

func (o Options) withDefaults() (Options, error) {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.FS == nil {
		o.FS = osFS{}
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	o.Now = o.Now.UTC()
	if o.Cwd == "" {
		cwd, err := os.Getwd()
		if err != nil {
			return o, fmt.Errorf("finding the working directory: %w", err)
		}
		o.Cwd = cwd
	}
	return o, nil
}

// Load reads the template at path (a file, a directory of HCL2 files, or "-" for o.Stdin) and reports every mistake it
// can find without the network. The template is nil when nothing could be made of it; with errors it is good for
// printing diagnostics only. What has to be waited for, data sources and o.Stdin, ends with ctx.
func Load(ctx context.Context, path string, o Options) (*Template, hcl.Diagnostics) {
	t, diags := load(ctx, path, o)
	if t != nil {
		diags = append(diags, checkBuilds(t.Builds)...)
	}
	return t, diags
}

func load(ctx context.Context, path string, o Options) (*Template, hcl.Diagnostics) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "No working directory", Detail: upperFirst(err.Error())}}
	}
	if path == "-" {
		var text []byte
		if o.Stdin != nil {
			if text, err = readAll(ctx, o.Stdin); err != nil {
				return nil, cannotRead("standard input", err)
			}
		}
		if looksLikeJSON(text) {
			return loadJSON(path, newSource("<stdin>", text), o)
		}
		return loadHCL(ctx, path, []namedText{{"<stdin>", text}}, o)
	}
	info, err := o.FS.Stat(absPath(o.Cwd, path))
	if err != nil {
		return nil, cannotRead(path, err)
	}
	if info.IsDir() {
		return loadDir(ctx, path, o)
	}
	text, err := o.FS.ReadFile(absPath(o.Cwd, path))
	if err != nil {
		return nil, cannotRead(path, err)
	}
	switch base := filepath.Base(path); {
	case strings.HasSuffix(base, ".pkrvars.hcl"), strings.HasSuffix(base, ".pkrvars.json"):
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: fmt.Sprintf("%s is a variable file", path),
			Detail: "Name the template, and this file with -var-file."}}
	case strings.HasSuffix(base, ".pkr.json"), strings.HasSuffix(base, ".hcl"):
		return loadHCL(ctx, path, []namedText{{path, text}}, o)
	case strings.HasSuffix(base, ".json"), looksLikeJSON(text):
		return loadJSON(path, newSource(path, text), o)
	default:
		return loadHCL(ctx, path, []namedText{{path, text}}, o)
	}
}

// readAll reads r to its end, or until ctx ends: nobody may be writing to standard input.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := io.ReadAll(r)
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func looksLikeJSON(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) == 0 || text[0] == '{' || text[0] == '['
}

func cannotRead(path string, err error) hcl.Diagnostics {
	detail := upperFirst(errText(err)) + "."
	if os.IsNotExist(err) {
		detail = "There is no such file or directory."
	}
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: fmt.Sprintf("%s cannot be read", path), Detail: detail}}
}

// errText is an error's own words, without the operation and path the caller names anyway.
func errText(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// finish puts diagnostics in the order of their places and drops repetitions: a step used by three builds is wrong once.
func finish(diags hcl.Diagnostics) hcl.Diagnostics {
	type key struct {
		sev             hcl.DiagnosticSeverity
		file            string
		from, to        int
		summary, detail string
	}
	seen := map[key]bool{}
	var out hcl.Diagnostics
	for _, d := range diags {
		k := key{sev: d.Severity, summary: d.Summary, detail: d.Detail}
		if d.Subject != nil {
			k.file, k.from, k.to = d.Subject.Filename, d.Subject.Start.Byte, d.Subject.End.Byte
		}
		if !seen[k] {
			seen[k] = true
			out = append(out, d)
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i].Subject, out[j].Subject
		switch {
		case a == nil || b == nil:
			return a == nil && b != nil
		case a.Filename != b.Filename:
			return a.Filename < b.Filename
		}
		return a.Start.Byte < b.Start.Byte
	})
	return out
}

// errorsOnly leaves out warnings: those of a step have been given when the template was loaded.
func errorsOnly(diags hcl.Diagnostics) hcl.Diagnostics {
	var out hcl.Diagnostics
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			out = append(out, d)
		}
	}
	return out
}

// hints adds what is worth knowing about a template that is right as it is.
func (t *Template) hints() {
	var classic []string
	for _, b := range t.Builds {
		if b.Type == "ncloud" && !b.Source.IsVPC() {
			classic = append(classic, b.Name)
		}
	}
	if len(classic) > 0 {
		t.Notes = append(t.Notes, fmt.Sprintf("%s: built on Classic. On VPC with KVM it would say, instead of the product codes, server_image_number and server_spec_code (such as s2-g3), and if need be subnet_no", strings.Join(classic, ", ")))
	}
}

// stepMeta is what every provisioner and post-processor may say about when and how it runs.
type stepMeta struct {
	Type, Name      string
	Only, Except    []string
	PauseBefore     time.Duration
	Timeout         time.Duration
	MaxRetries      int
	ContinueOnError bool
	KeepInput       bool
}

var provisionerMeta = &schema[stepMeta]{what: "a provisioner", fields: []field[stepMeta]{
	{name: "type", doc: "what it does.", ptr: func(m *stepMeta) any { return &m.Type }},
	{name: "name", doc: "Name shown in the story.", ptr: func(m *stepMeta) any { return &m.Name }},
	{name: "only", doc: "Builds it runs in; left out: all.", ptr: func(m *stepMeta) any { return &m.Only }},
	{name: "except", doc: "Builds it does not run in.", ptr: func(m *stepMeta) any { return &m.Except }},
	{name: "pause_before", doc: "Wait this long before it begins.", ptr: func(m *stepMeta) any { return &m.PauseBefore }},
	{name: "timeout", doc: "How long it may take.", ptr: func(m *stepMeta) any { return &m.Timeout }},
	{name: "max_retries", doc: "How often to try again when it fails.", ptr: func(m *stepMeta) any { return &m.MaxRetries }},
	{name: "continue_on_error", doc: "Go on when it fails.", ptr: func(m *stepMeta) any { return &m.ContinueOnError }},
	{name: "override", doc: "Keys to set differently in some builds: {build: {key: value}}.", ptr: func(m *stepMeta) any { var s string; return &s }},
}}

var postProcessorMeta = &schema[stepMeta]{what: "a post-processor", fields: []field[stepMeta]{
	{name: "type", doc: "what it does.", ptr: func(m *stepMeta) any { return &m.Type }},
	{name: "name", doc: "Name that -except knows it by. Default: its type.", ptr: func(m *stepMeta) any { return &m.Name }},
	{name: "only", doc: "Builds it runs after; left out: all.", ptr: func(m *stepMeta) any { return &m.Only }},
	{name: "except", doc: "Builds it does not run after.", ptr: func(m *stepMeta) any { return &m.Except }},
	{name: "keep_input_artifact", doc: "Keep what the step before left.", ptr: func(m *stepMeta) any { return &m.KeepInput }},
}}

func init() {
	onlyOrExcept := func(d *decoder, m *stepMeta) {
		if len(m.Only) > 0 && len(m.Except) > 0 {
			d.errorf(d.keyAt("except"), "only and except cannot both be set", "Keep one of them.")
		}
	}
	provisionerMeta.finish, postProcessorMeta.finish = onlyOrExcept, onlyOrExcept
}

// runsIn tells whether a step with these only and except lists belongs to the build.
func (m stepMeta) runsIn(names ...string) bool {
	has := func(list []string) bool {
		for _, n := range names {
			if contains(list, n) {
				return true
			}
		}
		return false
	}
	return (len(m.Only) == 0 || has(m.Only)) && !has(m.Except)
}

// selected applies -only and -except to a name.
func selected(o Options, name string) bool {
	match := func(list []string) bool {
		for _, g := range list {
			if globMatch(g, name) {
				return true
			}
		}
		return false
	}
	return (len(o.Only) == 0 || match(o.Only)) && !match(o.Except)
}

// unmatched reports -only patterns that no build answers to; a mistyped -only would otherwise bake nothing or too much.
func unmatched(o Options, names []string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, g := range o.Only {
		hit := false
		for _, n := range names {
			hit = hit || globMatch(g, n)
		}
		if !hit {
			sort.Strings(names)
			detail := fmt.Sprintf("The template has %s.", strings.Join(names, ", "))
			for _, n := range names {
				if near := nearMiss(g, n); near != "" {
					detail += fmt.Sprintf(" A build's whole name must match: did you mean -only=%s?", near)
					break
				}
			}
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: fmt.Sprintf("-only=%s matches no build", g), Detail: detail})
		}
	}
	return diags
}

// nearMiss is what the pattern would have to be to match the name, where it matches a part of it; "" where it does not.
func nearMiss(pattern, name string) string {
	parts := strings.Split(name, ".")
	for i := range parts {
		switch {
		case i > 0 && globMatch(pattern, strings.Join(parts[i:], ".")):
			return "*." + pattern
		case i > 0 && globMatch(pattern, strings.Join(parts[:i], ".")):
			return pattern + ".*"
		}
	}
	return suggest(pattern, []string{name})
}

// globMatch knows *, ?, […] and {a,b}; * matches any characters, as in Packer's -only.
func globMatch(pattern, s string) bool {
	if open := strings.IndexByte(pattern, '{'); open >= 0 {
		if length := strings.IndexByte(pattern[open:], '}'); length > 0 {
			for _, alt := range strings.Split(pattern[open+1:open+length], ",") {
				if globMatch(pattern[:open]+alt+pattern[open+length+1:], s) {
					return true
				}
			}
			return false
		}
	}
	ok, err := filepath.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(s, "/", "\x00"))
	return err == nil && ok || pattern == s
}
