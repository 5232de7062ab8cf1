package lookup

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/ncloud"
)

const (
	classic = "classic"
	vpc     = "vpc"
	kvm     = "KVM"
	gib     = 1 << 30
)

// image is an image of any kind, with what the builder calls it.
type image struct {
	number, code, name, description  string
	hypervisor, created, status, ops string
	phase                            string // IN_SERVICE, FADE_OUT, RETIRED
	own                              bool
	key                              string // the builder's key: server_image_number, server_image_product_code or member_server_image_no
}

func imageOfNumber(i ncloud.ServerImage) image {
	return image{number: i.No, code: i.ProductCode, name: i.Name, description: i.Description, hypervisor: i.Hypervisor, created: i.CreateDate,
		status: i.Status, ops: i.Operation, phase: i.LifeCyclePhase, own: i.Type == "SELF", key: "server_image_number"}
}

func imageOfProduct(p ncloud.Product, hypervisor string) image {
	return image{code: p.Code, name: strings.TrimSpace(p.Name), description: p.Description, hypervisor: hypervisor, key: "server_image_product_code"}
}

func imageOfMember(m ncloud.MemberImage, hypervisor string) image {
	return image{number: m.No, code: m.OriginalImageProductCode, name: m.Name, description: m.Description, hypervisor: hypervisor, created: m.CreateDate,
		status: m.Status, ops: m.Operation, own: true, key: "member_server_image_no"}
}

func (i image) value(platform string) cty.Value {
	key := func(name, v string) cty.Value {
		if i.key != name {
			return cty.NullVal(cty.String)
		}
		return cty.StringVal(v)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"server_image_number":       key("server_image_number", i.number),
		"server_image_product_code": key("server_image_product_code", i.code),
		"member_server_image_no":    key("member_server_image_no", i.number),
		"number":                    cty.StringVal(i.number),
		"product_code":              cty.StringVal(i.code),
		"name":                      cty.StringVal(i.name),
		"description":               cty.StringVal(i.description),
		"hypervisor":                cty.StringVal(i.hypervisor),
		"platform":                  cty.StringVal(platform),
		"own":                       cty.BoolVal(i.own),
		"created":                   cty.StringVal(i.created),
	})
}

// imageQuery is data "ncloud-image".
type imageQuery struct {
	Place
	platform, hypervisor string
	os, name, namePrefix string
	own, mostRecent      *bool
}

func imageQueryOf(args cty.Value) (imageQuery, error) {
	a := arguments{args: args, known: []string{"os", "name", "name_prefix", "platform", "hypervisor", "own", "most_recent"}}
	q := imageQuery{Place: a.place(), platform: a.platform(), hypervisor: strings.ToUpper(a.text("hypervisor")),
		os: a.text("os"), name: a.text("name"), namePrefix: a.text("name_prefix"), own: a.flag("own"), mostRecent: a.flag("most_recent")}
	if err := a.done(); err != nil {
		return q, err
	}
	switch {
	case q.os == "" && q.name == "" && q.namePrefix == "":
		return q, fmt.Errorf(`say which image: os (such as "Ubuntu 22.04"), name (* stands for anything) or name_prefix`)
	case q.name != "" && q.namePrefix != "":
		return q, fmt.Errorf("name and name_prefix exclude each other")
	case q.hypervisor != "" && !slices.Contains([]string{"XEN", "RHV", kvm}, q.hypervisor):
		return q, fmt.Errorf("hypervisor is XEN, RHV or KVM, not %q", q.hypervisor)
	case q.platform == classic && q.hypervisor != "":
		return q, fmt.Errorf("hypervisor is for VPC: leave it out, or set platform to \"vpc\"")
	}
	if q.os != "" && q.own == nil && q.name == "" && q.namePrefix == "" {
		no := false // an operating system means NAVER's image of it
		q.own = &no
	}
	if q.platform == vpc && q.hypervisor == "" && q.publicOnly() {
		q.hypervisor = kvm // today's servers
	}
	return q, nil
}

func (q imageQuery) ownOnly() bool    { return q.own != nil && *q.own }
func (q imageQuery) publicOnly() bool { return q.own != nil && !*q.own }

