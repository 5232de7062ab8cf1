package config

import "time"

// PowerShell is the powershell provisioner (PACKER.md P3), defaults filled in.
type PowerShell struct {
	Inline                 []string
	Scripts                []string // host paths: script and scripts
	Binary                 bool
	EnvironmentVars        []string // "KEY=value", in order; env merged in
	EnvVarFormat           string
	ExecuteCommand         string // Go template text with .Vars .Path, rendered by provision; empty: made from ExecutionPolicy and UsePwsh
	ElevatedUser           string
	ElevatedPassword       string
	ElevatedExecuteCommand string // as ExecuteCommand
	ElevatedEnvVarFormat   string
	ExecutionPolicy        string // bypass, allsigned, default, remotesigned, restricted, undefined, unrestricted, none
	UsePwsh                bool
	DebugMode              int    // 0, 1, 2: Set-PSDebug -Trace
	RemotePath             string // empty: a new name in c:/Windows/Temp
	RemoteEnvVarPath       string // empty: likewise
	SkipClean              bool
	PauseAfter             time.Duration
	StartRetryTimeout      time.Duration
	ValidExitCodes         []int
}

// WindowsShell is the windows-shell provisioner (PACKER.md P4): cmd.exe.
type WindowsShell struct {
	Inline            []string
	Scripts           []string
	Binary            bool
	EnvironmentVars   []string
	EnvVarFormat      string
	ExecuteCommand    string // Go template text with .Vars .Path
	RemotePath        string
	StartRetryTimeout time.Duration
	ValidExitCodes    []int
}

// WindowsRestart is the windows-restart provisioner (PACKER.md P5).
type WindowsRestart struct {
	RestartCommand      string
	RestartCheckCommand string
	RestartTimeout      time.Duration
	CheckRegistry       bool
	RegistryKeys        []string
}

// ShellLocal is the shell-local provisioner and post-processor (PACKER.md P6, PP2): commands on this machine.
type ShellLocal struct {
	Inline            []string // command is one of these
	InlineShebang     string
	Scripts           []string
	EnvironmentVars   []string
	EnvVarFormat      string
	ExecuteCommand    []string // Go template texts with .Vars .Script
	OnlyOn            []string // operating systems, as Go names them; empty: all
	TempfileExtension string
	UseLinuxPathing   bool
	ValidExitCodes    []int
}

// Ansible is the ansible provisioner (PACKER.md P9): ansible-playbook of this machine.
type Ansible struct {
	PlaybookFile          string
	Command               string   // ansible-playbook
	ExtraArguments        []string // passed on as they are
	SSHExtraArgs          []string // ansible_ssh_extra_args: passed with --ssh-extra-args
	AnsibleEnvVars        []string // "KEY=value"
	Groups, EmptyGroups   []string
	HostAlias             string // name of the server in the inventory
	User                  string // empty: the communicator's
	InventoryDirectory    string
	InventoryFile         string // empty: a generated one
	InventoryFileTemplate string // Go template text with .HostAlias .Host .User .Port
	LimitTo               string
	GalaxyFile            string
	GalaxyCommand         string
	GalaxyForceInstall    bool
	GalaxyForceWithDeps   bool
	RolesPath             string
	CollectionsPath       string
	KeepInventoryFile     bool
	SkipVersionCheck      bool
}

// Sleep is the sleep provisioner (PACKER.md P7).
type Sleep struct{ Duration time.Duration }

// Breakpoint is the breakpoint provisioner (PACKER.md P7).
type Breakpoint struct {
	Note    string
	Disable bool
}

// Manifest is the manifest post-processor (PACKER.md PP1).
type Manifest struct {
	Output     string
	StripPath  bool
	StripTime  bool
	CustomData map[string]string
}

// Checksum is the checksum post-processor (PACKER.md PP3), over the files this run wrote (manifests).
type Checksum struct {
	ChecksumTypes []string // md5, sha1, sha224, sha256, sha384, sha512
	Output        string   // Go template text with .BuildName .BuilderType .ChecksumType
}
