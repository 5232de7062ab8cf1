package preflight

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ncloud"
)

// start fills in what follows from the template alone.
func start(b *config.Build, o Options) config.Resolved {
	s, c := &b.Source, &b.Communicator
	r := config.Resolved{
		RunID: o.RunID, Name: config.RunName(o.RunID),
		Site:             cmp.Or(s.Site, "public"),
		OS:               "linux",
		InitScript:       s.UserData,
		PublicIP:         c.Host == "" && c.Bastion.Host == "", // otherwise the template has a way of its own to the server
		LoginKeyName:     cmp.Or(c.KeyPairName, config.RunName(o.RunID)+config.KeySuffix),
		BlockStorageSize: s.BlockStorageSize, BlockStorageVolumeType: s.BlockStorageVolumeType,
		ImageName: s.ServerImageName, ImageDescription: s.ServerImageDescription, ShareWith: s.ShareWith,
		FeeSystemTypeCode: s.FeeSystemTypeCode,
	}
	if c.Type != "none" {
		r.CommPort = c.Port
	}
	r.Platform = choosePlatform(s)
	return r
}

// choosePlatform is the plugin's choice: VPC when asked for, or when a key is there that only VPC has; else Classic.
func choosePlatform(s *config.Source) config.Platform {
	if s.SupportVPC != nil && *s.SupportVPC || s.VPCNo != "" || s.SubnetNo != "" || s.Hypervisor != "" || s.ServerImageNumber != "" ||
		s.ServerSpecCode != "" && s.MemberServerImageNo == "" || slices.Contains(kvmVolumes, s.BlockStorageVolumeType) {
		return config.VPC
	}
	return config.Classic
}

func platformName(p config.Platform) string {
	if p == config.Classic {
		return "Classic"
	}
	return "VPC"
}

var (
	kvmVolumes = []string{"CB1", "FB1", "CB2", "FB2"}
	xenVolumes = []string{"SSD", "HDD"}
)

// codeOf tells which platform a product code belongs to by its grammar; ok is false when it follows neither.
func codeOf(code string) (p config.Platform, kvm, ok bool) {
	switch {
	case strings.HasPrefix(code, "SW.VSVR."), strings.HasPrefix(code, "SVR.VSVR."):
		return config.VPC, strings.HasSuffix(code, ".G003"), true
	case strings.HasPrefix(code, "SPSW"), strings.HasPrefix(code, "SPSVR"):
		return config.Classic, false, true
	}
	return "", false, false
}

// wrongPlatform is the hint for a code of the other platform.
func wrongPlatform(code string, p config.Platform) string {
	is, kvm, ok := codeOf(code)
	switch {
	case ok && kvm:
		return "This is the code of a KVM image or product, which the API takes by number only: set server_image_number and server_spec_code instead."
	case ok && is == config.VPC && p == config.Classic:
		return "This is a code of VPC: set support_vpc to true."
	case ok && is == config.Classic && p == config.VPC:
		return "This is a code of Classic, and the template is for VPC: remove support_vpc, vpc_no and subnet_no, or choose one of VPC's codes."
	}
	return ""
}

