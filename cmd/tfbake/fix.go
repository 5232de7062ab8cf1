package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tfbake/tfbake/internal/atomicfile"
	"github.com/tfbake/tfbake/internal/config"
)

func cmdFix(ctx context.Context, a *app, args []string) error {
	f := a.flags("fix", "TEMPLATE", "Turns an old JSON template into a valid one, changing as little as can be, and prints it. What was changed is told on\nstandard error, as is what a person has to mend.")
	var t templateFlags
	t.register(f.FlagSet)
	validate := f.Bool("validate", true, "check the result")
	write := f.Bool("write", false, "write the result back to the file instead of printing it")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	path := rest[0]
	if strings.HasSuffix(path, ".hcl") {
		return failWith(exitUsage, fmt.Errorf("%s: fix is for JSON templates; HCL2 came later than what it fixes", path))
	}
	if path == "-" && *write {
		return failWith(exitUsage, errors.New("-write needs a file"))
	}
	text, err := a.readText(path)
	if err != nil {
		return err
	}
	fixed, changes, diags := config.Fix(path, text)
	for _, c := range changes {
		a.story.Info("%s:%d: %s", path, c.Range.Start.Line, c.What)
	}
	if diags.HasErrors() {
		a.diagnostics(hclFiles(path, text), diags)
		return failWith(exitTemplate, fmt.Errorf("%s cannot be read: %s", path, count(len(diags.Errs()), "error")))
	}
	if len(changes) == 0 {
		a.story.Info("%s: nothing to fix", path)
	}
	switch {
	case !*write:
		if _, err := a.stdout.Write(fixed); err != nil {
			return err
		}
	case len(changes) > 0:
		if err := atomicfile.Write(path, fixed, 0o644); err != nil {
			return err
		}
	}
	if !*validate {
		return nil
	}
	_, err = a.load(ctx, path, t, func(o *config.Options) {
		o.Incomplete = true
		o.Stdin = bytes.NewReader(fixed)
		o.FS = oneFile{abs(a.cwd, path), fixed}
	})
	if err != nil {
		return failWith(exitTemplate, fmt.Errorf("%s: fixed as far as a machine should; the rest above is for you", path))
	}
	return nil
}

// readText reads a file, or standard input for "-".
func (a *app) readText(path string) (text []byte, err error) {
	if path == "-" {
		text, err = io.ReadAll(a.stdin)
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, cannotRead(path, err)
	}
	return text, nil
}

// cannotRead is the error of a file that a command is to read, in the words and with the exit code of those that load a
// whole template.
func cannotRead(path string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err // the path is said anyway
	}
	return failWith(exitTemplate, fmt.Errorf("%s cannot be read: %w", path, err))
}

func abs(cwd, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(cwd, path)
}

// oneFile is the system's files, one of them with another text.
type oneFile struct {
	path string
	text []byte
}

func (o oneFile) ReadFile(name string) ([]byte, error) {
	if filepath.Clean(name) == o.path {
		return o.text, nil
	}
	return os.ReadFile(name)
}
func (oneFile) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }
func (oneFile) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
