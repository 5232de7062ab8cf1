package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// builder is what a builder block decodes into before ssh_* and winrm_* become one Communicator.
type builder struct {
	Source
	regionCode string
	comm       Communicator
	ssh, winrm endpoint
	sshWait    time.Duration
}

type endpoint struct {
	host, username, password string
	port                     int
	timeout                  time.Duration
}

// Where a key comes from.
const (
	sinceOriginal = "original" // documented for the builder of Packer 1.x
	sincePlugin   = "plugin"   // packer-plugin-ncloud
	sinceTfbake   = "tfbake"   // ours
)

// builderSchema is every key of an ncloud builder. The limits are NAVER Cloud's, from its API documentation.
var builderSchema = &schema[builder]{
	what: "the ncloud builder",
	fields: []field[builder]{
		{name: "access_key", aliases: old("ncloud_access_key"), since: sinceOriginal, secret: true,
			doc: "Access key of the account. Left out: NCLOUD_ACCESS_KEY, then ~/.ncloud/configure.",
			ptr: func(b *builder) any { return &b.AccessKey }},
		{name: "secret_key", aliases: old("ncloud_secret_key"), since: sinceOriginal, secret: true,
			doc: "Secret key of the account. Left out: NCLOUD_SECRET_KEY, then ~/.ncloud/configure.",
			ptr: func(b *builder) any { return &b.SecretKey }},
		{name: "site", since: sincePlugin, def: "public",
			doc: "Which NAVER Cloud: public (www.ncloud.com), gov (www.gov-ncloud.com) or fin (www.fin-ncloud.com).",
			ptr: func(b *builder) any { return &b.Site }, check: oneOf("public", "gov", "fin")},
		{name: "region", since: sinceOriginal,
			doc: "Region by name or code: Korea, US-West, HongKong, Singapore, Japan, Germany, KR, SGN, … Default: KR, on fin FKR.",
			ptr: func(b *builder) any { return &b.Region }, check: regionCheck},
		{name: "region_code", since: sincePlugin,
			doc: "Region by code: KR, SGN, JPN, USWN, DEN, HK; gov KR, KRS; fin FKR.",
			ptr: func(b *builder) any { return &b.regionCode }, check: regionCheck},
		{name: "support_vpc", since: sincePlugin,
			doc: "true: build in a VPC. Implied by vpc_no, subnet_no and server_image_number. Default: Classic.",
			ptr: func(b *builder) any { return &b.SupportVPC }},
		{name: "vpc_no", since: sincePlugin,
			doc: "VPC to build in. Left out: the one of subnet_no, or the first VPC with a public subnet.",
			ptr: func(b *builder) any { return &b.VPCNo }, check: numberCheck},
		{name: "subnet_no", since: sincePlugin,
			doc: "Subnet to build in. Left out: the first public subnet.",
			ptr: func(b *builder) any { return &b.SubnetNo }, check: numberCheck},
		{name: "server_image_product_code", since: sinceOriginal,
			doc: "Product code of the public image to start from (Classic, VPC XEN/RHV). At most 50 bytes.",
			ptr: func(b *builder) any { return &b.ServerImageProductCode }, check: productCode},
		{name: "server_product_code", since: sinceOriginal,
			doc: "Product code of the server (Classic, VPC XEN/RHV). Left out: the smallest that fits the image. At most 50 bytes.",
			ptr: func(b *builder) any { return &b.ServerProductCode }, check: productCode},
		{name: "member_server_image_no", since: sinceOriginal,
			doc: "Number of an own image to start from, instead of server_image_product_code.",
			ptr: func(b *builder) any { return &b.MemberServerImageNo }, check: numberCheck},
		{name: "server_image_number", since: sinceTfbake,
			doc: "Number of the image to start from on VPC KVM, public or own.",
			ptr: func(b *builder) any { return &b.ServerImageNumber }, check: numberCheck},
		{name: "server_spec_code", since: sinceTfbake,
			doc: "Specification of the server on VPC KVM, such as s2-g3. Goes with server_image_number.",
			ptr: func(b *builder) any { return &b.ServerSpecCode }, check: maxBytes(50)},
		{name: "hypervisor", since: sinceTfbake,
			doc: "XEN, RHV or KVM: a check that the image is of this kind.",
			ptr: func(b *builder) any { return &b.Hypervisor }, check: oneOf("XEN", "RHV", "KVM", "xen", "rhv", "kvm")},
		{name: "fee_system_type_code", since: sinceTfbake,
			doc: "Fee plan of the server: MTRAT (metered) or FXSUM (flat). Left out: FXSUM for images with SQL Server, which have no other.",
			ptr: func(b *builder) any { return &b.FeeSystemTypeCode }, check: oneOf("MTRAT", "FXSUM")},
		{name: "server_image_name", since: sinceOriginal,
			doc: "Name of the image to bake: 3 to 30 characters. On VPC a lower-case letter first and a lower-case letter or digit last; between them also \"-\", and for the image of a KVM server upper-case letters and \"_\", too. Left out: a generated one.",
			ptr: func(b *builder) any { return &b.ServerImageName }},
		{name: "server_image_description", aliases: []alias{{name: "server_description", warn: true}}, since: sinceOriginal,
			doc: "Description of the image to bake, at most 1000 bytes. Left out: on KVM the run's name.",
			ptr: func(b *builder) any { return &b.ServerImageDescription }, check: maxBytes(1000)},
		{name: "block_storage_size", since: sinceOriginal,
			doc: "GB of an additional disk, which becomes part of the image: 10 to 2000 (KVM: 16380) in steps of 10.",
			ptr: func(b *builder) any { return &b.BlockStorageSize }},
		{name: "block_storage_volume_type", since: sinceTfbake,
			doc: "Kind of the additional disk: SSD or HDD; on KVM CB1, CB2, FB1 or FB2.",
			ptr: func(b *builder) any { return &b.BlockStorageVolumeType }, check: oneOf("SSD", "HDD", "CB1", "CB2", "FB1", "FB2")},
		{name: "access_control_group_no", aliases: old("access_control_group_configuration_no"), since: sincePlugin,
			doc: "An existing ACG that lets this machine in, instead of a temporary one. Classic with winrm needs it.",
			ptr: func(b *builder) any { return &b.AccessControlGroupNo }, check: numberCheck},
		{name: "source_cidrs", since: sinceTfbake,
			doc: "IPv4 address blocks the temporary ACG lets in. Left out: this machine's own address.",
			ptr: func(b *builder) any { return &b.SourceCIDRs }, check: cidrCheck},
		{name: "allow_world", since: sinceTfbake,
			doc: "Let source_cidrs hold 0.0.0.0/0: everyone may try to log in while the bake runs.",
			ptr: func(b *builder) any { return &b.AllowWorld }},
		{name: "user_data", since: sinceOriginal,
			doc: "Init script run at first boot. Linux: beginning with #! and the interpreter; Windows: Visual Basic. English letters only. At most 21847 bytes (VPC: 1 MiB).",
			ptr: func(b *builder) any { return &b.UserData }},
		{name: "user_data_file", since: sinceOriginal,
			doc: "File that holds the init script, instead of user_data.",
			ptr: func(b *builder) any { return &b.UserDataFile }, check: fileCheck},
		{name: "share_with", since: sinceTfbake,
			doc: "Login ids (mail addresses) the image is shared with.",
			ptr: func(b *builder) any { return &b.ShareWith }},

		{name: "communicator", def: "ssh",
			doc: "How to reach the server: ssh, winrm, or none (nothing is provisioned over the network).",
			ptr: func(b *builder) any { return &b.comm.Type }, check: oneOf("ssh", "winrm", "none")},
		{name: "pause_before_connecting",
			doc: "Wait this long after the server answers, then connect again and begin.",
			ptr: func(b *builder) any { return &b.comm.PauseBeforeConnecting }},

		{name: "ssh_host", doc: "Connect here instead of the server's public address.",
			ptr: func(b *builder) any { return &b.ssh.host }},
		{name: "ssh_port", def: "22", doc: "Port of the SSH server.",
			ptr: func(b *builder) any { return &b.ssh.port }, check: portCheck},
		{name: "ssh_username", def: "root", doc: "User to log in as.",
			ptr: func(b *builder) any { return &b.ssh.username }},
		{name: "ssh_password", secret: true, doc: "Password to log in with. Left out: root's, asked from the API, and a temporary key.",
			ptr: func(b *builder) any { return &b.ssh.password }},
		{name: "ssh_private_key_file", doc: "Private key to log in with.",
			ptr: func(b *builder) any { return &b.comm.PrivateKeyFile }, check: homeFileCheck},
		{name: "ssh_certificate_file", doc: "Certificate that goes with ssh_private_key_file.",
			ptr: func(b *builder) any { return &b.comm.CertificateFile }, check: homeFileCheck},
		{name: "ssh_agent_auth", doc: "Use the keys of the running ssh-agent.",
			ptr: func(b *builder) any { return &b.comm.AgentAuth }},
		{name: "ssh_disable_agent_forwarding", doc: "Do not forward the ssh-agent to the server.",
			ptr: func(b *builder) any { return &b.comm.DisableAgentForwarding }},
		{name: "ssh_timeout", def: "5m", doc: "How long to try until SSH answers.",
			ptr: func(b *builder) any { return &b.ssh.timeout }},
		{name: "ssh_wait_timeout", doc: "Older name of ssh_timeout; wins when both are set, as in Packer.",
			ptr: func(b *builder) any { return &b.sshWait }},
		{name: "ssh_handshake_attempts", def: "10", doc: "How many handshakes may fail once TCP connects; 0, and the default once ssh_timeout is set: as many as time allows.",
			ptr: func(b *builder) any { return &b.comm.HandshakeAttempts }, check: notNegative},
		{name: "ssh_pty", doc: "Ask for a terminal when running commands.",
			ptr: func(b *builder) any { return &b.comm.PTY }},
		{name: "ssh_keep_alive_interval", def: "5s", off: true, doc: "How often to send a keep-alive; negative: never.",
			ptr: func(b *builder) any { return &b.comm.KeepAliveInterval }},
		{name: "ssh_read_write_timeout", doc: "How long a command may be silent before the connection counts as dead. Left out, or negative: for ever.", off: true,
			ptr: func(b *builder) any { return &b.comm.ReadWriteTimeout }},
		{name: "ssh_clear_authorized_keys", doc: "Remove the temporary key from the image's authorized_keys.",
			ptr: func(b *builder) any { return &b.comm.ClearAuthorizedKeys }},
		{name: "ssh_file_transfer_method", doc: "scp or sftp. Left out: sftp, scp where the server has none.",
			ptr: func(b *builder) any { return &b.comm.FileTransferMethod }, check: oneOf("scp", "sftp")},
		{name: "ssh_ciphers", doc: "Ciphers to offer instead of the usual ones.",
			ptr: func(b *builder) any { return &b.comm.Ciphers }},
		{name: "ssh_key_exchange_algorithms", doc: "Key exchange algorithms to offer instead of the usual ones.",
			ptr: func(b *builder) any { return &b.comm.KeyExchangeAlgorithms }},
		{name: "ssh_bastion_host", doc: "Jump host in front of the server.",
			ptr: func(b *builder) any { return &b.comm.Bastion.Host }},
		{name: "ssh_bastion_port", def: "22", doc: "Port of the jump host.",
			ptr: func(b *builder) any { return &b.comm.Bastion.Port }, check: portCheck},
		{name: "ssh_bastion_username", doc: "User on the jump host.",
			ptr: func(b *builder) any { return &b.comm.Bastion.Username }},
		{name: "ssh_bastion_password", secret: true, doc: "Password on the jump host.",
			ptr: func(b *builder) any { return &b.comm.Bastion.Password }},
		{name: "ssh_bastion_interactive", doc: "Let the jump host ask questions (keyboard-interactive).",
			ptr: func(b *builder) any { return &b.comm.Bastion.Interactive }},
		{name: "ssh_bastion_agent_auth", doc: "Use the ssh-agent for the jump host.",
			ptr: func(b *builder) any { return &b.comm.Bastion.AgentAuth }},
		{name: "ssh_bastion_private_key_file", doc: "Private key for the jump host. Left out: ssh_private_key_file.",
			ptr: func(b *builder) any { return &b.comm.Bastion.PrivateKeyFile }, check: homeFileCheck},
		{name: "ssh_bastion_certificate_file", doc: "Certificate that goes with ssh_bastion_private_key_file.",
			ptr: func(b *builder) any { return &b.comm.Bastion.CertificateFile }, check: homeFileCheck},
		{name: "ssh_proxy_host", doc: "SOCKS5 proxy to connect through.",
			ptr: func(b *builder) any { return &b.comm.ProxyHost }},
		{name: "ssh_proxy_port", def: "1080", doc: "Port of the SOCKS5 proxy.",
			ptr: func(b *builder) any { return &b.comm.ProxyPort }, check: portCheck},
		{name: "ssh_proxy_username", doc: "User at the proxy.",
			ptr: func(b *builder) any { return &b.comm.ProxyUsername }},
		{name: "ssh_proxy_password", secret: true, doc: "Password at the proxy.",
			ptr: func(b *builder) any { return &b.comm.ProxyPassword }},
		{name: "ssh_local_tunnels", doc: "Tunnels from this machine into the server: \"8080:host:80\".",
			ptr: func(b *builder) any { return &b.comm.LocalTunnels }, check: tunnelCheck},
		{name: "ssh_remote_tunnels", doc: "Tunnels from the server to this machine: \"8080:host:80\".",
			ptr: func(b *builder) any { return &b.comm.RemoteTunnels }, check: tunnelCheck},
		{name: "ssh_keypair_name", doc: "An existing login key of the account; ssh_private_key_file names its private key.",
			ptr: func(b *builder) any { return &b.comm.KeyPairName }},
		{name: "temporary_key_pair_type", doc: "No effect: the temporary login key is an RSA key, which root's password can be decrypted with.",
			ptr: func(b *builder) any { return &b.comm.TemporaryKeyPairType }, check: keyTypeCheck},
		{name: "temporary_key_pair_bits", doc: "No effect, as above.",
			ptr: func(b *builder) any { return &b.comm.TemporaryKeyPairBits }, check: notNegative},
		{name: "temporary_key_pair_name", doc: "No effect: the key is named after the run, so that cleanup finds it.",
			ptr: func(b *builder) any { return &b.comm.TemporaryKeyPairName }},

		{name: "winrm_host", doc: "Connect here instead of the server's public address.",
			ptr: func(b *builder) any { return &b.winrm.host }},
		{name: "winrm_port", doc: "Port of WinRM. Default: 5985, with winrm_use_ssl 5986.",
			ptr: func(b *builder) any { return &b.winrm.port }, check: portCheck},
		{name: "winrm_username", def: "Administrator", doc: "User to log in as.",
			ptr: func(b *builder) any { return &b.winrm.username }},
		{name: "winrm_password", secret: true, doc: "Password to log in with. Left out: Administrator's, asked from the API.",
			ptr: func(b *builder) any { return &b.winrm.password }},
		{name: "winrm_timeout", def: "30m", doc: "How long to try until WinRM answers.",
			ptr: func(b *builder) any { return &b.winrm.timeout }},
		{name: "winrm_use_ssl", doc: "HTTPS instead of HTTP.",
			ptr: func(b *builder) any { return &b.comm.UseSSL }},
		{name: "winrm_insecure", doc: "Do not check the server's certificate.",
			ptr: func(b *builder) any { return &b.comm.Insecure }},
		{name: "winrm_use_ntlm", doc: "NTLM instead of basic authentication.",
			ptr: func(b *builder) any { return &b.comm.UseNTLM }},
		{name: "winrm_no_proxy", doc: "Go past a proxy set in the environment.",
			ptr: func(b *builder) any { return &b.comm.NoProxy }},
	},
	hints: map[string]string{
		"base_block_storage_size": "NAVER Cloud does not let the size of the boot disk be chosen; it is the image's. block_storage_size adds a second disk.",
		"ssh_interface":           "A server has one public address, which is used. Name another one with ssh_host.",
		"ssh_ip_version":          "NAVER Cloud's servers are reached over IPv4.",
		"ssh_public_key":          "Packer fills this in by itself. Name a private key with ssh_private_key_file.",
		"ssh_private_key":         "A private key does not belong in a template. Name its file with ssh_private_key_file.",
		"ssh_key_path":            "Packer renamed it: write ssh_private_key_file. tfbake fix does it.",
		"os_type":                 "The image tells whether it is Linux or Windows. For Windows set communicator to \"winrm\".",
		"zone":                    "The zone follows from the subnet (VPC) or is the region's first (Classic).",
		"login_key_name":          "tfbake makes a login key for the run and removes it. To use an existing one, set ssh_keypair_name and ssh_private_key_file.",
	},
	finish: finishBuilder,
}

