// Package config turns bake files, Packer's JSON and HCL2, into typed builds, and reports every mistake at once as
// hcl.Diagnostics with file, line and column. It reads the files it is given and goes nowhere else: what a data source
// has to ask outside goes through Options.
//
// Load is the way in. JSON is read by a parser that keeps places (json.go), its {{…}} by interpolate.go; HCL2 by
// hashicorp/hcl (hcl.go, hclvars.go, hclbuild.go). Both end in the same objects, which one table-driven decoder
// (decode.go) turns into the structs of types.go and steptypes.go; the tables (builder.go, steps.go) are also the
// reference documentation. Fix, Format and Upgrade rewrite templates.
package config

import (
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Template is a parsed bake file: everything `tfbake run` needs to know before it talks to anyone.
type Template struct {
	Path        string // file or directory as named by the user
	Description string
	Builds      []*Build
	Variables   []Variable
	Backend     *Backend // where terraform keeps the runs' states; nil: in the run directories

	// Sensitive holds the values that must never be shown: sensitive variables, passwords, secret keys.
	Sensitive []string
	// Notes are things worth one line when the template is used, such as settings that have no effect here.
	Notes []string

	// Files maps file names to sources, for printing diagnostics with a snippet and a caret.
	Files map[string]*hcl.File

	eval func(expr string) (string, hcl.Diagnostics)
}

// Eval evaluates an expression as the template would: ${…}-less HCL2 such as var.name or upper("x"), or for a JSON
// template a text with {{…}}. It is what tfbake console does with a line.
func (t *Template) Eval(expr string) (string, hcl.Diagnostics) {
	if t.eval == nil {
		return "", hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "The template could not be read"}}
	}
	return t.eval(expr)
}

// Variable is a declared variable with the value it got.
type Variable struct {
	Name, Description string
	Default           *string // nil: required
	Value             string
	Sensitive         bool
	Range             hcl.Range
}

// Build is one image to bake.
type Build struct {
	Name           string // unique in the template; "ncloud" unless named
	Label          string // what steps are told is the build's name: in HCL2 the label of the source block, as in Packer
	Type           string // always "ncloud" today
	Source         Source
	Communicator   Communicator
	Steps          []*Step // provisioners in order
	ErrorCleanup   *Step   // runs when a provisioner failed
	PostProcessors [][]*Step
	Range          hcl.Range
}

// Source is the builder block: which image to bake, from what. Fields hold what the template said, aliases resolved
// to today's names, and the zero value where it said nothing; Range tells where a key was set.
type Source struct {
	AccessKey, SecretKey string // empty: from the environment or ~/.ncloud/configure
	Site                 string // public (default), gov, fin
	Region               string // as written: "Korea", "KR", "SGN", …; the region list decides
	SupportVPC           *bool  // nil: not said; VPC keys or KVM keys imply it

	// What to boot. VPC KVM uses ServerImageNumber + ServerSpecCode; Classic and VPC XEN/RHV the product codes;
	// MemberServerImageNo an earlier image instead of ServerImageProductCode.
	ServerImageProductCode, ServerProductCode string
	MemberServerImageNo                       string
	ServerImageNumber, ServerSpecCode         string
	Hypervisor                                string // optional check: XEN, RHV, KVM
	FeeSystemTypeCode                         string

	ServerImageName        string // name of the image to bake; empty: a generated one
	ServerImageDescription string
	BlockStorageSize       int    // GB; 0: none
	BlockStorageVolumeType string // KVM: CB1, FB1, CB2, FB2; XEN/Classic: SSD, HDD; empty: the platform's default

	AccessControlGroupNo string   // an existing ACG instead of one of our own
	SourceCIDRs          []string // who may connect through our own ACG; empty: the caller's own address
	AllowWorld           bool     // SourceCIDRs may hold 0.0.0.0/0
	UserData             string   // init script text; user_data_file is read into it
	UserDataFile         string
	VPCNo, SubnetNo      string
	ShareWith            []string // login ids the image is shared with

	keys map[string]hcl.Range
	body hcl.Range
}

// Range tells where a key of the builder was written, under any of its spellings; the builder itself where it was not.
func (s *Source) Range(key string) hcl.Range {
	if r, ok := s.keys[key]; ok {
		return r
	}
	return s.body
}

