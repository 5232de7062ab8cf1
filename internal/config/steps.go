package config

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// stepType is one kind of provisioner or post-processor: how its body becomes options.
type stepType struct {
	name   string
	raw    map[string]bool // keys that hold templates for later
	decode func(d *decoder, o object) any
	keys   func() []KeyDoc
}

// stepOf makes a stepType of a schema; options picks the exported options out of what the schema decodes into.
func stepOf[T any](name string, s *schema[T], options func(*T) any) *stepType {
	return &stepType{
		name:   name,
		raw:    s.rawKeys(),
		decode: func(d *decoder, o object) any { t := decode(d, s, o); return options(&t) },
		keys:   func() []KeyDoc { return s.docs(name) },
	}
}

// provisionerTypes and postProcessorTypes are all kinds of steps there are.
var (
	provisionerTypes = map[string]*stepType{
		"shell":           stepOf("shell", shellSchema, func(k *shellKeys) any { return &k.Shell }),
		"file":            stepOf("file", fileSchema, func(k *fileKeys) any { return &k.File }),
		"powershell":      stepOf("powershell", powershellSchema, func(k *powershellKeys) any { return &k.PowerShell }),
		"windows-shell":   stepOf("windows-shell", windowsShellSchema, func(k *windowsShellKeys) any { return &k.WindowsShell }),
		"windows-restart": stepOf("windows-restart", windowsRestartSchema, func(k *WindowsRestart) any { return k }),
		"shell-local":     stepOf("shell-local", shellLocalSchema, func(k *shellLocalKeys) any { return &k.ShellLocal }),
		"ansible":         stepOf("ansible", ansibleSchema, func(k *Ansible) any { return k }),
		"sleep":           stepOf("sleep", sleepSchema, func(k *Sleep) any { return k }),
		"breakpoint":      stepOf("breakpoint", breakpointSchema, func(k *Breakpoint) any { return k }),
	}
	postProcessorTypes = map[string]*stepType{
		"manifest":    stepOf("manifest", manifestSchema, func(k *Manifest) any { return k }),
		"shell-local": stepOf("shell-local", shellLocalSchema, func(k *shellLocalKeys) any { return &k.ShellLocal }),
		"checksum":    stepOf("checksum", checksumSchema, func(k *Checksum) any { return k }),
	}
)

// What to do instead of steps known from Packer that tfbake has not.
var (
	provisionerHints = map[string]string{
		"hcp-sbom":          "It uploads to HCP Packer, which tfbake does not use. Run a tool such as syft in a shell provisioner and fetch its output with a file provisioner (direction = download).",
		"ansible-local":     "Use ansible, which runs this machine's ansible-playbook, or install ansible in a shell provisioner and call it there.",
		"puppet-masterless": "Install puppet in a shell provisioner and run \"puppet apply\" there; send the manifests with a file provisioner.",
		"puppet-server":     "Install puppet in a shell provisioner and run \"puppet agent --test\" there.",
		"chef-solo":         "Install chef in a shell provisioner and run \"chef-solo\" there; send the cookbooks with a file provisioner.",
		"chef-client":       "Install chef in a shell provisioner and run \"chef-client\" there.",
		"salt-masterless":   "Install salt in a shell provisioner and run \"salt-call --local\" there; send the states with a file provisioner.",
		"converge":          "Run it in a shell provisioner.",
		"inspec":            "Run inspec with a shell-local provisioner: it gets TFBAKE_SSH_* in its environment.",
		"goss":              "Send goss and its file with a file provisioner and run it in a shell provisioner.",
		"windows-update":    "Run Windows Update in a powershell provisioner, with windows-restart after it.",
	}
	postProcessorHints = map[string]string{
		"compress":             "It packs the files a build leaves behind; a baked image stays in the cloud, so there are none.",
		"artifice":             "It replaces the files of a build; a baked image stays in the cloud, so there are none.",
		"vagrant":              "It needs a disk image on this machine; a baked image stays in the cloud.",
		"vagrant-cloud":        "It needs a disk image on this machine; a baked image stays in the cloud.",
		"docker-push":          "It needs a container image; tfbake bakes server images.",
		"docker-tag":           "It needs a container image; tfbake bakes server images.",
		"docker-import":        "It needs a container image; tfbake bakes server images.",
		"docker-save":          "It needs a container image; tfbake bakes server images.",
		"amazon-import":        "It needs a disk image on this machine; a baked image stays in the cloud.",
		"provenance":           "Signed provenance is not supported yet. A manifest post-processor records what was baked; sign its file with a shell-local post-processor.",
		"hcp-sbom":             "It uploads to HCP Packer, which tfbake does not use.",
		"googlecompute-export": "It exports from Google Cloud.",
	}
)

