package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/tfbake/tfbake/internal/atomicfile"
	"github.com/tfbake/tfbake/internal/config"
)

// exitUnformatted is what fmt -check ends with, as Packer's does.
const exitUnformatted = 3

// fmtFlags are the flags of `tfbake fmt`.
type fmtFlags struct{ check, diff, write, recursive bool }

func cmdFmt(_ context.Context, a *app, args []string) error {
	f := a.flags("fmt", "[FILE|DIR|-]…", "Lays out HCL2 files, *.pkr.hcl and *.pkrvars.hcl of a directory or the files named, in the usual way, and prints the names of\nthose it changed. - reads standard input and prints the result. Default: the working directory.")
	var o fmtFlags
	f.BoolVar(&o.check, "check", false, "change nothing; exit code 3 when a file is not laid out")
	f.BoolVar(&o.diff, "diff", false, "print what changes")
	f.BoolVar(&o.write, "write", true, "write the files")
	f.BoolVar(&o.recursive, "recursive", false, "go into subdirectories, too")
	rest, err := f.parse(args, 0, 1000)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		rest = []string{"."}
	}
	var files []string
	for _, path := range rest {
		found, err := hclFilesIn(path, o.recursive)
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	unformatted, broken := 0, 0
	for _, path := range files {
		changed, diags, err := a.format(path, o)
		if err != nil {
			return err
		}
		if diags.HasErrors() {
			broken++
		}
		if changed {
			unformatted++
		}
	}
	switch {
	case broken > 0:
		return failWith(exitFailed, fmt.Errorf("%s with mistakes; they were left as they are", count(broken, "file")))
	case o.check && unformatted > 0:
		return &exitError{code: exitUnformatted}
	}
	return nil
}

// format lays out one file and tells whether that changed it.
func (a *app) format(path string, o fmtFlags) (changed bool, diags hcl.Diagnostics, err error) {
	text, err := a.readText(path)
	if err != nil {
		return false, nil, err
	}
	name := path
	if path == "-" {
		name = "<stdin>"
	}
	out, diags := config.Format(name, text)
	if diags.HasErrors() {
		a.diagnostics(hclFiles(name, text), diags)
		return false, diags, nil
	}
	changed = !bytes.Equal(text, out)
	if path == "-" && !o.check && !o.diff {
		_, err := a.stdout.Write(out)
		return changed, nil, err
	}
	if !changed {
		return false, nil, nil
	}
	if path != "-" {
		fmt.Fprintln(a.stdout, path)
	}
	if o.diff {
		a.stdout.Write(diff.Diff("old/"+name, text, "new/"+name, out))
	}
	if o.check || !o.write || path == "-" {
		return true, nil, nil
	}
	return true, nil, atomicfile.Write(path, out, 0o644)
}

// hclFilesIn are the files that a path of fmt's names.
func hclFilesIn(path string, recursive bool) ([]string, error) {
	if path == "-" {
		return []string{path}, nil
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, cannotRead(path, err)
	}
	if !st.IsDir() {
		if !strings.HasSuffix(path, ".hcl") {
			return nil, failWith(exitUsage, fmt.Errorf("%s: fmt is for HCL2 files (*.pkr.hcl, *.pkrvars.hcl)", path))
		}
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return cannotRead(name, err)
		case d.IsDir() && name != path && (!recursive || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !d.IsDir() && (strings.HasSuffix(name, ".pkr.hcl") || strings.HasSuffix(name, ".pkrvars.hcl")):
			files = append(files, name)
		}
		return nil
	})
	if errors.Is(err, fs.SkipDir) {
		err = nil
	}
	return files, err
}

// hclFiles is one text as the diagnostics' printer wants it.
func hclFiles(name string, text []byte) map[string]*hcl.File {
	return map[string]*hcl.File{name: {Bytes: text}}
}