// decidePlace chooses VPC, subnet and zone, or the Classic zone.
func decidePlace(s *config.Source, f *facts, r *config.Resolved) hcl.Diagnostics {
	if r.Platform == config.Classic {
		if !f.known["zones"] {
			return nil
		}
		if len(f.zones) == 0 {
			return hcl.Diagnostics{failure(s.Range("region"), fmt.Sprintf("Region %s has no zone", r.RegionCode), "Choose another region.")}
		}
		r.ZoneNo, r.ZoneCode = f.zones[0].No, f.zones[0].Code
		return nil
	}
	if !f.known["subnets"] || !f.known["vpcs"] {
		return nil
	}
	var diags hcl.Diagnostics
	if s.VPCNo != "" && !slices.ContainsFunc(f.vpcs, func(v ncloud.VPC) bool { return v.No == s.VPCNo }) {
		diags = append(diags, failure(s.Range("vpc_no"), fmt.Sprintf("There is no VPC %s in region %s", s.VPCNo, r.RegionCode),
			choices("VPCs", "", rows(f.vpcs, func(v ncloud.VPC) (string, string) { return v.No, v.Name + " " + v.CIDR }))))
		return diags
	}
	if s.SubnetNo != "" {
		i := slices.IndexFunc(f.subnets, func(n ncloud.Subnet) bool { return n.No == s.SubnetNo })
		if i < 0 {
			return append(diags, failure(s.Range("subnet_no"), fmt.Sprintf("There is no subnet %s in region %s", s.SubnetNo, r.RegionCode),
				choices("Subnets", s.SubnetNo, rows(f.subnets, subnetRow))))
		}
		n := f.subnets[i]
		r.VPCNo, r.SubnetNo, r.ZoneCode = n.VPCNo, n.No, n.ZoneCode
		at := s.Range("subnet_no")
		switch {
		case s.VPCNo != "" && n.VPCNo != s.VPCNo:
			diags = append(diags, failure(at, fmt.Sprintf("Subnet %s is not in VPC %s", n.No, s.VPCNo), fmt.Sprintf("It is in VPC %s. Set vpc_no to that, or leave it out.", n.VPCNo)))
		case n.Type == "PRIVATE" && r.PublicIP:
			diags = append(diags, failure(at, fmt.Sprintf("Subnet %s is private: a server in it cannot have a public IP", n.No),
				"Choose a public subnet, or reach the server through ssh_bastion_host. "+choices("Public subnets", "", rows(publicSubnets(f, s.VPCNo), subnetRow))))
		case n.UsageType != "GEN" && n.UsageType != "":
			diags = append(diags, failure(at, fmt.Sprintf("Subnet %s is for %s, not for servers", n.No, n.UsageType), choices("Public subnets", "", rows(publicSubnets(f, s.VPCNo), subnetRow))))
		case n.Status != "RUN" && n.Status != "SET":
			diags = append(diags, failure(at, fmt.Sprintf("Subnet %s is %s", n.No, n.Status), "It cannot be used now; try again later or choose another."))
		}
		return diags
	}
	usable := publicSubnets(f, s.VPCNo)
	if len(usable) == 0 {
		key, where := "vpc_no", "VPC "+s.VPCNo
		if s.VPCNo == "" {
			key, where = "support_vpc", "region "+r.RegionCode
		}
		return append(diags, failure(s.Range(key), fmt.Sprintf("There is no public subnet in %s", where),
			"A bake needs a public subnet for general use that is running. Make one in the console (VPC > Subnet Management) or with terraform, or set subnet_no and reach the server through ssh_bastion_host."))
	}
	r.VPCNo, r.SubnetNo, r.ZoneCode = usable[0].VPCNo, usable[0].No, usable[0].ZoneCode
	return diags
}

// publicSubnets are the subnets a server with a public IP can live in, in the API's order of their VPCs.
func publicSubnets(f *facts, vpcNo string) []ncloud.Subnet {
	var out []ncloud.Subnet
	for _, v := range f.vpcs {
		for _, n := range f.subnets {
			if n.VPCNo == v.No && (vpcNo == "" || v.No == vpcNo) && n.Type == "PUBLIC" && (n.UsageType == "GEN" || n.UsageType == "") && n.Status == "RUN" {
				out = append(out, n)
			}
		}
	}
	return out
}

func subnetRow(n ncloud.Subnet) (string, string) {
	return n.No, strings.Join([]string{n.Name, n.CIDR, n.Type, n.ZoneCode, "VPC " + n.VPCNo}, " ")
}

// base is what a bake starts from, as far as its product or spec must fit it.
type base struct {
	ok          bool
	productCode string // image product code, also behind a member image
	bySpec      bool   // a server of it takes a spec, not a product; told of an unknown image, too
	arch        string
	serverCode  string // Classic: product of the member image's original server
	name        string
}

// decideImage checks the base image and settles hypervisor and operating system.
func decideImage(s *config.Source, f *facts, r *config.Resolved) (diags hcl.Diagnostics) {
	switch {
	case s.ServerImageNumber != "":
		diags = decideImageNumber(s, f, r)
	case s.MemberServerImageNo != "":
		diags = decideMemberImage(s, f, r)
	case s.ServerImageProductCode != "":
		diags = decideImageProduct(s, f, r)
	}
	if f.base.ok && s.Hypervisor != "" && r.Hypervisor != "" && !strings.EqualFold(s.Hypervisor, r.Hypervisor) {
		diags = append(diags, failure(s.Range("hypervisor"), fmt.Sprintf("The image is for %s, not for %s", r.Hypervisor, strings.ToUpper(s.Hypervisor)),
			"Choose an image for the hypervisor that is wanted, or remove hypervisor, which only checks."))
	}
	if f.base.ok && f.base.name != "" && strings.Contains(strings.ToLower(f.base.name), "mssql") && r.FeeSystemTypeCode == "" {
		r.FeeSystemTypeCode = "FXSUM" // SQL Server images are licensed by the month only
	}
	return diags
}

