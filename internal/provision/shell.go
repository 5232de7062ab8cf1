package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/config"
)

const startRetry = 5 * time.Minute // start_retry_timeout unless set

type envVar struct{ name, value string }

func parseEnv(kv string) envVar {
	name, value, _ := strings.Cut(kv, "=")
	return envVar{name, value}
}

// script is something to run: a file of this machine, or the lines of inline.
type script struct {
	name string // for people: "setup.sh", "inline script"
	path string // "" when inline
	text string // when inline
}

// open gives the script's content, with Unix line ends unless binary, and its size.
func (s script) open(binary bool) (io.Reader, int64, error) {
	text := []byte(s.text)
	if s.path != "" {
		f, err := os.Open(s.path)
		if err != nil {
			return nil, 0, err
		}
		defer f.Close()
		if text, err = io.ReadAll(f); err != nil {
			return nil, 0, err
		}
	}
	if !binary {
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	}
	return bytes.NewReader(text), int64(len(text)), nil
}

// shell runs inline commands or scripts of this machine on the server.
func (r stepRun) shell(ctx context.Context, p *config.Shell) error {
	retry := p.StartRetryTimeout
	if retry <= 0 {
		retry = startRetry
	}
	folder := firstOf(p.RemoteFolder, "/tmp")
	remote := firstOf(p.RemotePath, path.Join(folder, firstOf(p.RemoteFile, fmt.Sprintf("script_%08d.sh", rand.IntN(1e8)))))

	format := p.EnvVarFormat
	if format == "" {
		format = "%s='%s' "
		if p.UseEnvVarFile {
			format = "export %s='%s'\n"
		}
	}
	vars := flattenEnv(format, mergeEnv(r.packerEnv(), p.EnvironmentVars), func(v string) string {
		return strings.ReplaceAll(v, "'", `'"'"'`)
	})
	varFile, fleeting := "", false // it removes itself, when it is read
	if p.UseEnvVarFile {
		varFile = path.Join(folder, fmt.Sprintf("varfile_%08d.sh", rand.IntN(1e8)))
		if fleeting = !p.SkipClean && usesDefault(p); fleeting {
			// It may hold secrets, and a script that brings the server down would leave it in the image.
			vars += "\nrm -f " + shellPath(varFile) + "\n"
		}
	}
	ours := []string{remote} // files on the server
	if varFile != "" {
		ours = append(ours, varFile)
	}

	for _, s := range shellScripts(p) {
		r.Story.Say("Provisioning with shell script: %s", s.name)
		line, err := executeCommand(p, remote, vars, varFile)
		if err != nil {
			return err
		}
		var exit int
		err = r.persist(ctx, retry, func() error {
			// The upload belongs to what is tried again: a reboot in between may empty /tmp.
			content, size, err := s.open(p.Binary)
			if err != nil {
				return fmt.Errorf("read %s: %w", s.name, err)
			}
			if varFile != "" {
				if err := r.Comm.Upload(ctx, varFile, strings.NewReader(vars), int64(len(vars)), 0o600); err != nil {
					return fmt.Errorf("send its environment: %w", err)
				}
			}
			if err := r.Comm.Upload(ctx, remote, content, size, 0o755); err != nil {
				return fmt.Errorf("send %s: %w", s.name, err)
			}
			exit, err = r.run(ctx, line)
			return err
		})
		gone := errors.Is(err, ErrDisconnected)
		failed := err
		switch {
		case ctx.Err() != nil:
			failed = fmt.Errorf("%s: %w", s.name, context.Cause(ctx))
		case gone && (p.ExpectDisconnect || slices.Contains(p.ValidExitCodes, ExitDisconnected)):
			r.Story.Info("the connection ended with the script, as expected")
			failed = nil
		case gone:
			failed = fmt.Errorf("%s: %w; if it restarts or stops the server on purpose, set expect_disconnect", s.name, err)
		case err != nil, p.ExpectDisconnect && diedWithServer(exit):
		case !validExit(exit, p.ValidExitCodes):
			failed = exitError(s.name, exit)
		}
		if failed != nil {
			if !p.SkipClean {
				r.removeQuietly(ctx, ours)
			}
			return failed
		}
		if p.ExpectDisconnect && !gone {
			gone = r.goesDown(ctx)
		}
		if p.SkipClean {
			continue
		}
		left := ours
		if gone && fleeting {
			left = ours[:1]
		}
		if err := r.remove(ctx, left, retry, gone); err != nil {
			return err
		}
	}
	if p.PauseAfter > 0 {
		r.Story.Say("Pausing %s after this provisioner...", p.PauseAfter)
		if err := sleep(ctx, p.PauseAfter); err != nil {
			return err
		}
	}
	return nil
}

// shellScripts lists what a shell provisioner runs. The default shebang gives way to one in the first inline line; one
// that the template sets itself does not.
func shellScripts(p *config.Shell) []script {
	var all []script
	for _, s := range p.Scripts {
		all = append(all, script{name: s, path: s})
	}
	if len(p.Inline) > 0 {
		text := strings.Join(p.Inline, "\n") + "\n"
		shebang := firstOf(p.InlineShebang, defaultShebang)
		if shebang != defaultShebang || !strings.HasPrefix(text, "#!") {
			text = "#!" + shebang + "\n" + text
		}
		all = append(all, script{name: "inline script", text: text})
	}
	return all
}