// unknownStep explains a type tfbake has not.
func unknownStep(kind, name string, r hcl.Range) *hcl.Diagnostic {
	types, hints := provisionerTypes, provisionerHints
	if kind == "post-processor" {
		types, hints = postProcessorTypes, postProcessorHints
	}
	var names []string
	for n := range types {
		names = append(names, n)
	}
	sort.Strings(names)
	detail := fmt.Sprintf("tfbake has the %ss %s.", kind, strings.Join(names, ", "))
	if near := suggest(name, names); near != "" {
		detail = fmt.Sprintf("Did you mean %q? ", near) + detail
	}
	if hint := hints[name]; hint != "" {
		detail = hint + " " + detail
	}
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: fmt.Sprintf("There is no %s %q", kind, name), Detail: detail, Subject: r.Ptr()}
}

// scriptKeys are what every provisioner that runs scripts has in common.
type scriptKeys struct {
	inline  []string
	script  string
	scripts []string
	vars    []string
	env     map[string]string
}

func scriptFields[T any](of func(*T) *scriptKeys) []field[T] {
	return []field[T]{
		{name: "inline", doc: "Commands, run as one script.", ptr: func(t *T) any { return &of(t).inline }},
		{name: "script", doc: "Script on this machine.", ptr: func(t *T) any { return &of(t).script }, check: fileCheck},
		{name: "scripts", doc: "Scripts on this machine, run in order.", ptr: func(t *T) any { return &of(t).scripts }, check: fileCheck},
		{name: "environment_vars", doc: "Environment variables, as NAME=value.", ptr: func(t *T) any { return &of(t).vars }, check: envCheck},
		{name: "env", doc: "Environment variables, as an object; wins over environment_vars.", ptr: func(t *T) any { return &of(t).env }},
	}
}

// finish checks that there is exactly one source of commands and merges the two ways to give an environment.
func (k *scriptKeys) finish(d *decoder) (inline, scripts, vars []string) {
	var given []string
	for _, key := range []string{"inline", "command", "script", "scripts"} {
		if d.has(key) && (d.pending[key] || !d.empty(key)) {
			given = append(given, key)
		}
	}
	sort.SliceStable(given, func(i, j int) bool {
		return d.keys[given[i]].rng.Start.Byte < d.keys[given[j]].rng.Start.Byte
	})
	switch {
	case len(given) == 0:
		d.errorf(d.obj.rng, "Nothing to run", "Set inline to a list of commands, or script or scripts to files on this machine.")
	case len(given) > 1:
		d.errorf(d.keyAt(given[1]), fmt.Sprintf("%s and %s cannot both be set", given[0], given[1]), "Keep one; the rest goes into a step of its own. Steps run in order.")
	}
	inline, scripts = k.inline, k.scripts
	if k.script != "" {
		scripts = []string{k.script}
	}
	for _, kv := range k.vars {
		name, _, _ := strings.Cut(kv, "=")
		if _, replaced := k.env[name]; !replaced {
			vars = append(vars, kv)
		}
	}
	names := make([]string, 0, len(k.env))
	for name := range k.env {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		vars = append(vars, name+"="+k.env[name])
	}
	return inline, scripts, vars
}

// empty tells whether a known key was set to nothing: "" or [].
func (d *decoder) empty(key string) bool {
	v := d.keys[key].val.v
	if isList(v) {
		return v.LengthInt() == 0
	}
	s, err := asString(v)
	return err == nil && s == ""
}

type shellKeys struct {
	scriptKeys
	Shell
}

