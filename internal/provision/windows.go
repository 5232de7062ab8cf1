package provision

// The provisioners for Windows: powershell, windows-shell, windows-restart.

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tfbake/tfbake/internal/config"
)

// exitDisconnectedWinRM is the exit code that Packer's users write for a connection that WinRM lost.
const exitDisconnectedWinRM = 16001

const windowsTemp = "c:/Windows/Temp/"

// powershell runs inline commands or scripts of this machine with PowerShell, with elevated_user as a scheduled task.
func (r stepRun) powershell(ctx context.Context, p *config.PowerShell) error {
	r.Redactor.Add(p.ElevatedPassword)
	retry := p.StartRetryTimeout
	if retry <= 0 {
		retry = startRetry
	}
	id := randomID()
	w := psRun{
		stepRun: r, p: p, retry: retry, id: id,
		remote:  firstOf(p.RemotePath, windowsTemp+"script-"+id+".ps1"),
		varFile: firstOf(p.RemoteEnvVarPath, windowsTemp+"tfbake-env-"+id+".ps1"),
	}
	format := firstOf(p.EnvVarFormat, `$env:%s="%s"; `)
	if p.ElevatedUser != "" {
		format = firstOf(p.ElevatedEnvVarFormat, `$env:%s="%s"; `)
	}
	w.vars = flattenEnv(format, mergeEnv(r.packerEnv(), p.EnvironmentVars), psEscape.Replace)

	var scripts []script
	for _, s := range p.Scripts {
		scripts = append(scripts, script{name: s, path: s})
	}
	if len(p.Inline) > 0 {
		scripts = append(scripts, script{name: "inline script", text: w.inline()})
	}
	gone := false
	for i, s := range scripts {
		r.Story.Say("Provisioning with powershell script: %s", s.name)
		var err error
		if gone, err = w.one(ctx, s, i == len(scripts)-1); err != nil {
			w.removeQuietly(ctx)
			return err
		}
	}
	if err := w.cleanUp(ctx, gone); err != nil {
		return err
	}
	if p.PauseAfter > 0 {
		r.Story.Say("Pausing %s after this provisioner...", p.PauseAfter)
		return sleep(ctx, p.PauseAfter)
	}
	return nil
}

// psEscape escapes a value for a PowerShell string in double quotes.
var psEscape = strings.NewReplacer("$", "`$", `"`, "`\"", "`", "``", "'", "`'")

// psRun is one powershell provisioner at work.
type psRun struct {
	stepRun
	p               *config.PowerShell
	retry           time.Duration
	id              string
	remote, varFile string
	vars            string
	uploaded        []string // to be removed
	fleeting        []string // those of them that remove themselves, when they are run
}

// inline makes a script of the inline commands. An error that is not caught, and the exit code of the last program, become
// the script's exit code.
func (w *psRun) inline() string {
	var b strings.Builder
	b.WriteString("if (Test-Path variable:global:ProgressPreference) { $global:ProgressPreference = 'SilentlyContinue' }\r\n")
	if w.p.DebugMode != 0 {
		fmt.Fprintf(&b, "Set-PSDebug -Trace %d\r\n", w.p.DebugMode)
	}
	if _, custom := w.custom(); custom == "" && !w.p.SkipClean {
		b.WriteString(removing(w.remotePath("")))
	}
	b.WriteString("$exitCode = 0\r\ntry {\r\n" + w.vars + "\r\n")
	for _, line := range w.p.Inline {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("} catch {\r\n" +
		"[Console]::Error.WriteLine(($_ | Out-String))\r\n" +
		"$exitCode = 1\r\n}\r\n" +
		"if ((Test-Path variable:global:LASTEXITCODE) -and $LASTEXITCODE -ne $null -and $LASTEXITCODE -ne 0) { $exitCode = $LASTEXITCODE }\r\n" +
		"exit $exitCode\r\n")
	return withBOM(b.String())
}

// removing is a line by which a script removes itself: PowerShell has read it as a whole when it begins. Scripts that hold
// secrets do so because they may bring the server down, and must not stay in the image.
func removing(file string) string {
	return "Remove-Item -Force -ErrorAction SilentlyContinue -LiteralPath " + psQuote(file) + "\r\n"
}

// withBOM marks a text that is not all ASCII as UTF-8: Windows PowerShell takes it for the local code page otherwise.
func withBOM(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return "\ufeff" + s
		}
	}
	return s
}