func decideImageNumber(s *config.Source, f *facts, r *config.Resolved) hcl.Diagnostics {
	if !f.known["serverImages"] {
		return nil
	}
	at := s.Range("server_image_number")
	i := slices.IndexFunc(f.serverImages, func(i ncloud.ServerImage) bool { return i.No == s.ServerImageNumber })
	if i < 0 {
		f.base.bySpec = true
		detail := ""
		if slices.ContainsFunc(f.memberImages, func(m ncloud.MemberImage) bool { return m.No == s.ServerImageNumber }) {
			detail = "There is a member image with this number: set member_server_image_no instead. "
		} else if _, _, isCode := codeOf(s.ServerImageNumber); isCode {
			detail = "This looks like a product code: set server_image_product_code instead. "
		}
		word := s.ServerImageNumber
		return hcl.Diagnostics{failure(at, fmt.Sprintf("There is no server image %s in region %s", word, r.RegionCode), detail+choices("Images", word, rows(f.serverImages, serverImageRow)))}
	}
	img := f.serverImages[i]
	r.ServerImageNumber, r.Hypervisor = img.No, img.Hypervisor
	if img.OSCategory == "WINDOWS" || img.OSType == "WINDOWS" {
		r.OS = "windows"
	}
	f.base = base{ok: true, bySpec: true, productCode: img.ProductCode, arch: img.CPUArchitecture, name: img.Name + " " + img.ProductCode}
	diags := usable(at, "server image "+img.No, img.Status, img.Operation, img.StatusName)
	switch img.LifeCyclePhase {
	case "FADE_OUT":
		diags = append(diags, warning(at, fmt.Sprintf("Image %s is being phased out", img.Name),
			"NAVER Cloud will soon stop offering it. "+choices("In service", "", rows(inService(f.serverImages, img), serverImageRow))))
	case "RETIRED":
		diags = append(diags, failure(at, fmt.Sprintf("Image %s is not offered any more", img.Name), choices("In service", img.Name, rows(inService(f.serverImages, img), serverImageRow))))
	}
	return diags
}

// inService are the images to choose instead of one that fades out: same operating system and hypervisor.
func inService(all []ncloud.ServerImage, old ncloud.ServerImage) []ncloud.ServerImage {
	var out []ncloud.ServerImage
	for _, i := range all {
		if i.No != old.No && i.OSCategory == old.OSCategory && i.Hypervisor == old.Hypervisor && i.Type != "SELF" && (i.LifeCyclePhase == "IN_SERVICE" || i.LifeCyclePhase == "") {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b ncloud.ServerImage) int {
		same := func(i ncloud.ServerImage) int {
			if i.OSType == old.OSType {
				return 0
			}
			return 1
		}
		return same(a) - same(b)
	})
	return out
}

func serverImageRow(i ncloud.ServerImage) (string, string) {
	return i.No, strings.TrimSpace(i.Name + " " + i.Hypervisor)
}

func decideMemberImage(s *config.Source, f *facts, r *config.Resolved) hcl.Diagnostics {
	if !f.known["memberImages"] {
		return nil
	}
	at := s.Range("member_server_image_no")
	i := slices.IndexFunc(f.memberImages, func(m ncloud.MemberImage) bool { return m.No == s.MemberServerImageNo })
	if i < 0 {
		detail := ""
		switch {
		case slices.ContainsFunc(f.serverImages, func(i ncloud.ServerImage) bool { return i.No == s.MemberServerImageNo }):
			detail = "There is a server image with this number: set server_image_number and server_spec_code instead. "
		case r.Platform == config.Classic:
			detail = "This build is for Classic; for an image of VPC set support_vpc to true. "
		}
		return hcl.Diagnostics{failure(at, fmt.Sprintf("There is no member image %s in region %s", s.MemberServerImageNo, r.RegionCode), detail+choices("Own images", s.MemberServerImageNo, rows(f.memberImages, memberImageRow)))}
	}
	m := f.memberImages[i]
	r.MemberServerImageNo = m.No
	f.base = base{ok: true, productCode: m.OriginalImageProductCode, serverCode: m.OriginalServerProductCode, name: m.OriginalImageName + " " + m.OriginalImageProductCode}
	if p, ok := productOf(f.imageProducts, m.OriginalImageProductCode); ok {
		f.base.name += " " + p.Name
	}
	if r.Platform == config.VPC {
		r.Hypervisor = hypervisorOf(f, m.OriginalImageProductCode)
	}
	if isWindows(m.PlatformType) || isWindowsCode(m.OriginalImageProductCode) {
		r.OS = "windows"
	} else if p, ok := productOf(f.imageProducts, m.OriginalImageProductCode); ok && isWindows(p.PlatformType) {
		r.OS = "windows"
	}
	return usable(at, "member image "+m.No, m.Status, m.Operation, m.StatusName)
}

func memberImageRow(m ncloud.MemberImage) (string, string) { return m.No, m.Name }

