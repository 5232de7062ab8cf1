package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// compatRow is one row of docs/packer-compatibility.md: something of Packer's, and either the tests that hold it or the
// reason why it is not there.
type compatRow struct {
	id, what string
	status   compatStatus
	tests    string // "script NAME", "matrix ROW" (internal/config's TestMatrix), "PACKAGE TestName"; separated by ", "
	note     string
}

type compatStatus string

const (
	same   compatStatus = "as in Packer"
	more   compatStatus = "as in Packer, and more"
	differ compatStatus = "differs"
	none   compatStatus = "no"
)

type compatPart struct {
	title string
	rows  []compatRow
}

var compatTable = []compatPart{
	{"Commands and flags", []compatRow{
		{"C1", "`build TEMPLATE`: a file, a directory of HCL2, `-`", same, "script packer_flags, script bake_hcl, config TestStdin", "the command is `run`; `build` is the same"},
		{"C2", "`-var`, `-var-file`, repeated", same, "matrix H2, matrix J2, script hcl_builds", ""},
		{"C3", "`-on-error=cleanup\\|abort\\|ask\\|run-cleanup-provisioner`", same, "script on_error", "without a terminal `ask` is `cleanup`, not a hang"},
		{"C4", "`-only`, `-except`", same, "matrix J3, matrix H6, script hcl_builds, script post_processors", "an `-only` that matches nothing is an error, and so is what leaves no build at all: Packer warns and builds nothing"},
		{"C5", "`-parallel-builds`, interleaved lines with the build's name", same, "script hcl_builds", ""},
		{"C6", "`-force`", differ, "script packer_flags", "begins the manifest anew. An image of the same name is refused, not overwritten: NAVER Cloud refuses a second image of one name within an image API and has no rename, so the old one would have to be deleted before the new one is proven"},
		{"C7", "`-debug`: one build after the other, pauses", differ, "script packer_flags", "the private key is not written to a file: it would be the only secret of a run on disk"},
		{"C8", "`-machine-readable`", same, "cmd TestMachineLines, script packer_flags, script tools_hcl", "`-json` prints the result alone"},
		{"C9", "`-timestamp-ui`, `-color=false`", same, "script packer_flags", "`NO_COLOR` and `PACKER_NO_COLOR` as well"},
		{"C10", "`-warn-on-undeclared-var`, `-no-warn-undeclared-var`", same, "script hcl_builds", ""},
		{"C11", "`-ignore-prerelease-plugins`, `-skip-enforcement`, `-use-sequential-evaluation`", same, "script packer_flags", "accepted, and told to have no effect"},
		{"C12", "`validate`, `-syntax-only`, `-evaluate-datasources`", same, "script fix_seed, script bake_hcl, config TestSyntaxOnly", "exit code 3 for an invalid template"},
		{"C13", "`inspect`", more, "script tools_hcl", "machine-readable for HCL2, too; `-json`; required variables need no value"},
		{"C14", "`fmt`: `-check` (exit code 3), `-diff`, `-write=false`, `-recursive`, `-`", same, "script tools_hcl, config TestFormat", ""},
		{"C15", "`console`", same, "script tools_hcl, config TestEval", "without a template HCL2; `-config-type=json` for the other"},
		{"C16", "`init`", differ, "script packer_flags", "no plugins to install: finds or downloads terraform, fetches the official provider into a cache"},
		{"C17", "`fix`", more, "script fix_seed, config TestFix, config TestFixSeedSample", "keeps the layout of the file, says each change with its line, repairs small mistakes of syntax, `-write`"},
		{"C18", "`hcl2_upgrade`, `-output-file`, `-with-annotations`", same, "script tools_hcl, config TestUpgradeMatrix", "also `hcl2-upgrade`; an existing file is overwritten with `-force` only"},
		{"C19", "`plugins`", none, "script packer_flags", "tfbake has none: the builder, provisioners and post-processors are built in"},
		{"C20", "`sbom-generate`, `verify-attestation`", none, "script packer_flags", "no software bill of materials and no attestations yet"},
		{"C21", "`version`, `-v`", same, "cmd TestVersionFlags", "no update check; [commands](commands.md) lists whom tfbake talks to"},
		{"C22", "flags with one dash or two, before or after the template", same, "script packer_flags", ""},
		{"C23", "completion", differ, "script packer_flags", "`tfbake completion bash\\|zsh\\|fish` prints a script; nothing edits your shell's files"},
		{"C24", "exit codes", more, "script on_error, script packer_flags, script mistakes", "[a code for each kind of failure](commands.md#exit-codes); Packer has 1 for all"},
		{"C25", "SIGINT and SIGTERM cancel and clean up", more, "cmd TestSignals, cmd TestKillMatrix", "the second signal stops at once; what is left can be removed any time later"},
	}},
	{"JSON templates", []compatRow{
		{"J1", "root keys, comments (`_…`), unknown ones refused", same, "matrix J1, matrix C1, matrix J8", "comments stand at the root only"},
		{"J2", "`variables`: required (`null`), built from others, `sensitive-variables`", same, "matrix J2, config TestSensitive", ""},
		{"J3", "`builders`: `type`, `name`, no two alike", same, "matrix J3", "`type` is `ncloud`; another is an error"},
		{"J4", "`provisioners`: `only`, `except`, `override`, `pause_before`, `max_retries`, `timeout`", same, "matrix J4, provision TestStepWrapping", ""},
		{"J5", "`error-cleanup-provisioner`", same, "matrix J5, script on_error", ""},
		{"J6", "`post-processors`: one, many, sequences", same, "matrix J6, script post_processors", ""},
		{"J7", "`min_packer_version`", differ, "matrix J7", "a newer one than 1.16 is a warning, not an error"},
		{"J8", "unknown keys are errors with a suggestion", same, "matrix J8", "keys in any case and lists written as one text with commas, where Packer takes them. A duration without a unit, which Packer reads as nanoseconds, is refused"},
		{"J9", "places in messages", more, "matrix J9, config TestJSONMessages", "file, line and column for every mistake, all at once; text after the template is refused, which Packer overlooks"},
		{"J10", "functions in `{{…}}`", same, "matrix J10, config TestStrftime", "all but those below. What has no value, `{{.Names}}` or `{{user}}` of an undeclared variable, is a warning and comes out as in Packer: `<no value>`, or nothing"},
		{"J10", "`{{vault}}`, `{{consul_key}}`, `{{aws_secretsmanager}}`", none, "script decided_against", "pass the secret in with `-var` or `PKR_VAR_…`; tfbake holds no client of other clouds"},
		{"J11", "`{{timestamp}}`, `{{isotime}}` stand still for the run", same, "matrix J10, script resume", "also across `tfbake resume`"},
	}},
	{"HCL2 templates", []compatRow{
		{"H1", "`*.pkr.hcl`, `*.pkr.json`, `*.auto.pkrvars.*`, directories", same, "matrix H1, script bake_hcl", ""},
		{"H2", "where a variable's value comes from, and what wins", more, "matrix H2", "`TFBAKE_VAR_…` beside `PKR_VAR_…`"},
		{"H3", "`packer { required_version required_plugins }`", same, "matrix H3, config TestNotes", "plugins are told to be unnecessary in one line"},
		{"H4", "`variable`: types, `optional()`, `validation`, `sensitive`; `variables`", same, "matrix H4, script hcl_builds", ""},
		{"H5", "`locals`, `local`, in the order they need each other", same, "matrix H5", ""},
		{"H6", "`source`, `build`, several, with overrides", same, "matrix H6, script hcl_builds", ""},
		{"H7", "`provisioner` and what goes around it, `continue_on_error`", same, "matrix H7, provision TestStepWrapping", ""},
		{"H8", "`error-cleanup-provisioner`, `post-processor`, `post-processors`", same, "matrix H6, script bake_hcl", ""},
		{"H9", "`data`: `http`, `null`", more, "matrix H9, config TestDataHTTP, config TestDataSource", "`ncloud-image`, `ncloud-spec`, `ncloud-subnet` look up base image, size and network: lookup TestAgainstTheCloud, script bake_hcl"},
		{"H9", "`data \"hcp-packer-…\"`", none, "script decided_against", "an error that names what there is: tfbake does not talk to HCP Packer"},
		{"H10", "`dynamic` blocks, `for` expressions", more, "matrix H10, script hcl_builds", "`for_each` on sources and builds, which Packer does not have"},
		{"H11", "`source.…`, `path.…`, `packer.…`; `build.…` with its real values when a step runs", same, "matrix H7, matrix H11, script bake_hcl, script hcl_builds", "`PACKER_BUILD_NAME` and `{{build_name}}` are the label of the source block"},
		{"H12", "functions", same, "matrix H12", "all but those below"},
		{"H12", "`vault()`, `consul_key()`, `aws_secretsmanager()`", none, "script decided_against", "as for JSON"},
		{"H13", "`only`, `except`, `override` by source name", same, "matrix H7, matrix H13, script hcl_builds", "`only` and `except` take `TYPE.NAME`, `override` takes `NAME`; a name that matches nothing is a warning"},
		{"H14", "messages with the source line and carets", same, "config TestWriteDiagnostics", ""},
		{"H15", "`communicator`, `hcp_packer_registry` blocks", differ, "matrix H15, script decided_against", "read, with a warning that they have no effect"},
	}},
	{"Provisioners", []compatRow{
		{"P1", "`shell`", same, "matrix P1, matrix H7, provision TestShellProvisioner, provision TestShellReboot, provision TestShellStartRetry", "`PACKER_HTTP_ADDR` is not set: no HTTP server is needed for a cloud image"},
		{"P2", "`file`, up and down", same, "matrix P2, provision TestFileProvisioner, provision TestDirectories, provision TestDirectoryDestination", "a directory without a slash at its end becomes a destination that does not exist, and goes into one that does"},
		{"P3", "`powershell`, elevated as well", same, "matrix P3, provision TestPowerShell, provision TestPowerShellExitCode", ""},
		{"P4", "`windows-shell`", same, "matrix P3, provision TestWindowsShell", ""},
		{"P5", "`windows-restart`", same, "matrix P3, provision TestWindowsRestart", ""},
		{"P6", "`shell-local`", more, "matrix P6, provision TestShellLocalKnowsTheServer", "gets `TFBAKE_SSH_…` to reach the server with tools of your own"},
		{"P7", "`sleep`, `breakpoint`", same, "matrix J4, provision TestStepWrapping", ""},
		{"P8", "`hcp-sbom`", none, "script decided_against", "it uploads to HCP Packer; run a tool such as syft in a `shell` provisioner and fetch what it writes"},
		{"P9", "`ansible`", same, "provision TestAnsible, provision TestAnsibleGalaxyAndInventories, provision TestAnsibleThroughOurWay, provision TestAnsibleDirect", "the host's `ansible-playbook`, over a plain SSH connection. With a bastion or a SOCKS proxy, and under `-local` where port 22 cannot be bound, it goes through a port of this machine, which the inventory names: leave `ansible_host` and `ansible_port` to it"},
		{"P9", "`ansible-local`, `chef-…`, `puppet-…`, `salt-masterless`, `inspec`, `goss`", none, "script decided_against", "run them with `shell`, or on this machine with `shell-local` and `TFBAKE_SSH_…`"},
	}},
	{"Post-processors", []compatRow{
		{"PP1", "`manifest`", same, "matrix J6, postprocess TestManifest, script post_processors", "Packer's file, for those who read it"},
		{"PP2", "`shell-local`", same, "postprocess TestShellLocal, script post_processors", ""},
		{"PP3", "`checksum`", differ, "postprocess TestChecksum, script post_processors", "of the files this run wrote; a cloud image is no file"},
		{"PP3", "`compress`, `artifice`, `vagrant`, `docker-…` and others that take files", none, "script decided_against, script post_processors", "an error that says so"},
		{"PP4", "provenance", none, "script decided_against", "no attestations yet; a manifest tells what was baked, and `shell-local` can sign it"},
	}},
	{"Communicators", []compatRow{
		{"K1", "`ssh`, `winrm`, `none`; `pause_before_connecting`", same, "matrix K1, provision TestSSHPauseBeforeConnecting, provision TestWithoutConnection", ""},
		{"K2", "SSH: keys, password, certificate, agent, timeouts, pty, keep-alive, scp and sftp", same, "matrix K1, provision TestSSHLogins, provision TestSSHCertificate, provision TestSSHAgent, provision TestSSHKeepAlive, provision TestSSHReadWriteTimeout, provision TestUploadAndDownload", ""},
		{"K3", "bastion", same, "provision TestSSHBastion", ""},
		{"K4", "SOCKS proxy, tunnels, ciphers", same, "provision TestSSHSocksProxy, provision TestSSHTunnels", ""},
		{"K5", "`temporary_key_pair_…`, `ssh_keypair_name`", differ, "matrix K1, matrix J8, preflight TestChoices", "`ssh_keypair_name` without `ssh_private_key_file` has no effect, as in Packer, and a warning says so; with it that login key is used. The temporary key is always RSA and named after the run, as the ncloud plugin's is; a warning says so"},
		{"K6", "WinRM over HTTP and HTTPS, basic and NTLM", same, "matrix K1, provision TestWinRMRun, provision TestWinRMNTLM", "sysprep may shut the server down itself: provision TestSysprep"},
		{"K7", "the server's host key", more, "provision TestSSHHostKeyPinned", "kept from the first connection to the end of the run; Packer takes any"},
	}},
	{"Environment", []compatRow{
		{"E1", "`PKR_VAR_…`", same, "matrix H2, script hcl_builds", ""},
		{"E2", "`PACKER_LOG`, `PACKER_LOG_PATH`", same, "script bake_hcl", "no parameter and no answer of the API is logged, for they hold secrets"},
		{"E3", "`PACKER_NO_COLOR`, `NO_COLOR`", same, "script bake_vpc", ""},
		{"E4", "`NCLOUD_…`, `~/.ncloud/configure`, the server's role", same, "ncloud TestResolveCredentials", "the provider's names of the variables as well as the SDK's"},
		{"E5", "`PACKER_CONFIG`, `PACKER_CACHE_DIR`, `PACKER_PLUGIN_PATH`, `CHECKPOINT_DISABLE`, `HCP_…`", none, "script decided_against", "there is nothing for them to change"},
	}},
	{"Builder `ncloud`", []compatRow{
		{"B1", "every key of the original builder and of today's plugin, under all its names", same, "matrix B1, matrix S1, config TestReference, preflight TestFindings", "[the reference](template.md#builder-ncloud)"},
		{"B2", "checks against the account: codes, names, products that fit", more, "preflight TestFindings, preflight TestChoices, script mistakes", "all at once, with the place in the template"},
		{"B3", "choices left open: subnet, product, fee plan", same, "preflight TestChoices, preflight TestAgainstTheCloud", ""},
		{"B4", "KVM servers", more, "script bake_kvm, script bake_hcl", "`server_image_number` and `server_spec_code`, which the plugin cannot image"},
		{"B5", "the Windows recipe: WinRM by `user_data`, sysprep as the last step", same, "provision TestSysprep, script fix_seed", ""},
	}},
}