// one runs one script. gone tells that the server went down with it, which it may when it is the last thing to do.
func (w *psRun) one(ctx context.Context, s script, lastScript bool) (gone bool, err error) {
	remote := w.remotePath(s.path)
	line, err := w.command(s, remote)
	if err != nil {
		return false, err
	}
	runner := ""
	if w.p.ElevatedUser != "" {
		runner = windowsTemp + "tfbake-elevated-" + w.id + ".ps1"
	}
	vars, varFile := w.vars, w.varFile
	if _, custom := w.custom(); custom == "" {
		switch {
		case s.path == "":
			varFile = "" // an inline script sets its environment itself
			if !w.p.SkipClean {
				w.fleeting = append(w.fleeting, remote)
			}
		case !w.p.SkipClean:
			vars += "\r\n" + removing(varFile)
			w.fleeting = append(w.fleeting, varFile)
		}
	}
	w.fleeting = append(w.fleeting, runner)
	w.note(remote, varFile, runner)
	var exit int
	err = w.persist(ctx, w.retry, func() error {
		content, size, err := s.open(true)
		if err != nil {
			return fmt.Errorf("read %s: %w", s.name, err)
		}
		if varFile != "" {
			text := withBOM(vars)
			if err := w.Comm.Upload(ctx, varFile, strings.NewReader(text), int64(len(text)), 0); err != nil {
				return fmt.Errorf("send its environment: %w", err)
			}
		}
		if err := w.Comm.Upload(ctx, remote, content, size, 0); err != nil {
			return fmt.Errorf("send %s: %w", s.name, err)
		}
		run := line
		if runner != "" {
			text := w.elevated(line, runner)
			if err := w.Comm.Upload(ctx, runner, strings.NewReader(text), int64(len(text)), 0); err != nil {
				return fmt.Errorf("send what runs %s elevated: %w", s.name, err)
			}
			run = "powershell -NoProfile -ExecutionPolicy Bypass -File " + runner
		}
		exit, err = w.run(ctx, run)
		return err
	})
	return w.ended(ctx, s.name, exit, err, w.p.ValidExitCodes, w.last && lastScript)
}

// ended judges how a script ended. A connection that is lost with the last step is the server's own shutdown (sysprep)
// if the server really stops; otherwise the script was cut off.
func (r stepRun) ended(ctx context.Context, name string, exit int, err error, valid []int, last bool) (gone bool, _ error) {
	switch {
	case ctx.Err() != nil:
		return false, fmt.Errorf("%s: %w", name, context.Cause(ctx))
	case errors.Is(err, ErrDisconnected) && (slices.Contains(valid, exitDisconnectedWinRM) || slices.Contains(valid, ExitDisconnected)):
		r.Story.Info("the connection ended with the script, as expected")
		return true, nil
	case errors.Is(err, ErrDisconnected) && last:
		r.Story.Info("the connection ended with the last script; waiting to see whether the server shuts down")
		if stopErr := r.stops(ctx); stopErr != nil {
			return false, fmt.Errorf("%s: %w; and the server has not shut down: %w", name, err, stopErr)
		}
		r.Story.Info("the server has shut down")
		return true, nil
	case errors.Is(err, ErrDisconnected):
		return false, fmt.Errorf("%s: %w; if it restarts the server on purpose, add %d to valid_exit_codes and windows-restart after it", name, err, exitDisconnectedWinRM)
	case err != nil:
		return false, err
	case !validExit(exit, valid):
		return false, exitError(name, exit)
	}
	return false, nil
}

// stops waits until the server has shut down, as the cloud says, or where nobody can be asked, until it has not answered for
// a while.
func (r stepRun) stops(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startRetry, fmt.Errorf("waited for %s", startRetry))
	defer cancel()
	silent := 0
	for {
		if r.Stopped != nil {
			stopped, err := r.Stopped(ctx)
			if stopped || ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				r.Story.Info("ask for the server's state: %s", err)
			}
		} else {
			_, err := r.Comm.Run(ctx, Command{Line: "cmd.exe /c exit 0"})
			if errors.Is(err, errConnection) || errors.Is(err, ErrDisconnected) {
				silent++
			} else {
				silent = 0
			}
			if silent == 3 {
				return nil
			}
		}
		if err := sleep(ctx, settlePause); err != nil {
			return err
		}
	}
}