func decideImageProduct(s *config.Source, f *facts, r *config.Resolved) hcl.Diagnostics {
	if !f.known["imageProducts"] {
		return nil
	}
	code := s.ServerImageProductCode
	p, ok := productOf(f.imageProducts, code)
	if !ok {
		at := s.Range("server_image_product_code")
		summary := fmt.Sprintf("There is no image product %s on %s in region %s", code, platformName(r.Platform), r.RegionCode)
		if hint := wrongPlatform(code, r.Platform); hint != "" {
			return hcl.Diagnostics{failure(at, summary, hint+alternative(f, code))}
		}
		return hcl.Diagnostics{failure(at, summary, choices("Image products", code, rows(f.imageProducts, productRow)))}
	}
	r.ServerImageProductCode = p.Code
	if r.Platform == config.VPC {
		r.Hypervisor = hypervisorOf(f, code)
	}
	if r.Hypervisor == config.KVM {
		return hcl.Diagnostics{failure(s.Range("server_image_product_code"), fmt.Sprintf("%s is a KVM image, which has to be named by its number", code),
			"Set server_image_number and server_spec_code instead."+alternative(f, code))}
	}
	if isWindows(p.PlatformType) || isWindowsCode(code) {
		r.OS = "windows"
	}
	f.base = base{ok: true, productCode: p.Code, name: p.Name + " " + p.Code + " " + p.DBKind}
	return nil
}

// alternative names the number of the KVM image that has a product code.
func alternative(f *facts, code string) string {
	for _, i := range f.serverImages {
		if i.ProductCode == code {
			return fmt.Sprintf(" This image's number is %s (%s).", i.No, i.Name)
		}
	}
	return ""
}

func productOf(products []ncloud.Product, code string) (ncloud.Product, bool) {
	i := slices.IndexFunc(products, func(p ncloud.Product) bool { return p.Code == code })
	if code == "" || i < 0 {
		return ncloud.Product{}, false
	}
	return products[i], true
}

func productRow(p ncloud.Product) (string, string) { return p.Code, p.Name }

// hypervisorOf tells the hypervisor of an image product. The product list does not say it, the newer image list may; XEN
// else, which only decides what RHV would decide too.
func hypervisorOf(f *facts, code string) string {
	for _, i := range f.serverImages {
		if i.ProductCode == code && i.Hypervisor != "" {
			return i.Hypervisor
		}
	}
	return config.XEN
}

func isWindows(platformType string) bool { return strings.HasPrefix(platformType, "WND") }

func isWindowsCode(code string) bool {
	return strings.Contains(code, ".WND") || strings.HasPrefix(code, "SPSW0WINNT")
}

// usable checks the state of an own image.
func usable(at hcl.Range, what, status, operation, name string) hcl.Diagnostics {
	if status == "CREAT" && (operation == "NULL" || operation == "") || status == "" {
		return nil
	}
	advice := "Wait until it is created, or choose another."
	if status == "CREFL" || operation == "TERMT" {
		advice = "It will not become usable; choose another."
	}
	return hcl.Diagnostics{failure(at, fmt.Sprintf("%s cannot be used: it is %s", upperFirst(what), cmp.Or(name, status+"/"+operation)), advice)}
}

// decideProduct checks the product or spec against those that fit the image, or chooses the smallest.
func decideProduct(s *config.Source, f *facts, r *config.Resolved) hcl.Diagnostics {
	if f.base.bySpec {
		return decideSpec(s, f, r)
	}
	if s.ServerSpecCode != "" {
		return hcl.Diagnostics{failure(s.Range("server_spec_code"), "server_spec_code does not go with this image", "It goes with server_image_number; a member image or image product takes server_product_code.")}
	}
	if !f.known["products"] {
		return nil
	}
	code := s.ServerProductCode
	if code == "" && f.base.serverCode != "" {
		if _, ok := productOf(f.products, f.base.serverCode); ok { // an own image fits the kind of server it was made of
			r.ServerProductCode = f.base.serverCode
			return nil
		}
	}
	if code == "" {
		p, ok := smallestProduct(f.products)
		if !ok {
			return hcl.Diagnostics{failure(s.Range(""), "No server product fits the image", fmt.Sprintf("The API offers none for %s in zone %s. Choose another image or region.", cmp.Or(f.base.productCode, "member image "+r.MemberServerImageNo), r.ZoneCode))}
		}
		r.ServerProductCode = p.Code
		return nil
	}
	at := s.Range("server_product_code")
	p, ok := productOf(f.products, code)
	if !ok {
		hint := wrongPlatform(code, r.Platform)
		if hint != "" {
			hint += " "
		}
		return hcl.Diagnostics{failure(at, fmt.Sprintf("There is no server product %s for this image", code), hint+choices("Products that fit", code, rows(f.products, productRow)))}
	}
	if p.Type == "VDS" {
		return hcl.Diagnostics{failure(at, "No image can be made of a VDS server", choices("Other products", "", rows(slices.DeleteFunc(slices.Clone(f.products), func(p ncloud.Product) bool { return p.Type == "VDS" }), productRow)))}
	}
	if strings.Contains(strings.ToLower(p.Name), "mssql") && r.FeeSystemTypeCode == "" {
		r.FeeSystemTypeCode = "FXSUM"
	}
	r.ServerProductCode = p.Code
	return nil
}

