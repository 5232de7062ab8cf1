package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tfbake/tfbake/internal/config"
)

// TestTemplateReference compares docs/template.md with the table that templates are decoded by; -update rewrites it.
func TestTemplateReference(t *testing.T) {
	const file = "../../docs/template.md"
	want := templateReference()
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
		t.Errorf("%s is not what the decoder knows: go test ./cmd/tfbake -run TestTemplateReference -update", file)
	}
}

func templateReference() []byte {
	var b bytes.Buffer
	b.WriteString(templateIntro)
	heading := ""
	for _, k := range config.Reference() {
		h := strings.TrimSpace(k.Block + " `" + k.Of + "`")
		if k.Of == "" {
			h = k.Block
		}
		if h != heading {
			heading = h
			fmt.Fprintf(&b, "\n## %s\n\n| key | type | default | |\n|---|---|---|---|\n", strings.ToUpper(h[:1])+h[1:])
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", keyCell(k), k.Type, cell(k.Default, true), docCell(k))
	}
	b.WriteString("\n## Functions\n\nIn strings, `{{…}}` is Go's text/template with these functions; `{{`{{x}}`}}` leaves `{{x}}` alone.\n\n| function | |\n|---|---|\n")
	interpolation, hcl2 := config.Functions()
	for _, f := range interpolation {
		usage := "`` " + strings.Join(strings.Split(f.Usage, ", "), " ``, `` ") + " ``"
		fmt.Fprintf(&b, "| %s | %s |\n", cell(usage, false), cell(f.Doc, false))
	}
	fmt.Fprintf(&b, "\nHCL2 has the functions of Packer's HCL2, most of them Terraform's: `%s`.\n", strings.Join(hcl2, "`, `"))
	return b.Bytes()
}

func keyCell(k config.KeyDoc) string {
	s := "`" + k.Name + "`"
	for _, a := range k.Aliases {
		s += ", `" + a + "`"
	}
	return s
}

func docCell(k config.KeyDoc) string {
	s := cell(k.Doc, false)
	if k.Required {
		s = "**Required.** " + s
	}
	switch k.Since {
	case "original":
		s += " (original builder)"
	case "plugin":
		s += " (Packer's plugin)"
	case "tfbake":
		s += " (tfbake)"
	}
	return s
}

func cell(s string, code bool) string {
	s = strings.NewReplacer("\n", " ", "|", "\\|").Replace(s)
	if code && s != "" {
		return "`" + s + "`"
	}
	return s
}

const templateIntro = `# Template reference

A template is Packer's: JSON with ` + "`variables`, `builders`, `provisioners` and `post-processors`" + `, or HCL2. Every key that tfbake
knows is below; this page is generated from the table that templates are decoded by. Other keys are an error with a
suggestion; keys at the root of a template that begin with ` + "`_`" + ` are comments. Several spellings of a key mean the same; the first is today's.

- **Classic or VPC**: VPC when ` + "`support_vpc`" + ` is true or a key is there that only VPC has (` + "`vpc_no`, `subnet_no`, `server_image_number`, `server_spec_code`" + `).
- **What to boot**: on KVM ` + "`server_image_number` and `server_spec_code`" + `; on Classic and on VPC's XEN and RHV ` + "`server_image_product_code` and `server_product_code`" + `;
  or an earlier image of yours: ` + "`member_server_image_no`" + `, on KVM its number as ` + "`server_image_number`" + `.
- **Choices left open** are made by asking the API: the first public subnet, the smallest product that fits the image, the product of
  an earlier image, the fee plan of MSSQL images, a name for the image.
- **Keys of the API** come from the template, else from the environment, else from ` + "`~/.ncloud/configure`" + `; see [commands](commands.md#environment).

## Where the state is kept

` + "`\"backend\": { \"s3\": { … } }`" + `, in HCL2 ` + "`backend \"s3\" { … }`" + ` beside ` + "`source` and `build`" + `, keeps the runs' states where other machines see them. Types and
arguments are Terraform's (` + "`azurerm`, `consul`, `cos`, `gcs`, `http`, `kubernetes`, `oss`, `pg`, `s3`" + `); keys and passwords come from the environment, and a
` + "`{run}`" + ` in an argument stands for the run. Left out, the state is in the run directory. See [shared state](shared-state.md).

## Data sources

In HCL2, a data block looks something up when the template is read: ` + "`data \"ncloud-image\" \"base\" { os = \"Ubuntu 22.04\" }`" + ` is then
` + "`data.ncloud-image.base.number`" + `. ` + "`tfbake run`" + ` asks the account (with ` + "`-local`" + ` the simulated cloud); ` + "`tfbake validate`" + ` asks with
` + "`-evaluate-datasources`" + ` only. [examples/vpc-kvm-hcl](../examples/vpc-kvm-hcl) uses all three. All of them take ` + "`region`, `site`, `access_key` and `secret_key`" + `;
left out, they come from the environment, not from a source.

| data source | arguments | answer |
|---|---|---|
| ` + "`ncloud-image`" + ` | ` + "`os`" + `: words of the operating system (` + "`\"Ubuntu 22.04\"`, `\"rocky 8\"`, `\"Windows 2019 en\"`" + `): NAVER Cloud's plain image of it, of the highest version that fits; ` + "`name`" + ` (` + "`*`" + ` stands for anything) or ` + "`name_prefix`" + `; ` + "`own`" + `: only your images, or none of them; ` + "`most_recent`" + `: the latest of several, which is an error otherwise; ` + "`platform`" + ` (` + "`vpc`" + `, ` + "`classic`" + `); ` + "`hypervisor`" + ` (KVM for ` + "`os`" + `) | ` + "`number`, `product_code`, `name`, `description`, `hypervisor`, `platform`, `own`, `created`; and, of `server_image_number`, `server_image_product_code`, `member_server_image_no`" + `, the one the source is to set, the others null |
| ` + "`ncloud-spec`" + ` | ` + "`cpu`, `memory`" + ` (GB): at least so many; ` + "`gpu`" + `; ` + "`generation`" + `; ` + "`server_image_number`" + ` or, on Classic, XEN and RHV, ` + "`server_image_product_code`" + ` that it must fit; ` + "`platform`, `hypervisor`" + ` | the smallest: ` + "`code`, `name`, `cpu`, `memory`, `generation`; `server_spec_code` or `server_product_code`" + ` |
| ` + "`ncloud-subnet`" + ` | ` + "`vpc`" + ` (name) or ` + "`vpc_no`" + `, ` + "`name`, `type`" + ` (public, private), ` + "`zone`" + ` | the first that is running: ` + "`subnet_no`, `vpc_no`, `name`, `vpc`, `cidr`, `zone`, `type`" + ` |
| ` + "`http`" + ` | ` + "`url`, `method`, `request_headers`, `request_body`" + ` | ` + "`body`, `request_headers`" + ` |
| ` + "`null`" + ` | ` + "`input`" + ` | ` + "`output`" + ` |
`