var shellSchema = stepSchema("the shell provisioner", append(scriptFields(func(k *shellKeys) *scriptKeys { return &k.scriptKeys }),
	[]field[shellKeys]{
		{name: "inline_shebang", def: "/bin/sh -e", doc: "First line of the script made of inline, without #!; a #! in inline's first line wins.",
			ptr: func(k *shellKeys) any { return &k.InlineShebang }},
		{name: "binary", doc: "The script is a binary: its line ends are left alone.",
			ptr: func(k *shellKeys) any { return &k.Binary }},
		{name: "env_var_format", doc: "How one environment variable is written. Default: %s='%s' , with use_env_var_file export %s='%s'.",
			ptr: func(k *shellKeys) any { return &k.EnvVarFormat }},
		{name: "use_env_var_file", doc: "Send the environment in a file that is sourced, instead of on the command line.",
			ptr: func(k *shellKeys) any { return &k.UseEnvVarFile }},
		{name: "execute_command", raw: true, doc: "How the script is run: {{.Path}}, {{.Vars}} and {{.EnvVarFile}} are filled in. Default: chmod +x {{.Path}}; {{.Vars}} {{.Path}}.",
			ptr: func(k *shellKeys) any { return &k.ExecuteCommand }},
		{name: "expect_disconnect", doc: "The script may cut the connection, by rebooting for example.",
			ptr: func(k *shellKeys) any { return &k.ExpectDisconnect }},
		{name: "pause_after", doc: "Wait this long when the script is done.",
			ptr: func(k *shellKeys) any { return &k.PauseAfter }},
		{name: "remote_folder", def: "/tmp", doc: "Directory on the server for the script.",
			ptr: func(k *shellKeys) any { return &k.RemoteFolder }},
		{name: "remote_file", doc: "Name of the script on the server. Default: script_NNNN.sh.",
			ptr: func(k *shellKeys) any { return &k.RemoteFile }},
		{name: "remote_path", doc: "Path of the script on the server, instead of remote_folder and remote_file.",
			ptr: func(k *shellKeys) any { return &k.RemotePath }},
		{name: "skip_clean", doc: "Leave the script on the server.",
			ptr: func(k *shellKeys) any { return &k.SkipClean }},
		{name: "start_retry_timeout", def: "5m", doc: "How long to try to start the script, across a reboot.",
			ptr: func(k *shellKeys) any { return &k.StartRetryTimeout }},
		{name: "valid_exit_codes", def: "0", doc: "Exit codes that count as success.",
			ptr: func(k *shellKeys) any { return &k.ValidExitCodes }},
	}...),
	func(d *decoder, k *shellKeys) {
		s := &k.Shell
		s.Inline, s.Scripts, s.EnvironmentVars = k.finish(d)
		if s.EnvVarFormat == "" {
			s.EnvVarFormat = "%s='%s' "
			if s.UseEnvVarFile {
				s.EnvVarFormat = "export %s='%s'\n"
			}
		}
		if s.ExecuteCommand == "" {
			s.ExecuteCommand = "chmod +x {{.Path}}; {{.Vars}} {{.Path}}"
			if s.UseEnvVarFile {
				s.ExecuteCommand = "chmod +x {{.Path}}; . {{.EnvVarFile}} && {{.Path}}"
			}
		}
		if len(s.ValidExitCodes) == 0 {
			s.ValidExitCodes = []int{0}
		}
		if d.known("inline") && !d.empty("inline") && strings.HasPrefix(s.InlineShebang, "#!") {
			d.warnf(d.at("inline_shebang"), "inline_shebang begins with #!", "It is put after #! already; write only the interpreter and its options.")
		}
		checkFormat(d, "env_var_format")
	})

type fileKeys struct {
	File
	source string
}