func decideSpec(s *config.Source, f *facts, r *config.Resolved) hcl.Diagnostics {
	if !f.known["specs"] {
		return nil
	}
	if s.ServerProductCode != "" {
		return hcl.Diagnostics{failure(s.Range("server_product_code"), "server_product_code does not go with server_image_number", "Set server_spec_code. "+choices("Specs that fit", "", rows(f.specs, specRow)))}
	}
	fits := slices.DeleteFunc(slices.Clone(f.specs), func(p ncloud.Spec) bool {
		return p.Hypervisor != "" && r.Hypervisor != "" && p.Hypervisor != r.Hypervisor || f.base.arch != "" && p.CPUArchitecture != "" && p.CPUArchitecture != f.base.arch
	})
	if s.ServerSpecCode == "" {
		p, ok := smallestSpec(fits)
		if !ok {
			return hcl.Diagnostics{failure(s.Range("server_image_number"), "No server spec fits the image", fmt.Sprintf("The API offers none for image %s in zone %s. Choose another image or region.", r.ServerImageNumber, r.ZoneCode))}
		}
		r.ServerSpecCode = p.Code
		return nil
	}
	if !slices.ContainsFunc(fits, func(p ncloud.Spec) bool { return p.Code == s.ServerSpecCode }) {
		hint := ""
		if _, _, isProduct := codeOf(s.ServerSpecCode); isProduct {
			hint = "This is a product code; a spec code is like s2-g3. "
			for _, p := range fits {
				if p.ProductCode == s.ServerSpecCode {
					hint = fmt.Sprintf("This is a product code; the spec it belongs to is %s. ", p.Code)
				}
			}
		}
		where, title := "for this image", "Specs that fit"
		if !f.base.ok {
			where, title = "in region "+r.RegionCode, "Specs"
		}
		return hcl.Diagnostics{failure(s.Range("server_spec_code"), fmt.Sprintf("There is no server spec %s %s", s.ServerSpecCode, where), hint+choices(title, s.ServerSpecCode, rows(fits, specRow)))}
	}
	r.ServerSpecCode = s.ServerSpecCode
	return nil
}

func specRow(p ncloud.Spec) (string, string) { return p.Code, p.Description }

// smallestProduct is the product with the fewest CPUs, then the least memory, then the smallest disk, of the newest
// generation, on SSD. MICRO servers come last (an account may have one only), GPU and VDS ones not at all: no bake needs
// the one, no image can be made of the other.
func smallestProduct(products []ncloud.Product) (ncloud.Product, bool) {
	fit := slices.DeleteFunc(slices.Clone(products), func(p ncloud.Product) bool { return p.Type == "VDS" || p.Type == "GPU" || p.Type == "BM" })
	if len(fit) == 0 {
		return ncloud.Product{}, false
	}
	rank := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return slices.MinFunc(fit, func(a, b ncloud.Product) int {
		return cmp.Or(
			rank(a.Type == "MICRO")-rank(b.Type == "MICRO"),
			cmp.Compare(a.CPUCount, b.CPUCount), cmp.Compare(a.MemorySize, b.MemorySize), cmp.Compare(a.BaseBlockStorageSize, b.BaseBlockStorageSize),
			cmp.Compare(b.Generation, a.Generation),
			rank(!strings.Contains(a.Code, "SSD"))-rank(!strings.Contains(b.Code, "SSD")),
			cmp.Compare(a.Code, b.Code))
	}), true
}

// smallestSpec is the spec with the fewest CPUs, then the least memory; never one with GPUs, and MICRO ones last.
func smallestSpec(specs []ncloud.Spec) (ncloud.Spec, bool) {
	fit := slices.DeleteFunc(slices.Clone(specs), func(p ncloud.Spec) bool { return p.GPUCount > 0 })
	if len(fit) == 0 {
		return ncloud.Spec{}, false
	}
	micro := func(p ncloud.Spec) int {
		if strings.HasPrefix(p.Code, "mi") {
			return 1
		}
		return 0
	}
	return slices.MinFunc(fit, func(a, b ncloud.Spec) int {
		return cmp.Or(micro(a)-micro(b), cmp.Compare(a.CPUCount, b.CPUCount), cmp.Compare(a.MemorySize, b.MemorySize), cmp.Compare(len(a.Code), len(b.Code)), cmp.Compare(a.Code, b.Code))
	}), true
}

// Names of images, by the API that makes them. Classic documents only the length.
var (
	memberImageName = regexp.MustCompile(`^[a-z][a-z0-9-]*[a-z0-9]$`)
	serverImageName = regexp.MustCompile(`^[a-z][A-Za-z0-9_-]*[a-z0-9]$`)
)