// IsVPC tells whether the template asks for a VPC build: by support_vpc, or by a key that only VPC has. Otherwise it is
// Classic, as in Packer.
func (s *Source) IsVPC() bool {
	return s.SupportVPC != nil && *s.SupportVPC || s.Has("vpc_no") || s.Has("subnet_no") || s.Has("server_image_number") || s.Has("hypervisor") ||
		s.Has("server_spec_code") && !s.Has("member_server_image_no") || strings.HasPrefix(s.BlockStorageVolumeType, "CB") || strings.HasPrefix(s.BlockStorageVolumeType, "FB")
}

// Has tells whether the template set the key (today's name), under any of its spellings.
func (s *Source) Has(key string) bool { _, ok := s.keys[key]; return ok }

// Communicator says how to reach the server: PACKER.md 1.6 key by key, defaults filled in.
type Communicator struct {
	Type                  string // "ssh" (default), "winrm", "none"
	PauseBeforeConnecting time.Duration
	Host                  string        // overrides the server's address
	Port                  int           // 22, 5985 or 5986
	Username              string        // root, or Administrator with winrm, unless set
	Password              string        // empty: from getRootPassword
	Timeout               time.Duration // how long to try to connect (ssh_timeout / winrm_timeout)

	// SSH
	PrivateKeyFile, CertificateFile            string
	AgentAuth, DisableAgentForwarding, PTY     bool
	HandshakeAttempts                          int
	KeepAliveInterval, ReadWriteTimeout        time.Duration
	ClearAuthorizedKeys                        bool
	FileTransferMethod                         string // "scp" or "sftp"; empty: sftp with scp as the fallback
	Bastion                                    Bastion
	ProxyHost                                  string // SOCKS5
	ProxyPort                                  int
	ProxyUsername, ProxyPassword               string
	LocalTunnels, RemoteTunnels                []string
	Ciphers, KeyExchangeAlgorithms             []string
	TemporaryKeyPairType, TemporaryKeyPairName string
	TemporaryKeyPairBits                       int
	KeyPairName                                string // an existing login key of the account

	// WinRM
	UseSSL, Insecure, UseNTLM, NoProxy bool
}

// Bastion is a jump host in front of the server. Host is empty when there is none.
type Bastion struct {
	Host                                                string
	Port                                                int
	Username, Password, PrivateKeyFile, CertificateFile string
	Interactive, AgentAuth                              bool
}

// Step is a provisioner or post-processor whose body may need values that exist only while the bake runs
// (build.Host, `{{build "Password"}}`): Resolve evaluates it then.
type Step struct {
	Type            string // "shell", "file", …
	Name            string // HCL2 label, may be empty
	PauseBefore     time.Duration
	MaxRetries      int
	Timeout         time.Duration
	ContinueOnError bool
	KeepInput       bool // post-processors
	Range           hcl.Range

	resolve func(RunValues) (any, hcl.Diagnostics)
}

// Resolve returns the step's finished options: a *Shell, *File, … The same value types come back for JSON and HCL2.
func (s *Step) Resolve(v RunValues) (any, hcl.Diagnostics) { return s.resolve(v) }

// RunValues are known only while a build runs: build.* in HCL2, {{build `…`}} in JSON.
type RunValues struct {
	BuildName, BuilderType               string
	ID                                   string // server instance number
	Host                                 string
	Port                                 int
	User, Password, ConnType             string
	RunUUID                              string
	SSHPublicKey, SSHPrivateKey          string
	SSHPrivateKeyFile, WinRMPassword     string
	SourceImageName                      string
	ImageNo, ImageName, Region, Platform string // post-processors
}

// Shell is the shell provisioner (PACKER.md P1), defaults filled in.
type Shell struct {
	Inline                   []string
	InlineShebang            string
	Scripts                  []string // host paths: script and scripts
	Binary                   bool
	EnvironmentVars          []string // "KEY=value", in order; env merged in
	EnvVarFormat             string
	UseEnvVarFile            bool
	ExecuteCommand           string // Go template text with .Vars .Path .EnvVarFile, rendered by provision
	ExpectDisconnect         bool
	PauseAfter               time.Duration
	RemoteFolder, RemoteFile string
	RemotePath               string
	SkipClean                bool
	StartRetryTimeout        time.Duration
	ValidExitCodes           []int
}

// File is the file provisioner (PACKER.md P2).
type File struct {
	Sources     []string
	Content     string
	HasContent  bool
	Destination string
	Direction   string // "upload" or "download"
	Generated   bool
}