// settlePause is the pace at which a server that goes down is looked at; tests shorten it.
var settlePause = 5 * time.Second

// note remembers what was put on the server.
func (w *psRun) note(files ...string) {
	for _, f := range files {
		if f != "" && !slices.Contains(w.uploaded, f) {
			w.uploaded = append(w.uploaded, f)
		}
	}
}

// remotePath is where a script of this machine goes on the server; path is "" for an inline one.
func (w *psRun) remotePath(path string) string {
	if !strings.HasSuffix(w.remote, "/") && !strings.HasSuffix(w.remote, `\`) {
		return w.remote
	}
	if path == "" {
		return w.remote + "inline.ps1"
	}
	return w.remote + filepath.Base(path)
}

// custom is the template's own command, and the key that sets it.
func (w *psRun) custom() (key, text string) {
	if w.p.ElevatedUser != "" {
		return "elevated_execute_command", w.p.ElevatedExecuteCommand
	}
	return "execute_command", w.p.ExecuteCommand
}

// command fills in execute_command or elevated_execute_command.
func (w *psRun) command(s script, remote string) (string, error) {
	key, text := w.custom()
	if text == "" {
		text = w.defaultCommand(s)
	}
	return renderLater(key, text, map[string]string{"Path": remote, "Vars": w.varFile})
}

// defaultCommand runs an inline script, which sets its environment itself, as a file, and another after its environment.
func (w *psRun) defaultCommand(s script) string {
	shell := "powershell"
	if w.p.UsePwsh {
		shell = "pwsh"
	}
	if policy := firstOf(w.p.ExecutionPolicy, "bypass"); policy != "none" {
		shell += " -executionpolicy " + policy
	}
	if s.path == "" {
		return shell + " -file {{.Path}}"
	}
	debug := ""
	if w.p.DebugMode != 0 {
		debug = fmt.Sprintf("Set-PSDebug -Trace %d; ", w.p.DebugMode)
	}
	return shell + ` -command "& { if (Test-Path variable:global:ProgressPreference){set-variable -name variable:global:ProgressPreference -value 'SilentlyContinue'};` +
		debug + `. {{.Vars}}; &'{{.Path}}'; exit $LastExitCode }"`
}

// elevated writes the script that runs a command line as elevated_user with all rights: as a scheduled task, because a
// remote login has a filtered token (no Windows Update, no network with the user's name). It shows the task's output as it
// comes, and takes over its exit code. It holds the user's password, and removes itself at its start.
func (w *psRun) elevated(line, runner string) string {
	service := slices.Contains([]string{"system", "localservice", "networkservice"}, strings.ToLower(strings.TrimPrefix(strings.ToLower(w.p.ElevatedUser), `nt authority\`)))
	logon := "1" // with a password
	password := psQuote(w.p.ElevatedPassword)
	if service && w.p.ElevatedPassword == "" {
		logon, password = "5", "$null"
	}
	return withBOM(strings.NewReplacer("\n", "\r\n", "@NAME@", psQuote("tfbake-"+w.id), "@USER@", psQuote(w.p.ElevatedUser),
		"@PASSWORD@", password, "@LOGON@", logon, "@LINE@", psQuote(line), "@REMOVE@", removing(runner)).Replace(`# tfbake: run elevated
@REMOVE@$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'
$name = @NAME@
$line = @LINE@
$log = Join-Path $env:SystemRoot "Temp\$name.log"
$service = New-Object -ComObject Schedule.Service
$service.Connect()
$task = $service.NewTask(0)
$task.RegistrationInfo.Description = 'tfbake: run elevated'
$task.Principal.RunLevel = 1
$task.Settings.ExecutionTimeLimit = 'PT0S'
$task.Settings.DisallowStartIfOnBatteries = $false
$task.Settings.StopIfGoingOnBatteries = $false
$task.Settings.Priority = 4
$action = $task.Actions.Create(0)
$action.Path = 'cmd.exe'
$action.Arguments = "/c $line > ""$log"" 2>&1"
$folder = $service.GetFolder('\')
[void]$folder.RegisterTaskDefinition($name, $task, 6, @USER@, @PASSWORD@, @LOGON@, $null)
$registered = $folder.GetTask($name)
$exit = 1
try {
[void]$registered.Run($null)
$reader = $null
$waited = 0
function Show-New {
if (-not $script:reader -and (Test-Path $log)) {
$script:reader = New-Object IO.StreamReader([IO.File]::Open($log, 'Open', 'Read', 'ReadWrite'))
}
if ($script:reader) { $text = $script:reader.ReadToEnd(); if ($text) { [Console]::Out.Write($text) } }
}
while ($registered.LastTaskResult -eq 267011 -and $waited -lt 600) { Start-Sleep -Milliseconds 100; $waited++ }
while ($registered.State -eq 4) { Show-New; Start-Sleep -Milliseconds 250 }
Show-New
$exit = $registered.LastTaskResult
} finally {
if ($reader) { $reader.Close() }
$folder.DeleteTask($name, 0)
Remove-Item -Force -ErrorAction SilentlyContinue $log
}
exit $exit
`))
}

// cleanUp removes what was sent. down tells that the last script brought the server down.
func (w *psRun) cleanUp(ctx context.Context, down bool) error {
	files := w.toRemove()
	lasting := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return slices.Contains(w.fleeting, f) })
	switch {
	case len(files) == 0, down && w.last && len(lasting) == 0:
		return nil
	case len(lasting) == 0:
		lasting = files
	}
	return w.tidy(ctx, strings.Join(lasting, ", "), w.retry, down || w.last, func() error {
		err := w.quiet(ctx, removeFiles(files))
		if err != nil && w.last && ctx.Err() == nil {
			// A last script may have begun a shutdown (sysprep), in which nothing works any more.
			return fmt.Errorf("%w: %w", errConnection, err)
		}
		return err
	})
}

// removeQuietly removes what was sent on a failing way out, where a second error would hide the first.
func (w *psRun) removeQuietly(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if files := w.toRemove(); len(files) > 0 {
		w.quiet(ctx, removeFiles(files))
	}
}

// toRemove lists what was sent. What runs elevated holds a password: it goes even with skip_clean.
func (w *psRun) toRemove() []string {
	var files []string
	for _, f := range w.uploaded {
		if !w.p.SkipClean || strings.Contains(f, "tfbake-elevated-") {
			files = append(files, f)
		}
	}
	return files
}

func removeFiles(files []string) string {
	var quoted []string
	for _, f := range files {
		quoted = append(quoted, psQuote(f))
	}
	return encodedCommand("# tfbake: remove files\n" +
		"$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'\n" +
		"foreach ($f in " + strings.Join(quoted, ", ") + ") { if (Test-Path -LiteralPath $f) { Remove-Item -Force -LiteralPath $f } }")
}

// windowsShell runs inline commands or scripts of this machine with cmd.exe.
func (r stepRun) windowsShell(ctx context.Context, p *config.WindowsShell) error {
	retry := p.StartRetryTimeout
	if retry <= 0 {
		retry = startRetry
	}
	remote := firstOf(p.RemotePath, windowsTemp+"script.bat")
	vars := flattenEnv(firstOf(p.EnvVarFormat, `set "%s=%s" && `), mergeEnv(r.packerEnv(), p.EnvironmentVars), func(v string) string { return v })
	line, err := renderLater("execute_command", firstOf(p.ExecuteCommand, `{{.Vars}}"{{.Path}}"`), map[string]string{"Path": remote, "Vars": vars})
	if err != nil {
		return err
	}
	var scripts []script
	for _, s := range p.Scripts {
		scripts = append(scripts, script{name: s, path: s})
	}
	if len(p.Inline) > 0 {
		scripts = append(scripts, script{name: "inline script", text: strings.Join(p.Inline, "\r\n") + "\r\n"})
	}
	for i, s := range scripts {
		r.Story.Say("Provisioning with shell script: %s", s.name)
		var exit int
		err := r.persist(ctx, retry, func() error {
			content, size, err := s.open(true)
			if err != nil {
				return fmt.Errorf("read %s: %w", s.name, err)
			}
			if err := r.Comm.Upload(ctx, remote, content, size, 0); err != nil {
				return fmt.Errorf("send %s: %w", s.name, err)
			}
			exit, err = r.run(ctx, line)
			return err
		})
		if _, err := r.ended(ctx, s.name, exit, err, p.ValidExitCodes, r.last && i == len(scripts)-1); err != nil {
			return err
		}
	}
	return nil
}

const (
	windowsRestartCommand = `shutdown /r /f /t 0 /c "tfbake restart"`
	// bootTimeScript prints when the server was started, in units of 100 ns.
	bootTimeScript = "# tfbake: boot time\n" +
		"$ProgressPreference = 'SilentlyContinue'\n" +
		"$os = Get-WmiObject Win32_OperatingSystem\n" +
		"[Console]::Out.WriteLine('boot=' + [Management.ManagementDateTimeConverter]::ToDateTime($os.LastBootUpTime).ToFileTimeUtc())"
)

// windowsRestart restarts the server and waits until it is back: until it tells a later boot time, or where it does not
// tell any, until it has been away and answers again.
func (r stepRun) windowsRestart(ctx context.Context, p *config.WindowsRestart) error {
	limit := p.RestartTimeout
	if limit <= 0 {
		limit = 5 * time.Minute
	}
	r.Story.Say("Restarting the server...")
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the server was not back within %s (restart_timeout)", limit))
	defer cancel()

	var before string
	err := r.persist(ctx, limit, func() (err error) { before, err = r.bootTime(ctx); return err })
	if err != nil {
		return err
	}
	exit, err := r.run(ctx, firstOf(p.RestartCommand, windowsRestartCommand))
	switch {
	case errors.Is(err, ErrDisconnected): // down it goes
	case err != nil:
		return fmt.Errorf("restart_command: %w", err)
	case exit != 0 && exit != 1115 && exit != 1190 && !(exit == 1 && before == ""):
		// 1115: a shutdown is in progress; 1190: one is scheduled.
		return fmt.Errorf("restart_command exited with %d", exit)
	}
	r.Story.Say("Waiting for the server to restart...")
	away := errors.Is(err, ErrDisconnected)
	for {
		now, err := r.bootTime(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			if !errors.Is(err, errConnection) && !errors.Is(err, ErrDisconnected) {
				return err
			}
			away = true
		case before != "" && now != "" && now != before, before == "" && away, now == "" && away:
			return r.restarted(ctx, p)
		}
		if err := sleep(ctx, min(settlePause, 2*time.Second)); err != nil {
			return err
		}
	}
}

// bootTime asks the server when it was started; "" when it cannot tell.
func (r stepRun) bootTime(ctx context.Context) (string, error) {
	var out bytes.Buffer
	_, err := r.Comm.Run(ctx, Command{Line: encodedCommand(bootTimeScript), Stdout: &out})
	if err != nil {
		return "", err
	}
	for _, line := range strings.Fields(out.String()) {
		if t, ok := strings.CutPrefix(line, "boot="); ok {
			return t, nil
		}
	}
	return "", nil
}

// restarted waits until the restarted server is fit for work: its check command can be run, PowerShell does what it is
// told, and no further restart is pending.
func (r stepRun) restarted(ctx context.Context, p *config.WindowsRestart) error {
	again := func(do func() (bool, error)) error {
		for {
			ok, err := do()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if ok && err == nil {
				return nil
			}
			if err := sleep(ctx, min(settlePause, 2*time.Second)); err != nil {
				return err
			}
		}
	}
	if p.RestartCheckCommand != "" {
		if err := again(func() (bool, error) { _, err := r.run(ctx, p.RestartCheckCommand); return true, err }); err != nil {
			return err
		}
	}
	err := again(func() (bool, error) {
		var out bytes.Buffer
		_, err := r.Comm.Run(ctx, Command{Line: encodedCommand(`echo ("{0} restarted." -f [System.Net.Dns]::GetHostName())`), Stdout: &out})
		return strings.Contains(out.String(), "restarted."), err
	})
	if err != nil {
		return err
	}
	if p.CheckRegistry {
		for _, key := range p.RegistryKeys {
			said := false
			err := again(func() (bool, error) {
				var out bytes.Buffer
				_, err := r.Comm.Run(ctx, Command{Line: encodedCommand(`Test-Path "` + key + `"`), Stdout: &out})
				pending := strings.Contains(out.String(), "True")
				if pending && !said {
					r.Story.Info("%s tells of a pending restart; waiting until it is gone", key)
					said = true
				}
				return !pending, err
			})
			if err != nil {
				return fmt.Errorf("check_registry: %w", err)
			}
		}
	}
	r.Story.Say("The server has restarted")
	return nil
}

func randomID() string {
	var b [6]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x", b)
}