// checkName checks the image's name, or makes one up.
func checkName(s *config.Source, f *facts, r *config.Resolved) hcl.Diagnostics {
	if r.ImageName == "" {
		r.ImageName = "tfbake-" + r.RunID // not the run's own prefix: that is for what is deleted in the end
		return nil
	}
	at := s.Range("server_image_name")
	kvm := r.Platform == config.VPC && r.Hypervisor == config.KVM
	shape, rule, clean := memberImageName, `lower-case letters, digits and "-"`, config.CleanImageName
	if kvm {
		shape, rule, clean = serverImageName, `letters, digits, "-" and "_"`, config.CleanKVMImageName
	}
	if n := utf8.RuneCountInString(r.ImageName); n < 3 || n > 30 {
		return hcl.Diagnostics{failure(at, fmt.Sprintf("%q cannot be an image name: it has %d characters", r.ImageName, n), fmt.Sprintf("Allowed are 3 to 30. Perhaps %q?", clean(r.ImageName)))}
	}
	if r.Platform == config.VPC && !shape.MatchString(r.ImageName) {
		return hcl.Diagnostics{failure(at, fmt.Sprintf("%q cannot be an image name on VPC", r.ImageName),
			fmt.Sprintf("It must be made of %s, begin with a lower-case letter and end with a lower-case letter or digit. Perhaps %q?", rule, clean(r.ImageName)))}
	}
	taken := map[string]string{} // whether the two kinds of images on VPC may share a name is not documented: a bake is too long to find out at its end
	for _, i := range f.serverImages {
		if i.Type == "SELF" {
			taken[i.Name] = i.No
		}
	}
	for _, m := range f.memberImages {
		taken[m.Name] = m.No
	}
	if no, ok := taken[r.ImageName]; ok {
		var free string
		for n := 2; ; n++ {
			suffix := "-" + strconv.Itoa(n)
			free = r.ImageName[:min(len(r.ImageName), 30-len(suffix))] + suffix
			if _, ok := taken[free]; !ok {
				break
			}
		}
		return hcl.Diagnostics{failure(at, fmt.Sprintf("There is already an image called %q (%s)", r.ImageName, no),
			fmt.Sprintf("Choose another name, such as %q or one with {{timestamp}} in it, or delete the old image first.", free))}
	}
	return nil
}

// maxDescription is what the API documents, in bytes.
const maxDescription = 1000

// checkPlain holds the rules that need no further question: they know platform and, when it is known, hypervisor.
func checkPlain(b *config.Build, r config.Resolved) (diags hcl.Diagnostics) {
	s := &b.Source
	if n := len(s.ServerImageDescription); n > maxDescription {
		diags = append(diags, failure(s.Range("server_image_description"), fmt.Sprintf("server_image_description is too long: %d bytes", n),
			fmt.Sprintf("At most %d bytes are allowed; a Korean character takes 3.", maxDescription)))
	}
	diags = append(diags, checkDisk(s, r)...)
	diags = append(diags, checkUserData(s, r)...)
	switch {
	case r.OS == "windows" && b.Communicator.Type == "ssh":
		diags = append(diags, warning(s.Range("communicator"), "The image is Windows, but the communicator is ssh",
			`A Windows image of NAVER Cloud does not answer SSH unless it was set up to: set "communicator": "winrm", with user_data that turns WinRM on.`))
	case r.OS == "linux" && r.RegionCode != "" && b.Communicator.Type == "winrm":
		diags = append(diags, failure(s.Range("communicator"), "The image is Linux, but the communicator is winrm", "Use ssh, or choose a Windows image."))
	}
	return diags
}

func checkDisk(s *config.Source, r config.Resolved) hcl.Diagnostics {
	size, volume := s.BlockStorageSize, s.BlockStorageVolumeType
	if size == 0 {
		return nil
	}
	where, limit, volumes := platformName(r.Platform), 2000, xenVolumes
	switch {
	case r.Platform == config.VPC && r.Hypervisor == config.KVM:
		where, limit, volumes = "KVM", 16380, kvmVolumes
	case r.Platform == config.VPC && r.Hypervisor == "": // not known yet: the widest
		limit, volumes = 16380, slices.Concat(kvmVolumes, xenVolumes)
	}
	var diags hcl.Diagnostics
	at := s.Range("block_storage_size")
	if size < 10 || size > limit || size%10 != 0 {
		near := min(max((size+5)/10*10, 10), limit)
		diags = append(diags, failure(at, fmt.Sprintf("block_storage_size %d cannot be had on %s", size, where),
			fmt.Sprintf("It is a multiple of 10 GB from 10 to %d. The nearest is %d.", limit, near)))
	}
	if volume != "" && !slices.Contains(volumes, volume) {
		diags = append(diags, failure(s.Range("block_storage_volume_type"), fmt.Sprintf("There are no %s disks on %s", volume, where), "Choose "+orList(volumes)+"."))
	}
	return diags
}

// Limits of init scripts.
const (
	maxUserDataClassic = 21847   // characters, before base64
	maxUserDataVPC     = 1 << 20 // bytes
)