// choose finds the one image that is meant. Of NAVER's images of an operating system that is the plain one of the
// highest version; of several others the latest, when most_recent says so.
func (q imageQuery) choose(all []image) (image, error) {
	var fit []image
	score := map[string]int{}
	best := -1
	for _, i := range all {
		if q.own != nil && *q.own != i.own || q.hypervisor != "" && i.hypervisor != q.hypervisor || !i.usable() || !q.named(i.name) {
			continue
		}
		if q.os != "" {
			extra, ok := osMatch(q.os, i.name)
			if !ok {
				continue
			}
			if !i.own {
				score[i.id()] = extra
				if best < 0 || extra < best {
					best = extra
				}
			}
		}
		fit = append(fit, i)
	}
	fit = slices.DeleteFunc(fit, func(i image) bool { return best >= 0 && !i.own && score[i.id()] > best })
	if slices.ContainsFunc(fit, func(i image) bool { return i.phase != "FADE_OUT" }) {
		fit = slices.DeleteFunc(fit, func(i image) bool { return i.phase == "FADE_OUT" })
	}
	slices.SortStableFunc(fit, func(a, b image) int {
		if !a.own && !b.own {
			if c := slices.Compare(versionOf(b.name), versionOf(a.name)); c != 0 {
				return c
			}
		}
		return cmp.Or(cmp.Compare(b.created, a.created), compareNumbers(b.number, a.number), cmp.Compare(a.code, b.code))
	})
	switch {
	case len(fit) == 0:
		return image{}, fmt.Errorf("no image %s%s", q, nearest(q, all))
	case len(fit) > 1 && q.mostRecent != nil && !*q.mostRecent, len(fit) > 1 && q.mostRecent == nil && q.os == "":
		return image{}, fmt.Errorf("%d images are %s: %s; narrow it down, or set most_recent = true", len(fit), q, list(fit))
	}
	return fit[0], nil
}

// usable leaves out images that are being made or deleted, or are not offered any more.
func (i image) usable() bool {
	return (i.status == "" || i.status == "CREAT") && i.ops != "TERMT" && i.phase != "RETIRED"
}

func (i image) id() string { return i.key + " " + i.number + i.code }

