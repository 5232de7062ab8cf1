package render

import (
	"regexp"
	"strings"

	"github.com/tfbake/tfbake/internal/config"
)

// TemplateKey tells which key of the template a Terraform diagnostic is about: from the resource's address and the
// argument, both as Terraform names them, or, where the argument is not known, from the text of the error. It returns
// today's spelling of the key, or "" when no key is to blame.
func TemplateKey(r config.Resolved, address, attribute, text string) string {
	if key, ok := keyOf[attribute]; ok {
		if key == "ssh_port" && (r.CommPort == 5985 || r.CommPort == 5986) {
			return "winrm_port"
		}
		return key
	}
	resource := resourceType(address)
	if resource == "ncloud_block_storage" {
		if key, ok := keyOfStorage[attribute]; ok {
			return key
		}
	}
	if attribute != "" {
		return ""
	}
	return keyFromText(r, resource, text)
}

// keyOf holds the modules' variables and the resources' arguments that stand for one template key wherever they appear.
var keyOf = map[string]string{
	"server_image_product_code": "server_image_product_code",
	"server_product_code":       "server_product_code",
	"member_server_image_no":    "member_server_image_no",
	"server_image_number":       "server_image_number",
	"server_spec_code":          "server_spec_code",
	"fee_system_type_code":      "fee_system_type_code",
	"hypervisor_type":           "hypervisor",
	"vpc_no":                    "vpc_no",
	"subnet_no":                 "subnet_no",
	"region":                    "region",
	"site":                      "site",
	"support_vpc":               "support_vpc",
	"user_data":                 "user_data",
	"content":                   "user_data",
	"source_cidrs":              "source_cidrs",
	"allow_world":               "allow_world",
	"inbound":                   "source_cidrs",
	"port":                      "ssh_port",
	"login_key_name":            "ssh_keypair_name",
	"acg_nos":                   "access_control_group_no",
	"access_control_groups":     "access_control_group_no",
	"access_control_group_configuration_no_list": "access_control_group_no",
	"block_storage_size":                         "block_storage_size",
	"block_storage_volume_type":                  "block_storage_volume_type",
}

// keyOfStorage: arguments of ncloud_block_storage with too common a name to stand for a key everywhere.
var keyOfStorage = map[string]string{
	"size":             "block_storage_size",
	"volume_type":      "block_storage_volume_type",
	"disk_detail_type": "block_storage_volume_type",
}

var resourceInAddress = regexp.MustCompile(`(?:^|\.)(ncloud_\w+)\.`)

func resourceType(address string) string {
	if m := resourceInAddress.FindStringSubmatch(address); m != nil {
		return m[1]
	}
	return ""
}

var returnCode = regexp.MustCompile(`"?(?:returnCode|ReturnCode)"?\s*[:=]\s*"?(\d+)`)

// keyFromText judges by the API's return code first, by its words second. Codes and words: the API's documentation and
// the official provider's issues.
func keyFromText(r config.Resolved, resource, text string) string {
	code := ""
	if m := returnCode.FindStringSubmatch(text); m != nil {
		code = m[1]
	}
	lower := strings.ToLower(text)
	has := func(s string) bool { return strings.Contains(lower, s) }
	switch {
	case has("authentication failed"), has("no region data"):
		if has("no region data") {
			return "region"
		}
		return "access_key"
	case resource == "ncloud_server" && (code == "1401" || code == "1413" || code == "10712" || has("server product")):
		if r.ServerSpecCode != "" {
			return "server_spec_code"
		}
		return "server_product_code"
	case resource == "ncloud_server" && (has("server image") || has("serverimage")):
		return imageKey(r)
	case code == "24076", has("access control group"), has("acg"):
		if len(r.ACGNos) > 0 {
			return "access_control_group_no"
		}
	case has("no matching subnet"), has("subnet"):
		return "subnet_no"
	case resource == "ncloud_block_storage" && has("size"):
		return "block_storage_size"
	case resource == "ncloud_init_script":
		return "user_data"
	}
	return ""
}

func imageKey(r config.Resolved) string {
	switch {
	case r.ServerImageNumber != "":
		return "server_image_number"
	case r.MemberServerImageNo != "":
		return "member_server_image_no"
	}
	return "server_image_product_code"
}