func checkUserData(s *config.Source, r config.Resolved) (diags hcl.Diagnostics) {
	text := s.UserData
	if text == "" {
		return nil
	}
	at := s.Range("user_data")
	if s.UserDataFile != "" {
		at = s.Range("user_data_file")
	}
	if n := utf8.RuneCountInString(text); r.Platform == config.Classic && n > maxUserDataClassic {
		diags = append(diags, failure(at, fmt.Sprintf("The init script is too long for Classic: %d characters", n), fmt.Sprintf("At most %d are allowed. Let it fetch the rest, or move work to a provisioner.", maxUserDataClassic)))
	} else if n := len(text); r.Platform == config.VPC && n > maxUserDataVPC {
		diags = append(diags, failure(at, fmt.Sprintf("The init script is too long: %d bytes", n), "At most 1 MB is allowed. Let it fetch the rest, or move work to a provisioner."))
	}
	shebang := strings.HasPrefix(text, "#!")
	switch {
	case r.OS == "windows" && (shebang || strings.HasPrefix(strings.TrimSpace(strings.ToLower(text)), "<powershell>")):
		diags = append(diags, failure(at, "The image is Windows, but the init script is not Visual Basic", `NAVER Cloud's Windows servers run Visual Basic only. To run PowerShell: CreateObject("WScript.Shell").Run "powershell …", 0, True`))
	case r.OS == "linux" && r.ServerImageNumber+r.ServerImageProductCode+r.MemberServerImageNo != "" && strings.Contains(strings.ToLower(text), "createobject("):
		diags = append(diags, failure(at, "The image is Linux, but the init script is Visual Basic", "Write a shell, Python or Perl script that begins with #! and the interpreter's path."))
	}
	return diags
}

// usedACG is the existing ACG a build will use: the one it names or, on Classic, the account's default.
func usedACG(s *config.Source, f *facts) (ncloud.ACG, bool) {
	i := slices.IndexFunc(f.acgs, func(g ncloud.ACG) bool {
		return s.AccessControlGroupNo != "" && g.No == s.AccessControlGroupNo || s.AccessControlGroupNo == "" && g.IsDefault
	})
	if i < 0 {
		return ncloud.ACG{}, false
	}
	return f.acgs[i], true
}

// decideACG chooses between an ACG of our own and an existing one, and looks whether that lets us in.
func decideACG(b *config.Build, f *facts, o Options, r *config.Resolved) (diags hcl.Diagnostics) {
	s := &b.Source
	r.SourceCIDRs, r.AllowWorld = s.SourceCIDRs, s.AllowWorld
	if len(r.SourceCIDRs) == 0 {
		r.SourceCIDRs = o.SourceCIDRs
	}
	if r.Platform == config.VPC && s.AccessControlGroupNo == "" {
		if len(r.SourceCIDRs) == 0 && r.CommPort != 0 {
			why := "This machine's public address could not be found out."
			if o.SourceUnknown != nil {
				why = upperFirst(o.SourceUnknown.Error()) + "."
			}
			diags = append(diags, failure(s.Range("source_cidrs"), "Who may connect to the server is not known", why+` Set source_cidrs, such as ["203.0.113.7/32"], TFBAKE_SOURCE_CIDRS, or access_control_group_no.`))
		}
		if !r.AllowWorld && slices.ContainsFunc(r.SourceCIDRs, func(c string) bool { return strings.HasSuffix(c, "/0") }) {
			diags = append(diags, failure(s.Range("source_cidrs"), "The server would be open to the whole internet", "TFBAKE_SOURCE_CIDRS lets everyone in. Name the networks that may connect, or set allow_world to true if that is really meant."))
		}
		return diags
	}
	if !f.known["acgs"] {
		return nil
	}
	at := s.Range("access_control_group_no")
	g, ok := usedACG(s, f)
	if !ok {
		if s.AccessControlGroupNo == "" {
			return nil // Classic without a default ACG: the API decides
		}
		return hcl.Diagnostics{failure(at, fmt.Sprintf("There is no access control group %s", s.AccessControlGroupNo),
			choices("Groups", s.AccessControlGroupNo, rows(f.acgs, func(g ncloud.ACG) (string, string) { return g.No, g.Name })))}
	}
	if s.AccessControlGroupNo != "" {
		r.ACGNos = []string{g.No}
	}
	if g.VPCNo != "" && r.VPCNo != "" && g.VPCNo != r.VPCNo {
		var same []ncloud.ACG
		for _, o := range f.acgs {
			if o.VPCNo == r.VPCNo {
				same = append(same, o)
			}
		}
		diags = append(diags, failure(at, fmt.Sprintf("Access control group %s is of another VPC", g.No),
			fmt.Sprintf("It belongs to VPC %s, the subnet to VPC %s. ", g.VPCNo, r.VPCNo)+choices("Groups of this VPC", "", rows(same, func(g ncloud.ACG) (string, string) { return g.No, g.Name }))))
	}
	if r.CommPort == 0 || !f.known["rules"] {
		return diags
	}
	what := fmt.Sprintf("access control group %s (%s)", g.No, g.Name)
	switch opens(f.rules, r.CommPort, r.SourceCIDRs) {
	case closed:
		diags = append(diags, failure(at, fmt.Sprintf("%s does not let anyone reach port %d", upperFirst(what), r.CommPort),
			fmt.Sprintf("Add an inbound rule for TCP port %d from this machine's address, or name another group%s.", r.CommPort, ownACGHint(r.Platform))))
	case others:
		diags = append(diags, warning(at, fmt.Sprintf("%s may not let this machine reach port %d", upperFirst(what), r.CommPort),
			fmt.Sprintf("None of its rules for TCP port %d covers %s. If the connection fails, add one%s.", r.CommPort, strings.Join(r.SourceCIDRs, ", "), ownACGHint(r.Platform))))
	}
	return diags
}