var regionShape = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,29}$`)

// knownRegions are names and codes people write. The account's region list decides; this only catches typing mistakes.
var knownRegions = []string{"Korea", "US-West", "HongKong", "Singapore", "Japan", "Germany",
	"KR", "KRS", "FKR", "SGN", "JPN", "USWN", "DEN", "HK"}

func regionCheck(d *decoder, key string, v value) {
	s, err := asString(v.v)
	if err != nil || s == "" {
		return
	}
	for _, r := range knownRegions {
		if strings.EqualFold(r, s) {
			return
		}
	}
	if !regionShape.MatchString(s) {
		d.errorf(v.rng, fmt.Sprintf("%q is not a region", s), "Write a name or a code: %s.", strings.Join(knownRegions, ", "))
		return
	}
	lower := map[string]string{}
	var names []string
	for _, r := range knownRegions {
		lower[strings.ToLower(r)] = r
		names = append(names, strings.ToLower(r))
	}
	if near := suggest(s, names); near != "" && len(near) > 3 {
		d.warnf(v.rng, fmt.Sprintf("%q is not a region known here", s), "Did you mean %q? The account's list of regions will decide.", lower[near])
	}
}

var onlyDigits = regexp.MustCompile(`^[0-9]+$`)

func numberCheck(d *decoder, key string, v value) {
	if s, err := asString(v.v); err == nil && s != "" && !onlyDigits.MatchString(s) {
		d.errorf(v.rng, fmt.Sprintf("%s is a number", d.spelled(key)), "NAVER Cloud numbers its things, such as \"1234567\"; %q is not one.", s)
	}
}

var codeShape = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func productCode(d *decoder, key string, v value) {
	maxBytes(50)(d, key, v)
	if s, err := asString(v.v); err == nil && s != "" && !codeShape.MatchString(s) {
		d.errorf(v.rng, fmt.Sprintf("%s is not a product code", d.spelled(key)), "Product codes are letters and digits, such as SPSW0LINUX000130.")
	}
}

func keyTypeCheck(d *decoder, key string, v value) {
	if s, err := asString(v.v); err == nil && s == "dsa" {
		d.errorf(v.rng, "DSA keys are not supported", "No current SSH server accepts them. Leave the key out.")
		return
	}
	oneOf("ed25519", "ecdsa", "rsa")(d, key, v)
}

// homeFileCheck is fileCheck for keys where "~/" means the user's home.
func homeFileCheck(d *decoder, key string, v value) {
	if s, err := asString(v.v); err == nil && d.onDisk && s != "" {
		d.fileExists(key, s, v.rng)
	}
}

var tunnelShape = regexp.MustCompile(`^(\[[0-9A-Fa-f:]+\]:|[^:\[\]]+:)?[0-9]{1,5}:(\[[0-9A-Fa-f:]+\]|[^:\[\]]+):[0-9]{1,5}$`)

func tunnelCheck(d *decoder, key string, v value) {
	list := []value{v}
	if isList(v.v) {
		list = v.list()
	}
	for _, e := range list {
		if s, err := asString(e.v); err == nil && !tunnelShape.MatchString(s) {
			d.errorf(e.rng, fmt.Sprintf("%q is not a tunnel", s), "Write PORT:HOST:PORT as with ssh -L, such as \"8080:localhost:80\".")
		}
	}
}

// finishBuilder holds the rules between keys and what follows from several of them.
func finishBuilder(d *decoder, b *builder) {
	finishCommunicator(d, b)
	s := &b.Source
	s.Hypervisor = strings.ToUpper(s.Hypervisor)

	if it, ok := d.keys["site"]; ok && s.Site == "fin" {
		for _, key := range []string{"region", "region_code"} {
			if r := d.str(key); r != "" && contains(knownRegions, r) && r != "FKR" {
				d.warnf(d.at(key), fmt.Sprintf("The site fin has no region %s", r), "Its region is FKR, which is taken when nothing is said (site is set on line %d).", it.rng.Start.Line)
			}
		}
	}
	switch {
	case s.Region == "":
		s.Region = b.regionCode
		if it, ok := d.keys["region_code"]; ok {
			d.keys["region"] = it
		}
	case b.regionCode != "" && !sameRegion(s.Region, b.regionCode):
		d.errorf(d.at("region_code"), "region and region_code disagree", "region says %q (line %d). Keep region_code alone.", s.Region, d.at("region").Start.Line)
	case b.regionCode != "":
		s.Region = b.regionCode
	}

	base := basesOf(d)
	s.keys = map[string]hcl.Range{}
	for name, it := range d.keys {
		s.keys[name] = it.val.rng
	}
	s.body = d.obj.rng
	kvm := s.Hypervisor == KVM || d.has("server_image_number") && s.Hypervisor == "" // as far as can be told
	vpc := s.IsVPC()
	if s.SupportVPC != nil && !*s.SupportVPC && vpc {
		for _, key := range []string{"server_image_number", "hypervisor"} {
			if d.has(key) {
				d.errorf(d.keyAt(key), fmt.Sprintf("%s needs a VPC", key), "support_vpc is false (line %d): Classic has no such thing. Remove one of the two.", d.at("support_vpc").Start.Line)
			}
		}
		for _, key := range []string{"vpc_no", "subnet_no"} {
			if d.has(key) {
				d.warnf(d.at("support_vpc"), "support_vpc is false, yet "+key+" is set", "%s makes this a VPC build, as it does in Packer. Remove support_vpc.", key)
				break
			}
		}
	}

	switch {
	case len(base) == 0:
		d.errorf(d.obj.rng, "Nothing to start from",
			"Set one of server_image_product_code (a public image; Classic, VPC XEN/RHV), member_server_image_no (an own image) and server_image_number (VPC KVM).")
	case len(base) > 1:
		d.errorf(d.keyAt(base[1]), fmt.Sprintf("%s and %s cannot both be set", base[0], base[1]),
			"%s", twoBases(d, base[0], base[1]))
	}

	if d.has("server_image_number") && d.has("server_product_code") {
		d.errorf(d.keyAt("server_product_code"), "server_product_code does not go with server_image_number",
			"A server from an image number takes a specification: set server_spec_code, such as \"s2-g3\", instead.")
	}
	if d.has("server_spec_code") && len(base) == 1 && base[0] == "server_image_product_code" {
		d.errorf(d.keyAt("server_spec_code"), "server_spec_code does not go with server_image_product_code",
			"A server from a product code takes a product: set server_product_code. Or, for KVM, name the image with server_image_number.")
	}
	if s.Hypervisor == KVM && d.has("server_image_product_code") {
		d.errorf(d.keyAt("server_image_product_code"), "A KVM server is not made from a product code",
			"Set server_image_number and server_spec_code instead.")
	}

	for _, key := range []string{"server_image_product_code", "server_product_code"} {
		code := d.str(key)
		switch isVPC := strings.HasPrefix(code, "SW.VSVR.") || strings.HasPrefix(code, "SVR.VSVR."); {
		case isVPC && !vpc:
			d.warnf(d.at(key), fmt.Sprintf("%s looks like a product of VPC", code), "This is a Classic build, which will not find it. Set support_vpc to true, or name a subnet_no.")
		case vpc && (strings.HasPrefix(code, "SPSW") || strings.HasPrefix(code, "SPSVR")):
			d.warnf(d.at(key), fmt.Sprintf("%s looks like a product of Classic", code), "This is a VPC build, which will not find it. Products of VPC are called SW.VSVR.… and SVR.VSVR.….")
		}
	}
	checkBlockStorage(d, s, kvm)
	checkImageName(d, s, vpc, kvm)
	if n := len(s.ServerImageDescription); !vpc && d.known("server_image_description") && n > 0 && n < 10 {
		d.warnf(d.at("server_image_description"), "server_image_description is short", "The Classic API documents at least 10 bytes; this has %d and may be refused.", n)
	}
	checkUserData(d, b, vpc)

	if b.comm.Type == "winrm" && !vpc && !d.has("access_control_group_no") {
		d.errorf(d.at("communicator"), "access_control_group_no is missing",
			"On Classic no ACG can be made for the run. Set access_control_group_no to one that lets this machine reach port %d.", b.comm.Port)
	}
	if d.has("source_cidrs") && d.has("access_control_group_no") {
		d.warnf(d.keyAt("source_cidrs"), "source_cidrs has no effect", "It is for the temporary ACG; access_control_group_no uses an existing one.")
	}
	for _, c := range s.SourceCIDRs {
		switch {
		case !strings.HasSuffix(c, "/0"):
		case s.AllowWorld:
			d.warnf(d.at("source_cidrs"), "The server will be open to the whole internet", "%s lets everyone try to log in while the bake runs. Leave source_cidrs out to let in only this machine.", c)
		default:
			d.errorf(d.at("source_cidrs"), "The server would be open to the whole internet",
				"%s lets everyone try to log in while the bake runs. Leave source_cidrs out to let in only this machine, or set allow_world to true if that is really meant.", c)
		}
	}
}

// basesOf lists the keys that say what to start from, in order of appearance. An empty string is as good as nothing.
func basesOf(d *decoder) []string {
	var out []string
	for _, key := range []string{"server_image_product_code", "member_server_image_no", "server_image_number"} {
		if it, ok := d.keys[key]; ok {
			if !it.val.unknown() && it.val.v.Type() == cty.String && it.val.v.AsString() == "" {
				delete(d.keys, key)
				continue
			}
			out = append(out, key)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return d.keys[out[i]].rng.Start.Byte < d.keys[out[j]].rng.Start.Byte })
	return out
}

// twoBases says what to remove. No builder ever took two: the first one (Packer 1.2) and today's plugin refuse them
// alike, and which was meant cannot be told, so we do not guess either.
func twoBases(d *decoder, a, b string) string {
	what := map[string]string{
		"server_image_product_code": "a public image by its product code",
		"member_server_image_no":    "an own image, baked earlier",
		"server_image_number":       "a KVM image by its number",
	}
	return fmt.Sprintf("Each names an image to start from: %s (line %d) is %s, %s (line %d) is %s. Remove the one that is not meant (in a JSON template tfbake fix keeps the product code).",
		a, d.keyAt(a).Start.Line, what[a], b, d.keyAt(b).Start.Line, what[b])
}

func sameRegion(a, b string) bool {
	codes := map[string]string{"korea": "kr", "us-west": "uswn", "hongkong": "hk", "singapore": "sgn", "japan": "jpn", "germany": "den"}
	norm := func(s string) string {
		s = strings.ToLower(s)
		if c, ok := codes[s]; ok {
			return c
		}
		return s
	}
	return norm(a) == norm(b)
}

func checkBlockStorage(d *decoder, s *Source, kvm bool) {
	limit := 2000
	if kvm {
		limit = 16380
	}
	if size := s.BlockStorageSize; d.known("block_storage_size") && size != 0 {
		r := d.at("block_storage_size")
		if size < 10 || size > limit {
			d.errorf(r, fmt.Sprintf("block_storage_size is from 10 to %d GB", limit), "%d GB cannot be had. Write a multiple of 10 in this range, or remove the key for no additional disk.", size)
		} else if size%10 != 0 {
			d.errorf(r, "block_storage_size is a multiple of 10 GB", "Write %d or %d instead of %d.", size/10*10, min(size/10*10+10, limit), size)
		}
	}
	if !d.known("block_storage_volume_type") {
		return
	}
	r := d.at("block_storage_volume_type")
	isKVMType := s.BlockStorageVolumeType != "SSD" && s.BlockStorageVolumeType != "HDD"
	switch {
	case !d.has("block_storage_size"):
		d.errorf(r, "block_storage_volume_type without a disk", "It is the kind of the additional disk: set block_storage_size too.")
	case s.Hypervisor == KVM && !isKVMType:
		d.errorf(r, fmt.Sprintf("KVM has no %s disks", s.BlockStorageVolumeType), "Write \"CB1\", \"CB2\", \"FB1\" or \"FB2\".")
	case d.has("server_image_number") && s.Hypervisor == "" && !isKVMType: // such an image is KVM as a rule, but there are others
		d.warnf(r, fmt.Sprintf("A KVM image would not take an %s disk", s.BlockStorageVolumeType),
			"SSD and HDD are for XEN and RHV images; KVM has CB1, CB2, FB1 and FB2. Which kind this image is only the API knows: set hypervisor if you do, or leave block_storage_volume_type out.")
	case d.has("server_image_product_code") && isKVMType:
		d.errorf(r, fmt.Sprintf("%s disks are for KVM only", s.BlockStorageVolumeType), "Write \"SSD\" or \"HDD\".")
	}
}

var (
	vpcImageName = regexp.MustCompile(`^[a-z][a-z0-9-]*[a-z0-9]$`)
	kvmImageName = regexp.MustCompile(`^[a-z][A-Za-z0-9_-]*[a-z0-9]$`)
)

func checkImageName(d *decoder, s *Source, vpc, kvm bool) {
	name := s.ServerImageName
	if !d.known("server_image_name") || name == "" {
		return
	}
	r := d.at("server_image_name")
	if n := utf8.RuneCountInString(name); n < 3 || n > 30 {
		d.errorf(r, "server_image_name is from 3 to 30 characters long", "%q has %d.", name, n)
		return
	}
	shape, rule, clean := vpcImageName, `lower-case letters, digits and "-"`, CleanImageName
	if kvm {
		shape, rule, clean = kvmImageName, `letters, digits, "-" and "_"`, CleanKVMImageName
	}
	if vpc && !shape.MatchString(name) {
		d.errorf(r, fmt.Sprintf("%q cannot be an image name on VPC", name),
			"It must be made of %s, begin with a lower-case letter and end with a lower-case letter or digit. Perhaps %q?", rule, clean(name))
	}
}

// CleanImageName turns a wish into a name every platform takes: lower-case letters, digits and single "-", a letter
// first, at most 30 characters.
func CleanImageName(s string) string { return imageName(s, "") }

// CleanKVMImageName is CleanImageName for the image of a KVM server, whose name may have "_" in it, too.
func CleanKVMImageName(s string) string { return imageName(s, "_") }

func imageName(s, also string) string {
	name := cleanName(s, 30, also)
	if len(name) < 3 {
		name = strings.TrimRight("image-"+name, "-")
	}
	return name
}

// cleanName keeps what may stand in a name, the characters of also among it, and puts one "-" for the rest.
func cleanName(s string, limit int, also string) string {
	var out []byte
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || (r >= '0' && r <= '9' || strings.ContainsRune(also, r)) && len(out) > 0 {
			out = append(out, byte(r))
		} else if len(out) > 0 && out[len(out)-1] != '-' {
			out = append(out, '-')
		}
	}
	if len(out) > limit {
		out = out[:limit]
	}
	return strings.TrimRight(string(out), "-"+also)
}

const (
	maxUserDataClassic = 21847   // userData of createServerInstances, before base64
	maxUserDataVPC     = 1 << 20 // initScriptContent
)

func checkUserData(d *decoder, b *builder, vpc bool) {
	if d.has("user_data") && d.has("user_data_file") {
		d.errorf(d.keyAt("user_data_file"), "user_data and user_data_file cannot both be set", "Remove the one that is not meant.")
		return
	}
	r := d.at("user_data")
	if d.known("user_data_file") && b.UserDataFile != "" && d.onDisk {
		r = d.at("user_data_file")
		text, err := d.files.ReadFile(absPath(d.cwd, b.UserDataFile))
		if err != nil {
			return // fileCheck has told
		}
		b.UserData = string(text)
	}
	if b.UserData == "" {
		return
	}
	limit := maxUserDataClassic
	if vpc {
		limit = maxUserDataVPC
	}
	if n := len(b.UserData); n > limit {
		d.errorf(r, "The init script is too long", "It has %d bytes; at most %d are allowed. Let it fetch the rest, or move work to a provisioner.", n, limit)
	}
	for i, c := range b.UserData {
		if c >= utf8.RuneSelf {
			tell := d.warnf
			if vpc {
				tell = d.errorf // refused there
			}
			tell(r, "The init script has letters that are not English", "%q on its line %d: NAVER Cloud asks for English letters only.", c, strings.Count(b.UserData[:i], "\n")+1)
			break
		}
	}
	visualBasic := strings.Contains(strings.ToLower(b.UserData), "createobject(")
	if b.comm.Type == "ssh" && visualBasic {
		d.warnf(r, "The init script is Visual Basic, but the communicator is ssh",
			"For a Windows server set \"communicator\": \"winrm\"; a Windows image of NAVER Cloud does not answer SSH.")
	} else if b.comm.Type == "ssh" && !strings.HasPrefix(b.UserData, "#!") {
		d.warnf(r, "The init script does not begin with #!", "A Linux server runs it only with the interpreter on the first line, such as #!/bin/bash.")
	}
}

func finishCommunicator(d *decoder, b *builder) {
	c := &b.comm
	at := b.ssh
	if c.Type == "winrm" {
		at = b.winrm
		if at.port == 0 {
			at.port = 5985
			if c.UseSSL {
				at.port = 5986
			}
		}
	} else if b.sshWait != 0 {
		at.timeout = b.sshWait
	}
	if (d.has("ssh_timeout") || d.has("ssh_wait_timeout")) && !d.has("ssh_handshake_attempts") {
		c.HandshakeAttempts = 0 // the time alone limits, as in Packer
	}
	if at.timeout == 0 {
		at.timeout = 5 * time.Minute
	}
	c.Host, c.Port, c.Username, c.Password, c.Timeout = at.host, at.port, at.username, at.password, at.timeout
	if at.port == 0 {
		c.Port = 22
	}

	other := map[string]string{"ssh": "winrm_", "winrm": "ssh_"}[c.Type]
	for _, it := range d.obj.items {
		if _, ok := d.keys[it.key]; ok && other != "" && strings.HasPrefix(it.key, other) {
			d.warnf(it.rng, fmt.Sprintf("%s has no effect", it.key), "The communicator is %s.", c.Type)
		}
	}
	if c.Type == "none" {
		c.Port = 0
	}
	if c.Type != "ssh" {
		// What only SSH has would only mislead.
		c.HandshakeAttempts, c.KeepAliveInterval, c.ProxyPort, c.Bastion = 0, 0, 0, Bastion{}
		return
	}

	if d.has("ssh_certificate_file") && !d.has("ssh_private_key_file") {
		d.errorf(d.keyAt("ssh_certificate_file"), "ssh_certificate_file without its key", "Set ssh_private_key_file too.")
	}
	if d.has("ssh_bastion_certificate_file") && !d.has("ssh_bastion_private_key_file") {
		d.errorf(d.keyAt("ssh_bastion_certificate_file"), "ssh_bastion_certificate_file without its key", "Set ssh_bastion_private_key_file too.")
	}
	if d.has("ssh_keypair_name") && !d.has("ssh_private_key_file") && !d.has("ssh_password") && !c.AgentAuth {
		d.warnf(d.keyAt("ssh_keypair_name"), "ssh_keypair_name has no effect", "Its private key is not there, so the run gets a temporary login key, as in Packer. Set ssh_private_key_file to the private key of this one; it also decrypts root's password.")
		c.KeyPairName = ""
	}
	c.PrivateKeyFile, c.CertificateFile = expandHome(c.PrivateKeyFile), expandHome(c.CertificateFile)
	j := &c.Bastion
	j.PrivateKeyFile, j.CertificateFile = expandHome(j.PrivateKeyFile), expandHome(j.CertificateFile)
	if !d.has("ssh_bastion_host") {
		*j = Bastion{}
		for _, it := range d.obj.items {
			if strings.HasPrefix(it.key, "ssh_bastion_") && d.has(it.key) {
				d.warnf(it.rng, fmt.Sprintf("%s has no effect", it.key), "ssh_bastion_host is not set.")
			}
		}
	} else {
		if j.PrivateKeyFile == "" && c.PrivateKeyFile != "" {
			j.PrivateKeyFile, j.CertificateFile = c.PrivateKeyFile, c.CertificateFile
		}
		if j.PrivateKeyFile == "" && !d.has("ssh_bastion_password") && !j.AgentAuth && !j.Interactive {
			d.errorf(d.keyAt("ssh_bastion_host"), "No way to log in to the jump host",
				"Set ssh_bastion_private_key_file, ssh_bastion_password, ssh_bastion_agent_auth or ssh_bastion_interactive.")
		}
		if d.has("ssh_proxy_host") {
			d.errorf(d.keyAt("ssh_proxy_host"), "ssh_proxy_host and ssh_bastion_host cannot both be set", "Remove one of them.")
		}
	}
	if !d.has("ssh_proxy_host") {
		c.ProxyPort = 0
	}
	for _, key := range []string{"temporary_key_pair_type", "temporary_key_pair_bits", "temporary_key_pair_name"} {
		if d.has(key) {
			d.warnf(d.keyAt(key), key+" has no effect", "The temporary login key is an RSA key named after the run: NAVER Cloud takes no other to decrypt root's password with.")
		}
	}
}

func absPath(cwd, p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(cwd, p)
}