const defaultShebang = "/bin/sh -e"

// flattenEnv writes each variable by format, whose first %s is the name and second the escaped value.
func flattenEnv(format string, env []envVar, escape func(string) string) string {
	var b strings.Builder
	for _, v := range env {
		fmt.Fprintf(&b, format, v.name, escape(v.value))
	}
	return b.String()
}

// The default execute_command, without and with use_env_var_file.
const (
	defaultExecute     = "chmod +x {{.Path}}; {{.Vars}} {{.Path}}"
	defaultExecuteFile = "chmod +x {{.Path}}; . {{.EnvVarFile}} && {{.Path}}"
)

// executeCommand fills in execute_command. In the default, a path that needs quoting gets it; in a command of the
// template's own that is the template's business.
func executeCommand(p *config.Shell, remote, vars, varFile string) (string, error) {
	text := p.ExecuteCommand
	if text == "" {
		text = defaultExecute
		if p.UseEnvVarFile {
			text = defaultExecuteFile
		}
	}
	data := map[string]string{"Path": remote, "Vars": vars, "EnvVarFile": varFile}
	if usesDefault(p) {
		data["Path"], data["EnvVarFile"] = shellPath(remote), shellPath(varFile)
	}
	return renderLater("execute_command", text, data)
}

// usesDefault tells whether a default execute_command is used, of which we know what it does with the files.
func usesDefault(p *config.Shell) bool {
	return p.ExecuteCommand == "" || p.ExecuteCommand == defaultExecute || p.ExecuteCommand == defaultExecuteFile
}

// renderLater fills in a template that the configuration kept for the time when the step runs.
func renderLater(key, text string, data map[string]string) (string, error) {
	out, err := config.RenderLater(text, data)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return out, nil
}

func validExit(exit int, valid []int) bool {
	if len(valid) == 0 {
		return exit == 0
	}
	return slices.Contains(valid, exit)
}

// exitError says what an exit code means where that helps.
func exitError(name string, exit int) error {
	hint := ""
	switch exit {
	case 126:
		hint = " (found, but it may not be executed: is the file system mounted noexec? Set remote_folder, or run it by execute_command, e.g. \"{{.Vars}} sh {{.Path}}\")"
	case 127:
		hint = " (a command, or the script's interpreter, was not found)"
	case 137:
		hint = " (killed; the server may be short of memory)"
	}
	return fmt.Errorf("%s exited with %d%s", name, exit, hint)
}

// diedWithServer tells the exit codes of a shell that a reboot ended: by SIGHUP, SIGTERM or SIGKILL.
func diedWithServer(exit int) bool { return exit == 128+1 || exit == 128+15 || exit == 128+9 }

// goesDown waits a moment for the connection to end after a script that was to end it: "reboot" comes back at once, and
// the next command would die with the system.
func (r stepRun) goesDown(ctx context.Context) bool {
	c, ok := r.Comm.(interface{ lost() <-chan struct{} })
	if !ok {
		return false
	}
	lost := c.lost()
	if lost == nil {
		return true
	}
	t := time.NewTimer(3 * time.Second)
	defer t.Stop()
	select {
	case <-lost:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// remove deletes files of ours on the server.
func (r stepRun) remove(ctx context.Context, files []string, retry time.Duration, down bool) error {
	return r.tidy(ctx, strings.Join(files, ", "), retry, down, func() error { return r.quiet(ctx, removeLine(files)) })
}

func removeLine(files []string) string {
	line := "rm -f"
	for _, f := range files {
		line += " " + shellPath(f)
	}
	return line
}

// quiet runs a command line of ours. What it prints is told only when it fails.
func (r stepRun) quiet(ctx context.Context, line string) error {
	var out limitedBuffer
	exit, err := r.Comm.Run(ctx, Command{Line: line, Stdout: &out, Stderr: &out})
	if errors.Is(err, ErrDisconnected) {
		return fmt.Errorf("%w: %w", errConnection, err)
	}
	if err == nil && exit != 0 {
		err = fmt.Errorf("exit code %d: %s", exit, out.String())
	}
	return err
}

// tidy takes something of ours off the server. When the server went down it may take its time to come back; when it was
// the last step that brought it down, it need not come back at all.
func (r stepRun) tidy(ctx context.Context, what string, retry time.Duration, down bool, remove func() error) error {
	stopped := false
	err := r.persist(ctx, retry, func() error {
		if down && r.Stopped != nil {
			if s, err := r.Stopped(ctx); err == nil && s {
				stopped = true
				return nil
			}
		}
		return remove()
	})
	switch {
	case stopped && r.last, down && r.last && errors.Is(err, errConnection):
		r.Story.Info("the server has shut down; left in the image: %s", what)
		return nil
	case stopped:
		return errors.New("the script has shut the server down, and there are steps left to do")
	case err != nil:
		return fmt.Errorf("remove %s from the server: %w", what, err)
	}
	return nil
}

// removeQuietly deletes files of ours on a failing way out, where a second error would hide the first.
func (r stepRun) removeQuietly(ctx context.Context, files []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r.Comm.Run(ctx, Command{Line: removeLine(files)})
}