func ownACGHint(p config.Platform) string {
	if p == config.VPC {
		return ", or leave access_control_group_no out: then a group is made for this bake and removed after it"
	}
	return ""
}

type opening int

const (
	closed opening = iota // no rule opens the port
	others                // a rule does, but not (as far as can be told) for us
	open
)

// opens looks what the inbound rules of an ACG do for a TCP port and the networks we come from.
func opens(rules []ncloud.Rule, port int, from []string) opening {
	best := closed
	for _, rule := range rules {
		if rule.Direction == ncloud.Outbound || !strings.EqualFold(rule.Protocol, "TCP") && rule.Protocol != "6" || !inRange(rule.PortRange, port) {
			continue
		}
		best = others
		block, err := netip.ParsePrefix(rule.IPBlock)
		if addr, addrErr := netip.ParseAddr(rule.IPBlock); err != nil && addrErr == nil {
			block, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			continue // another ACG as source
		}
		if len(from) == 0 || slices.ContainsFunc(from, func(cidr string) bool {
			us, err := netip.ParsePrefix(cidr)
			return err == nil && block.Bits() <= us.Bits() && block.Contains(us.Addr()) || err == nil && us.Addr().IsLoopback()
		}) {
			return open
		}
	}
	return best
}

// inRange tells whether a port is in "22" or "1-65535".
func inRange(ports string, port int) bool {
	low, high, isRange := strings.Cut(ports, "-")
	if !isRange {
		high = low
	}
	from, err1 := strconv.Atoi(strings.TrimSpace(low))
	to, err2 := strconv.Atoi(strings.TrimSpace(high))
	return err1 == nil && err2 == nil && from <= port && port <= to
}

// checkPublicIPs is the rule that an account may not have more public IPs than servers; the temporary server and its
// address count.
func checkPublicIPs(s *config.Source, f *facts, r config.Resolved) hcl.Diagnostics {
	if !r.PublicIP || !f.known["publicIPs"] || !f.known["servers"] || len(f.publicIPs)+1 <= len(f.servers)+1 {
		return nil
	}
	var unused []ncloud.PublicIP
	for _, p := range f.publicIPs {
		if p.ServerNo == "" {
			unused = append(unused, p)
		}
	}
	return hcl.Diagnostics{failure(s.Range(""), "There would be more public IPs than servers",
		fmt.Sprintf("The account has %d public IPs for %d servers in region %s; the temporary server needs one more, and NAVER Cloud allows at most as many public IPs as servers. Give back one that is not used. ",
			len(f.publicIPs), len(f.servers), r.RegionCode)+choices("Not used", "", rows(unused, func(p ncloud.PublicIP) (string, string) { return p.IP, p.Description })))}
}

func checkLoginKey(b *config.Build, f *facts) hcl.Diagnostics {
	name := b.Communicator.KeyPairName
	if name == "" || !f.known["keys"] || slices.ContainsFunc(f.keys, func(k ncloud.LoginKey) bool { return k.Name == name }) {
		return nil
	}
	return hcl.Diagnostics{failure(b.Source.Range("ssh_keypair_name"), fmt.Sprintf("There is no login key %q", name),
		"Leave ssh_keypair_name out to have one made for this bake. "+choices("Keys", name, rows(f.keys, func(k ncloud.LoginKey) (string, string) { return k.Name, "" })))}
}

// checkProviderLimits warns of what is known not to work with the official provider.
func checkProviderLimits(s *config.Source, o Options, r config.Resolved) hcl.Diagnostics {
	if o.OfficialProvider && r.Hypervisor == config.KVM && r.BlockStorageSize > 0 && r.RegionCode != "KR" && r.RegionCode != "" {
		return hcl.Diagnostics{warning(s.Range("block_storage_size"), fmt.Sprintf("The official provider may fail to attach the disk in region %s", r.RegionCode),
			"It attaches and detaches KVM disks without naming the region (terraform-provider-ncloud issue 576), which fails outside the default region. Use -provider embedded, or leave block_storage_size out.")}
	}
	return nil
}