var fileSchema = stepSchema("the file provisioner", []field[fileKeys]{
	{name: "source", doc: "File or directory to send; with a trailing / the directory's content. A directory goes into a destination that exists, or else becomes it. direction = download: the path on the server.",
		ptr: func(k *fileKeys) any { return &k.source }},
	{name: "sources", doc: "Several of them; destination is then a directory and ends with /.",
		ptr: func(k *fileKeys) any { return &k.Sources }},
	{name: "content", doc: "Text to write to destination, instead of a source.",
		ptr: func(k *fileKeys) any { return &k.Content }},
	{name: "destination", need: true, doc: "where to put it.",
		ptr: func(k *fileKeys) any { return &k.Destination }},
	{name: "direction", def: "upload", doc: "upload or download.",
		ptr: func(k *fileKeys) any { return &k.Direction }, check: oneOf("upload", "download")},
	{name: "generated", doc: "The source comes to be during the bake: do not look for it before.",
		ptr: func(k *fileKeys) any { return &k.Generated }},
}, func(d *decoder, k *fileKeys) {
	f := &k.File
	if k.source != "" {
		f.Sources = append(f.Sources, k.source)
	}
	f.HasContent = d.has("content")
	sourceKey := "source"
	if !d.has("source") {
		sourceKey = "sources"
	}
	switch hasSource := d.has("source") || d.has("sources"); {
	case hasSource && f.HasContent && !(d.known("content") && f.Content == ""):
		d.errorf(d.keyAt("content"), fmt.Sprintf("content and %s cannot both be set", sourceKey), "Make two file provisioners of them.")
	case !hasSource && !f.HasContent:
		d.errorf(d.obj.rng, "Nothing to send", "Set source to a file or directory, or content to a text.")
	case hasSource:
		f.HasContent = false
	}
	if d.has("destination") && d.known("destination") && f.Destination == "" {
		d.errorf(d.at("destination"), "destination is empty", "Name the file or directory to write.")
	}
	if f.Direction == "download" && f.HasContent {
		d.errorf(d.keyAt("content"), "content cannot be downloaded", "Set source to the path on the server.")
	}
	if f.Direction == "upload" && !f.Generated && !d.pending["direction"] && !d.pending["generated"] {
		for _, key := range []string{"source", "sources"} {
			if d.has(key) {
				fileCheck(d, key, d.keys[key].val.standIn())
			}
		}
	}
	if d.known("sources") && d.known("destination") && len(f.Sources) > 1 && f.Destination != "" && !strings.HasSuffix(f.Destination, "/") && !strings.HasSuffix(f.Destination, `\`) {
		d.warnf(d.at("destination"), "Several sources, one destination", "They go into a directory: write %q.", f.Destination+"/")
	}
})

type powershellKeys struct {
	scriptKeys
	PowerShell
}

var powershellSchema = stepSchema("the powershell provisioner", append(scriptFields(func(k *powershellKeys) *scriptKeys { return &k.scriptKeys }),
	[]field[powershellKeys]{
		{name: "binary", doc: "The script is a binary: its line ends are left alone.",
			ptr: func(k *powershellKeys) any { return &k.Binary }},
		{name: "env_var_format", def: `$env:%s="%s"; `, doc: "How one environment variable is written.",
			ptr: func(k *powershellKeys) any { return &k.EnvVarFormat }},
		{name: "execute_command", raw: true, doc: "How the script is run: {{.Path}} and {{.Vars}} are filled in. Default: powershell or pwsh with execution_policy.",
			ptr: func(k *powershellKeys) any { return &k.ExecuteCommand }},
		{name: "elevated_user", doc: "Run as this user in a scheduled task, with all rights.",
			ptr: func(k *powershellKeys) any { return &k.ElevatedUser }},
		{name: "elevated_password", secret: true, doc: "Password of elevated_user.",
			ptr: func(k *powershellKeys) any { return &k.ElevatedPassword }},
		{name: "elevated_execute_command", raw: true, doc: "As execute_command, for elevated_user.",
			ptr: func(k *powershellKeys) any { return &k.ElevatedExecuteCommand }},
		{name: "elevated_env_var_format", def: `$env:%s="%s"; `, doc: "As env_var_format, for elevated_user.",
			ptr: func(k *powershellKeys) any { return &k.ElevatedEnvVarFormat }},
		{name: "execution_policy", def: "bypass", doc: "bypass, allsigned, default, remotesigned, restricted, undefined, unrestricted or none.",
			ptr: func(k *powershellKeys) any { return &k.ExecutionPolicy }, check: policyCheck},
		{name: "use_pwsh", doc: "pwsh instead of powershell.",
			ptr: func(k *powershellKeys) any { return &k.UsePwsh }},
		{name: "debug_mode", doc: "Set-PSDebug -Trace level: 0, 1 or 2.",
			ptr: func(k *powershellKeys) any { return &k.DebugMode }, check: debugCheck},
		{name: "remote_path", doc: "Path of the script on the server. Default: a new name in c:/Windows/Temp.",
			ptr: func(k *powershellKeys) any { return &k.RemotePath }},
		{name: "remote_env_var_path", doc: "Path of the environment's file on the server. Default: a new name in c:/Windows/Temp.",
			ptr: func(k *powershellKeys) any { return &k.RemoteEnvVarPath }},
		{name: "skip_clean", doc: "Leave the script on the server.",
			ptr: func(k *powershellKeys) any { return &k.SkipClean }},
		{name: "pause_after", doc: "Wait this long when the script is done.",
			ptr: func(k *powershellKeys) any { return &k.PauseAfter }},
		{name: "start_retry_timeout", def: "5m", doc: "How long to try to start the script, across a reboot.",
			ptr: func(k *powershellKeys) any { return &k.StartRetryTimeout }},
		{name: "valid_exit_codes", def: "0", doc: "Exit codes that count as success.",
			ptr: func(k *powershellKeys) any { return &k.ValidExitCodes }},
	}...),
	func(d *decoder, k *powershellKeys) {
		p := &k.PowerShell
		p.Inline, p.Scripts, p.EnvironmentVars = k.finish(d)
		p.ExecutionPolicy = strings.ToLower(p.ExecutionPolicy)
		if d.has("elevated_password") && !d.has("elevated_user") {
			d.errorf(d.keyAt("elevated_password"), "elevated_password without a user", "Set elevated_user too.")
		}
		if len(p.ValidExitCodes) == 0 {
			p.ValidExitCodes = []int{0}
		}
		checkFormat(d, "env_var_format")
		checkFormat(d, "elevated_env_var_format")
	})

func policyCheck(d *decoder, key string, v value) {
	if s, err := asString(v.v); err == nil {
		v.v = stringVal(strings.ToLower(s))
	}
	oneOf("bypass", "allsigned", "default", "remotesigned", "restricted", "undefined", "unrestricted", "none")(d, key, v)
}

func debugCheck(d *decoder, key string, v value) {
	if n, err := asInt(v.v); err == nil && (n < 0 || n > 2) {
		d.errorf(v.rng, "debug_mode is 0, 1 or 2", "It is the level of Set-PSDebug -Trace.")
	}
}

type windowsShellKeys struct {
	scriptKeys
	WindowsShell
}

var windowsShellSchema = stepSchema("the windows-shell provisioner", append(scriptFields(func(k *windowsShellKeys) *scriptKeys { return &k.scriptKeys }),
	[]field[windowsShellKeys]{
		{name: "binary", doc: "The script is a binary: its line ends are left alone.",
			ptr: func(k *windowsShellKeys) any { return &k.Binary }},
		{name: "env_var_format", def: `set "%s=%s" && `, doc: "How one environment variable is written.",
			ptr: func(k *windowsShellKeys) any { return &k.EnvVarFormat }},
		{name: "execute_command", def: `{{.Vars}}"{{.Path}}"`, raw: true, doc: "How the script is run: {{.Path}} and {{.Vars}} are filled in.",
			ptr: func(k *windowsShellKeys) any { return &k.ExecuteCommand }},
		{name: "remote_path", def: "c:/Windows/Temp/script.bat", doc: "Path of the script on the server.",
			ptr: func(k *windowsShellKeys) any { return &k.RemotePath }},
		{name: "start_retry_timeout", def: "5m", doc: "How long to try to start the script, across a reboot.",
			ptr: func(k *windowsShellKeys) any { return &k.StartRetryTimeout }},
		{name: "valid_exit_codes", def: "0", doc: "Exit codes that count as success.",
			ptr: func(k *windowsShellKeys) any { return &k.ValidExitCodes }},
	}...),
	func(d *decoder, k *windowsShellKeys) {
		w := &k.WindowsShell
		w.Inline, w.Scripts, w.EnvironmentVars = k.finish(d)
		if len(w.ValidExitCodes) == 0 {
			w.ValidExitCodes = []int{0}
		}
		checkFormat(d, "env_var_format")
	})

var windowsRestartSchema = stepSchema("the windows-restart provisioner", []field[WindowsRestart]{
	{name: "restart_command", def: `shutdown /r /f /t 0 /c "tfbake restart"`, doc: "Command that restarts the server.",
		ptr: func(w *WindowsRestart) any { return &w.RestartCommand }},
	{name: "restart_check_command", doc: "Command that shows the server is back. Default: one that prints its name.",
		ptr: func(w *WindowsRestart) any { return &w.RestartCheckCommand }},
	{name: "restart_timeout", def: "5m", doc: "How long the restart may take.",
		ptr: func(w *WindowsRestart) any { return &w.RestartTimeout }},
	{name: "check_registry", doc: "Wait until the registry has no restart pending.",
		ptr: func(w *WindowsRestart) any { return &w.CheckRegistry }},
	{name: "registry_keys", doc: "Registry keys that tell of a pending restart. Default: those of component based servicing.",
		ptr: func(w *WindowsRestart) any { return &w.RegistryKeys }},
}, func(d *decoder, w *WindowsRestart) {
	if w.RestartCheckCommand == "" {
		w.RestartCheckCommand = `powershell -NoProfile -Command "Write-Output ('{0} restarted.' -f [System.Net.Dns]::GetHostName())"`
	}
	if len(w.RegistryKeys) == 0 {
		w.RegistryKeys = []string{
			`HKLM:SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`,
			`HKLM:SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\PackagesPending`,
			`HKLM:SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootInProgress`,
		}
	}
	if w.RestartTimeout == 0 {
		w.RestartTimeout = 5 * time.Minute
	}
})

type shellLocalKeys struct {
	scriptKeys
	ShellLocal
	command string
}

var shellLocalSchema = stepSchema("the shell-local step", append(scriptFields(func(k *shellLocalKeys) *scriptKeys { return &k.scriptKeys }),
	[]field[shellLocalKeys]{
		{name: "command", doc: "One command: the older way to write inline.",
			ptr: func(k *shellLocalKeys) any { return &k.command }},
		{name: "inline_shebang", def: "/bin/sh -e", doc: "First line of the script made of inline, without #!.",
			ptr: func(k *shellLocalKeys) any { return &k.InlineShebang }},
		{name: "env_var_format", def: "%s='%s' ", doc: "How one environment variable is written.",
			ptr: func(k *shellLocalKeys) any { return &k.EnvVarFormat }},
		{name: "execute_command", raw: true, doc: "Program and arguments that run the script: {{.Vars}} and {{.Script}} are filled in. Default: /bin/sh -c \"{{.Vars}} {{.Script}}\".",
			ptr: func(k *shellLocalKeys) any { return &k.ExecuteCommand }},
		{name: "only_on", doc: "Run only on these systems: darwin, freebsd, linux, openbsd, solaris, windows.",
			ptr: func(k *shellLocalKeys) any { return &k.OnlyOn }, check: systemCheck},
		{name: "tempfile_extension", doc: "Ending of the file made of inline.",
			ptr: func(k *shellLocalKeys) any { return &k.TempfileExtension }},
		{name: "use_linux_pathing", doc: "On Windows: give script paths as /mnt/c/…, for WSL.",
			ptr: func(k *shellLocalKeys) any { return &k.UseLinuxPathing }},
		{name: "valid_exit_codes", def: "0", doc: "Exit codes that count as success.",
			ptr: func(k *shellLocalKeys) any { return &k.ValidExitCodes }},
	}...),
	func(d *decoder, k *shellLocalKeys) {
		l := &k.ShellLocal
		l.Inline, l.Scripts, l.EnvironmentVars = k.finish(d)
		if k.command != "" && len(l.Inline) == 0 {
			l.Inline = []string{k.command}
		}
		if len(l.ExecuteCommand) == 0 {
			l.ExecuteCommand = []string{"/bin/sh", "-c", "{{.Vars}} {{.Script}}"}
		}
		if len(l.ValidExitCodes) == 0 {
			l.ValidExitCodes = []int{0}
		}
		l.TempfileExtension = strings.TrimPrefix(l.TempfileExtension, ".")
		if l.UseLinuxPathing && len(l.Inline) > 0 {
			d.errorf(d.keyAt("use_linux_pathing"), "use_linux_pathing takes script files", "Under WSL the commands of inline cannot be handed over; put them into a file and set script.")
		}
		checkFormat(d, "env_var_format")
	})

func systemCheck(d *decoder, key string, v value) {
	list := []value{v}
	if isList(v.v) {
		list = v.list()
	}
	for _, e := range list {
		oneOf("darwin", "freebsd", "linux", "openbsd", "solaris", "windows")(d, key, e)
	}
}

var ansibleSchema = stepSchema("the ansible provisioner", []field[Ansible]{
	{name: "playbook_file", need: true, doc: "the playbook on this machine.",
		ptr: func(a *Ansible) any { return &a.PlaybookFile }, check: fileCheck},
	{name: "command", def: "ansible-playbook", doc: "Program to run.",
		ptr: func(a *Ansible) any { return &a.Command }},
	{name: "extra_arguments", doc: "Arguments passed on, not through a shell.",
		ptr: func(a *Ansible) any { return &a.ExtraArguments }},
	{name: "ansible_ssh_extra_args", doc: "Passed with --ssh-extra-args.",
		ptr: func(a *Ansible) any { return &a.SSHExtraArgs }},
	{name: "ansible_env_vars", doc: "Environment of ansible, as NAME=value.",
		ptr: func(a *Ansible) any { return &a.AnsibleEnvVars }, check: envCheck},
	{name: "groups", doc: "Groups of the inventory the server is in.",
		ptr: func(a *Ansible) any { return &a.Groups }},
	{name: "empty_groups", doc: "Groups of the inventory that stay empty.",
		ptr: func(a *Ansible) any { return &a.EmptyGroups }},
	{name: "host_alias", def: "default", doc: "Name of the server in the inventory.",
		ptr: func(a *Ansible) any { return &a.HostAlias }},
	{name: "user", doc: "User ansible logs in as. Default: the communicator's.",
		ptr: func(a *Ansible) any { return &a.User }},
	{name: "inventory_directory", doc: "Directory the generated inventory is put in, beside group_vars and host_vars.",
		ptr: func(a *Ansible) any { return &a.InventoryDirectory }, check: fileCheck},
	{name: "inventory_file", doc: "An inventory of your own instead of a generated one.",
		ptr: func(a *Ansible) any { return &a.InventoryFile }, check: fileCheck},
	{name: "inventory_file_template", raw: true, doc: "Lines of the generated inventory: {{.HostAlias}}, {{.Host}}, {{.User}} and {{.Port}} are filled in.",
		ptr: func(a *Ansible) any { return &a.InventoryFileTemplate }},
	{name: "keep_inventory_file", doc: "Leave the generated inventory behind.",
		ptr: func(a *Ansible) any { return &a.KeepInventoryFile }},
	{name: "limit", doc: "Passed with --limit.",
		ptr: func(a *Ansible) any { return &a.LimitTo }},
	{name: "galaxy_file", doc: "Requirements installed with ansible-galaxy before.",
		ptr: func(a *Ansible) any { return &a.GalaxyFile }, check: fileCheck},
	{name: "galaxy_command", def: "ansible-galaxy", doc: "Program that installs them.",
		ptr: func(a *Ansible) any { return &a.GalaxyCommand }},
	{name: "galaxy_force_install", doc: "Passed as --force.",
		ptr: func(a *Ansible) any { return &a.GalaxyForceInstall }},
	{name: "galaxy_force_with_deps", doc: "Passed as --force-with-deps.",
		ptr: func(a *Ansible) any { return &a.GalaxyForceWithDeps }},
	{name: "roles_path", aliases: old("galaxy_roles_path"), doc: "Passed as --roles-path.",
		ptr: func(a *Ansible) any { return &a.RolesPath }},
	{name: "collections_path", aliases: old("galaxy_collections_path"), doc: "Passed as --collections-path.",
		ptr: func(a *Ansible) any { return &a.CollectionsPath }},
	{name: "skip_version_check", doc: "Do not ask ansible for its version before.",
		ptr: func(a *Ansible) any { return &a.SkipVersionCheck }},
}, nil)

const noProxy = "There is no proxy in between: ansible connects to the server itself, or, with a bastion or a SOCKS proxy, to a port of this machine that leads there. Its inventory has the address; ansible_host and ansible_port need not be set."

func init() {
	ansibleSchema.nops = map[string]string{
		"use_proxy": noProxy, "local_port": noProxy, "ssh_host_key_file": noProxy, "ssh_authorized_key_file": noProxy,
		"ansible_proxy_key_type": noProxy, "sftp_command": noProxy, "use_sftp": noProxy, "ansible_proxy_bind_address": noProxy, "ansible_proxy_host": noProxy,
	}
}

var sleepSchema = stepSchema("the sleep provisioner", []field[Sleep]{
	{name: "duration", need: true, doc: "how long.", ptr: func(s *Sleep) any { return &s.Duration }},
}, nil)

var breakpointSchema = stepSchema("the breakpoint provisioner", []field[Breakpoint]{
	{name: "note", doc: "What to show while waiting.", ptr: func(b *Breakpoint) any { return &b.Note }},
	{name: "disable", doc: "Do not stop here.", ptr: func(b *Breakpoint) any { return &b.Disable }},
}, nil)

var manifestSchema = stepSchema("the manifest post-processor", []field[Manifest]{
	{name: "output", def: "packer-manifest.json", doc: "File the build is added to.", ptr: func(m *Manifest) any { return &m.Output }},
	{name: "strip_path", doc: "Write file names without their directories.", ptr: func(m *Manifest) any { return &m.StripPath }},
	{name: "strip_time", doc: "Leave out build_time.", ptr: func(m *Manifest) any { return &m.StripTime }},
	{name: "custom_data", doc: "Text values to write along.", ptr: func(m *Manifest) any { return &m.CustomData }},
}, nil)

var checksumSchema = stepSchema("the checksum post-processor", []field[Checksum]{
	{name: "checksum_types", def: "md5", doc: "md5, sha1, sha224, sha256, sha384, sha512.",
		ptr: func(c *Checksum) any { return &c.ChecksumTypes }, check: checksumCheck},
	{name: "output", raw: true, def: "packer_{{.BuildName}}_{{.BuilderType}}_{{.ChecksumType}}.checksum", doc: "File to write: {{.BuildName}}, {{.BuilderType}} and {{.ChecksumType}} are filled in.",
		ptr: func(c *Checksum) any { return &c.Output }},
}, nil)

func checksumCheck(d *decoder, key string, v value) {
	list := []value{v}
	if isList(v.v) {
		list = v.list()
	}
	for _, e := range list {
		oneOf("md5", "sha1", "sha224", "sha256", "sha384", "sha512")(d, key, e)
	}
}

// checkFormat wants a format with a place for the name and one for the value.
func checkFormat(d *decoder, key string) {
	if !d.has(key) {
		return
	}
	format, err := asString(d.keys[key].val.standIn().v)
	if err == nil && format != "" && strings.Count(strings.ReplaceAll(format, "%%", ""), "%s") != 2 {
		d.errorf(d.at(key), fmt.Sprintf("%s needs two %%s", key), "The first is the variable's name, the second its value.")
	}
}

func stepSchema[T any](what string, fields []field[T], finish func(*decoder, *T)) *schema[T] {
	return &schema[T]{what: what, fields: fields, finish: finish}
}

// expandHome replaces a leading "~/" by the user's home directory.
func expandHome(p string) string {
	if p != "~" && !strings.HasPrefix(p, "~/") {
		return p
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return p
	}
	return filepath.Join(home, strings.TrimPrefix(p, "~"))
}