func (q imageQuery) named(name string) bool {
	if q.namePrefix != "" {
		return strings.HasPrefix(name, q.namePrefix)
	}
	if q.name == "" || q.name == name {
		return true
	}
	ok, err := path.Match(strings.ReplaceAll(q.name, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
	return err == nil && ok
}

// String is the query in words: `of os "Rocky 8" for KVM`.
func (q imageQuery) String() string {
	var words []string
	add := func(format, v string) {
		if v != "" {
			words = append(words, fmt.Sprintf(format, v))
		}
	}
	add("of os %q", q.os)
	add("called %q", q.name)
	add("beginning with %q", q.namePrefix)
	add("for %s", q.hypervisor)
	if q.ownOnly() {
		words = append(words, "of your own")
	}
	return strings.Join(append(words, "on "+platformName(q.platform)), " ")
}

func platformName(p string) string {
	if p == classic {
		return "Classic"
	}
	return "VPC"
}

// nearest names images that may have been meant.
func nearest(q imageQuery, all []image) string {
	var names []string
	for _, i := range all {
		if (q.own == nil || *q.own == i.own) && (q.hypervisor == "" || i.hypervisor == q.hypervisor) && !slices.Contains(names, i.name) {
			names = append(names, i.name)
		}
	}
	if len(names) == 0 {
		return "; there is none at all"
	}
	word := cmp.Or(q.os, q.name, q.namePrefix)
	near := ncloud.Nearest(strings.ToLower(word), names, 5)
	if len(near) == 0 {
		near = names[:min(len(names), 10)]
	}
	return "; there is " + strings.Join(near, ", ")
}

func list(images []image) string {
	var words []string
	for n, i := range images {
		if n == 5 {
			words = append(words, "…")
			break
		}
		words = append(words, strings.TrimSpace(fmt.Sprintf("%s (%s)", i.name, cmp.Or(i.number, i.code))))
	}
	return strings.Join(words, ", ")
}

var wordRE = regexp.MustCompile(`[a-z]+|[0-9]+(\.[0-9]+)*`)

// sameWord are the words NAVER's image names use for an operating system beside its own.
var sameWord = map[string]string{"windows": "win", "rockylinux": "rocky", "window": "win", "english": "en", "korean": "ko"}

// plainWords say nothing about what is on an image beside the operating system; people write the first few of them where
// the names have none.
var (
	politeWords = []string{"server", "linux", "edition", "bit", "64"}
	plainWords  = append([]string{"base", "en", "ko", "std", "standard", "r"}, politeWords...)
)

// osMatch tells whether every word of os is in an image's name, and how many of the name's words say something else:
// the plain image of an operating system has none.
func osMatch(os, name string) (extra int, ok bool) {
	have := words(name)
	used := make([]bool, len(have))
	for _, w := range words(os) {
		hit := false
		for i, h := range have {
			if !used[i] && (h == w || isNumber(w) && strings.HasPrefix(h, w+".")) {
				used[i], hit = true, true
				break
			}
		}
		if !hit && !slices.Contains(politeWords, w) {
			return 0, false
		}
	}
	for i, h := range have {
		if !used[i] && !isNumber(h) && !slices.Contains(plainWords, h) {
			extra++
		}
	}
	return extra, true
}

func words(s string) []string {
	out := wordRE.FindAllString(strings.ToLower(s), -1)
	for i, w := range out {
		if same, ok := sameWord[w]; ok {
			out[i] = same
		}
	}
	return out
}

func isNumber(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

// versionOf is the first version in a name: 22.04 of ubuntu-22.04-base.
func versionOf(name string) []int {
	for _, w := range words(name) {
		if isNumber(w) {
			var v []int
			for _, part := range strings.Split(w, ".") {
				n, _ := strconv.Atoi(part)
				v = append(v, n)
			}
			return v
		}
	}
	return nil
}

// compareNumbers compares numbers of the API, which grow with time and in length.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// spec is a server specification or product.
type spec struct {
	code, key, name, hypervisor, generation string
	cpu, gpu                                int32
	memory                                  int64 // bytes
	disk                                    string
}

func specOf(s ncloud.Spec) spec {
	return spec{code: s.Code, key: "server_spec_code", name: s.Description, hypervisor: s.Hypervisor, generation: s.Generation, cpu: s.CPUCount, gpu: s.GPUCount, memory: s.MemorySize}
}

func specOfProduct(p ncloud.Product) spec {
	s := spec{code: p.Code, key: "server_product_code", name: p.Name, generation: p.Generation, cpu: p.CPUCount, memory: p.MemorySize, disk: p.DiskType}
	if strings.Contains(p.Name, "GPU") {
		s.gpu = 1
	}
	return s
}

func (s spec) value() cty.Value {
	key := func(name string) cty.Value {
		if s.key != name {
			return cty.NullVal(cty.String)
		}
		return cty.StringVal(s.code)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"server_spec_code":    key("server_spec_code"),
		"server_product_code": key("server_product_code"),
		"code":                cty.StringVal(s.code),
		"name":                cty.StringVal(s.name),
		"generation":          cty.StringVal(s.generation),
		"cpu":                 cty.NumberIntVal(int64(s.cpu)),
		"memory":              cty.NumberIntVal(s.memory / gib),
	})
}

// specQuery is data "ncloud-spec".
type specQuery struct {
	Place
	platform, hypervisor, generation string
	cpu, memory                      int64 // at least; memory in GB
	gpu                              bool
	imageNumber, imageProduct        string
}

func specQueryOf(args cty.Value) (specQuery, error) {
	a := arguments{args: args, known: []string{"cpu", "memory", "gpu", "platform", "hypervisor", "generation", "server_image_number", "server_image_product_code"}}
	q := specQuery{Place: a.place(), platform: a.platform(), hypervisor: strings.ToUpper(a.text("hypervisor")), generation: a.text("generation"),
		cpu: a.number("cpu"), memory: a.number("memory"), imageNumber: a.text("server_image_number"), imageProduct: a.text("server_image_product_code")}
	if gpu := a.flag("gpu"); gpu != nil {
		q.gpu = *gpu
	}
	if err := a.done(); err != nil {
		return q, err
	}
	if q.imageProduct == "" && q.hypervisor == "" {
		q.hypervisor = kvm
	}
	switch {
	case q.imageNumber != "" && q.imageProduct != "":
		return q, fmt.Errorf("server_image_number and server_image_product_code exclude each other")
	case q.imageProduct == "" && q.platform == classic, q.imageProduct == "" && q.hypervisor != kvm:
		return q, fmt.Errorf("the products of Classic, XEN and RHV go with an image: set server_image_product_code")
	case q.cpu < 0 || q.memory < 0:
		return q, fmt.Errorf("cpu and memory (GB) count from 1")
	}
	return q, nil
}

// choose finds the smallest that is large enough.
func (q specQuery) choose(all []spec) (spec, error) {
	fit := slices.DeleteFunc(slices.Clone(all), func(s spec) bool {
		return int64(s.cpu) < q.cpu || s.memory < q.memory*gib || (s.gpu > 0) != q.gpu || q.imageProduct == "" && s.hypervisor != q.hypervisor ||
			q.generation != "" && !strings.EqualFold(s.generation, q.generation)
	})
	slices.SortStableFunc(fit, func(a, b spec) int {
		return cmp.Or(cmp.Compare(a.cpu, b.cpu), cmp.Compare(a.memory, b.memory), cmp.Compare(len(a.code), len(b.code)), cmp.Compare(a.code, b.code))
	})
	if len(fit) == 0 {
		var sizes []string
		for _, s := range all {
			if size := fmt.Sprintf("%d CPU/%d GB", s.cpu, s.memory/gib); !slices.Contains(sizes, size) {
				sizes = append(sizes, size)
			}
		}
		if len(sizes) == 0 {
			return spec{}, fmt.Errorf("there is no server specification for this image at all")
		}
		return spec{}, fmt.Errorf("no server specification has at least %d CPU and %d GB; there is %s", q.cpu, q.memory, strings.Join(sizes[:min(len(sizes), 12)], ", "))
	}
	return fit[0], nil
}

// subnetQuery is data "ncloud-subnet".
type subnetQuery struct {
	Place
	vpcNo, vpcName, name, typ, zone string
}

func subnetQueryOf(args cty.Value) (subnetQuery, error) {
	a := arguments{args: args, known: []string{"vpc", "vpc_no", "name", "type", "zone"}}
	q := subnetQuery{Place: a.place(), vpcNo: a.text("vpc_no"), vpcName: a.text("vpc"), name: a.text("name"), typ: strings.ToUpper(a.text("type")), zone: a.text("zone")}
	if err := a.done(); err != nil {
		return q, err
	}
	if q.typ != "" && q.typ != "PUBLIC" && q.typ != "PRIVATE" {
		return q, fmt.Errorf("type is public or private, not %q", a.text("type"))
	}
	if q.typ == "" && q.name == "" {
		q.typ = "PUBLIC" // a bake wants to be reached
	}
	return q, nil
}

// choose finds the first subnet for servers that is running and fits.
func (q subnetQuery) choose(vpcs []ncloud.VPC, subnets []ncloud.Subnet) (ncloud.Subnet, ncloud.VPC, error) {
	inVPC := false
	for _, v := range vpcs {
		if q.vpcNo != "" && v.No != q.vpcNo || q.vpcName != "" && v.Name != q.vpcName {
			continue
		}
		inVPC = true
		for _, n := range subnets {
			if n.VPCNo == v.No && (q.name == "" || n.Name == q.name) && (q.typ == "" || n.Type == q.typ) && (q.zone == "" || n.ZoneCode == q.zone) &&
				(n.UsageType == "GEN" || n.UsageType == "") && n.Status == "RUN" {
				return n, v, nil
			}
		}
	}
	var there []string
	if !inVPC && (q.vpcNo != "" || q.vpcName != "") {
		for _, v := range vpcs {
			there = append(there, fmt.Sprintf("%s (%s)", v.Name, v.No))
		}
		return ncloud.Subnet{}, ncloud.VPC{}, fmt.Errorf("no VPC is called %q%s", cmp.Or(q.vpcName, q.vpcNo), thereIs(there))
	}
	for _, n := range subnets {
		there = append(there, strings.TrimSpace(fmt.Sprintf("%s (%s %s %s in VPC %s)", n.Name, n.No, n.Type, n.ZoneCode, n.VPCNo)))
	}
	return ncloud.Subnet{}, ncloud.VPC{}, fmt.Errorf("no running subnet for servers fits%s", thereIs(there))
}

func thereIs(names []string) string {
	if len(names) == 0 {
		return "; there is none at all"
	}
	return "; there is " + strings.Join(names[:min(len(names), 8)], ", ")
}

func subnetValue(n ncloud.Subnet, v ncloud.VPC) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"subnet_no": cty.StringVal(n.No), "vpc_no": cty.StringVal(n.VPCNo), "name": cty.StringVal(n.Name), "vpc": cty.StringVal(v.Name),
		"cidr": cty.StringVal(n.CIDR), "zone": cty.StringVal(n.ZoneCode), "type": cty.StringVal(n.Type),
	})
}