// TestCompatibility compares docs/packer-compatibility.md with the table, and every test that the table names with the
// tests there are.
func TestCompatibility(t *testing.T) {
	for _, part := range compatTable {
		for _, r := range part.rows {
			if r.tests == "" {
				t.Errorf("%s (%s) names no test", r.id, r.what)
			}
			if (r.status == differ || r.status == none) && r.note == "" {
				t.Errorf("%s (%s) says not why", r.id, r.what)
			}
			for _, name := range strings.Split(r.tests, ", ") {
				if err := testExists(name); err != nil {
					t.Errorf("%s: %v", r.id, err)
				}
			}
		}
	}
	const file = "../../docs/packer-compatibility.md"
	want := compatPage()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not the table: go test ./cmd/tfbake -run TestCompatibility -update", file)
	}
}

// testExists looks for a test by its name in the table.
func testExists(name string) error {
	kind, what, _ := strings.Cut(name, " ")
	switch kind {
	case "script":
		_, err := os.Stat(filepath.Join("testdata/script", what+".txtar"))
		return err
	case "matrix":
		found, err := filepath.Glob("../../internal/config/testdata/matrix/" + what + "-*")
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("no template of row %s in internal/config/testdata/matrix", what)
		}
		return err
	}
	dir := filepath.Join("../../internal", kind)
	if kind == "cmd" {
		dir = "."
	}
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return err
	}
	decl := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(what) + `\(t \*testing\.T\)`)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if decl.Match(text) {
			return nil
		}
	}
	return fmt.Errorf("no test %s in %s", what, dir)
}

func compatPage() []byte {
	var b bytes.Buffer
	b.WriteString(compatIntro)
	for _, part := range compatTable {
		fmt.Fprintf(&b, "\n## %s\n\n| | what | | tests | |\n|---|---|---|---|---|\n", part.title)
		for _, r := range part.rows {
			var tests []string
			for _, t := range strings.Split(r.tests, ", ") {
				tests = append(tests, "`"+t+"`")
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.id, r.what, r.status, strings.Join(tests, ", "), r.note)
		}
	}
	return b.Bytes()
}

const compatIntro = `# Packer compatibility

tfbake reads templates as Packer 1.16 does, for the ` + "`ncloud`" + ` builder. This page says, thing by thing, what is the same, what is
more, what differs and what is not there, and which test holds it; a test fails when one of the tests named here is gone.

` + "`script x`" + ` is cmd/tfbake/testdata/script/x.txtar: the real program with a real terraform against the simulated cloud. ` + "`matrix x`" + ` are the
templates x-… in internal/config/testdata/matrix. Others are Go tests, with the package they are in.
`
